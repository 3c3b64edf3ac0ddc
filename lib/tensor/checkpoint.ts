/** Activation checkpointing: a part of the graph keeps its inputs only and is computed again in the backward pass (Chen et al. 2016). */

import { inCategory } from "../native/accounting.js";
import { backward, enableGrad, isGradEnabled, noGrad, record, skippedRecords } from "./autograd.js";
import { randomState, setRandomState } from "./random.js";
import { scope } from "./scope.js";
import { empty, type Tensor } from "./tensor.js";

let recomputing = 0;

/** Whether a checkpointed part is being computed again: side effects of the forward pass must not be repeated then. */
export function isRecomputing(): boolean {
  return recomputing > 0;
}

// A leaf whose gradient nobody reads, so that a part without differentiable inputs is recorded for the parameters inside it.
function standIn(like: Tensor): Tensor {
  const leaf = empty([0], { device: like.device });
  leaf.requiresGrad = true;
  return leaf;
}

/**
 * The inputs of the part, cut off from the graph before it: gradients of those that an operation made end in `captured`, in their own dtype and summed as
 * in a plain graph. Leaves stand for themselves and take their gradients directly.
 */
function cutOff(inputs: readonly Tensor[], captured: (Tensor | null)[]): Tensor[] {
  return inputs.map((input, i) => {
    if (input.requiresGrad && input.node === null) return input;
    const start = input.detach();
    if (input.requiresGrad) {
      record("checkpointInput", [standIn(input)], [start], ([gradient]) => {
        captured[i] = gradient === null ? null : gradient.move(gradient.shape);
      });
    }
    return start;
  });
}

/**
 * Runs `body(...inputs)` without keeping its intermediate tensors; the backward pass runs it again with the same random numbers. Gradients flow
 * to `inputs` and to parameters used inside. `body` must be deterministic and return one tensor or an array of tensors.
 */
export function checkpoint<R extends Tensor | Tensor[]>(
  body: (...inputs: Tensor[]) => R,
  ...inputs: Tensor[]
): R {
  if (!isGradEnabled()) return body(...inputs);
  const random = randomState();
  const skipped = skippedRecords();
  const result = scope(() => noGrad(() => inCategory("activations", () => body(...inputs))));
  if (skippedRecords() === skipped) return result; // nothing inside depends on a tensor that requires a gradient
  const outputs: Tensor[] = Array.isArray(result) ? result : [result];
  // Parameters inside need gradients even where no input does, so the node is recorded through a stand-in that always does.
  const stand = inputs.some((input) => input.requiresGrad) ? null : standIn(inputs[0] ?? outputs[0]);
  record(
    "checkpoint",
    stand === null ? inputs : [stand],
    outputs,
    (gradients, sink) => {
      const given = scope(() => {
        const captured = inputs.map((): Tensor | null => null);
        const after = randomState();
        setRandomState(random);
        recomputing += 1;
        try {
          const again = enableGrad(() => body(...cutOff(inputs, captured)));
          const roots: Tensor[] = Array.isArray(again) ? again : [again];
          const used = roots
            .map((root, i) => ({ root, gradient: gradients[i] }))
            .filter(({ root, gradient }) => gradient !== null && root.requiresGrad);
          backward(
            used.map(({ root }) => root),
            { gradients: used.map(({ gradient }) => gradient as Tensor) },
          );
        } finally {
          recomputing -= 1;
          setRandomState(after);
        }
        return captured;
      });
      given.forEach((gradient, i) => {
        if (gradient !== null) sink.give(inputs[i], gradient);
      });
    },
    stand === null ? [] : [stand],
  );
  return result;
}

/**
 * Frees the memory of an operation's output that later operations have used already; the backward pass makes it again with `again`, which runs the same
 * operation on the same inputs, once. Nothing happens where no gradient is recorded, or where a view shares the memory.
 */
export function discardOutput(output: Tensor, again: () => Tensor): void {
  if (output.node === null) return;
  output.discard(() => noGrad(() => inCategory("activations", () => scope(again))));
}
