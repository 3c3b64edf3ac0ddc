/** Activation checkpointing: a part of the graph keeps its inputs only and is computed again in the backward pass (Chen et al. 2016). */

import { deviceId } from "../native/device.js";
import { DTYPE_CODE } from "../native/dtype.js";
import { callKernel } from "../native/kernels.js";
import { backward, enableGrad, isGradEnabled, noGrad, record } from "./autograd.js";
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

// Leaf gradients are f32; a bf16 activation takes its gradient in bf16.
function gradientLike(input: Tensor, gradient: Tensor): Tensor {
  if (input.dtype === gradient.dtype) return gradient;
  const rounded = empty(input.shape, { dtype: input.dtype, device: input.device });
  callKernel(
    deviceId(input.device), "cast", gradient.use(), rounded.use(), gradient.size, DTYPE_CODE[gradient.dtype],
    DTYPE_CODE[input.dtype],
  );
  gradient.dispose();
  return rounded;
}

/**
 * Runs `body(...inputs)` without keeping its intermediate tensors; the backward pass runs it again with the same random numbers. Gradients flow
 * to `inputs` and to parameters used inside. `body` must be deterministic and return one tensor or an array of tensors.
 */
export function checkpoint<R extends Tensor | Tensor[]>(body: (...inputs: Tensor[]) => R, ...inputs: Tensor[]): R {
  if (!isGradEnabled()) return body(...inputs);
  const random = randomState();
  const result = scope(() => noGrad(() => body(...inputs)));
  const outputs: Tensor[] = Array.isArray(result) ? result : [result];
  // Parameters inside need gradients even where no input does, so the node is recorded through a stand-in that always does.
  const stand = inputs.some((input) => input.requiresGrad) ? null : standIn(inputs[0] ?? outputs[0]);
  record("checkpoint", stand === null ? inputs : [stand], outputs, (gradients, sink) => {
    const given = scope(() => {
      const leaves = inputs.map((input) => {
        const leaf = input.detach();
        leaf.requiresGrad = input.requiresGrad;
        return leaf;
      });
      const after = randomState();
      setRandomState(random);
      recomputing += 1;
      try {
        const again = enableGrad(() => body(...leaves));
        const roots: Tensor[] = Array.isArray(again) ? again : [again];
        const used = roots.map((root, i) => ({ root, gradient: gradients[i] })).filter(({ root, gradient }) => gradient !== null && root.requiresGrad);
        backward(used.map(({ root }) => root), { gradients: used.map(({ gradient }) => gradient as Tensor) });
      } finally {
        recomputing -= 1;
        setRandomState(after);
      }
      return inputs.map((input, i) => {
        const gradient = leaves[i].grad;
        leaves[i].grad = null;
        return gradient === null ? null : gradientLike(input, gradient);
      });
    });
    given.forEach((gradient, i) => {
      if (gradient !== null) sink.give(inputs[i], gradient);
    });
  }, stand === null ? [] : [stand]);
  return result;
}
