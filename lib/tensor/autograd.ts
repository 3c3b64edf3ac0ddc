/**
 * The eager tape. Each differentiable operation records a node: its inputs, its outputs, and the function that turns the gradients of the outputs
 * into gradients of the inputs. `backward` walks the nodes in reverse order of their making and frees saved activations as it passes them.
 */

import { DisposedError, ShapeError } from "../errors.js";
import { inCategory, whileRecording } from "../native/accounting.js";
import { deviceId } from "../native/device.js";
import { DTYPE_CODE } from "../native/dtype.js";
import { callKernel } from "../native/kernels.js";
import { unregisterTensor } from "./scope.js";
import { empty, type Shape, showShape, sizeOf, type Tensor } from "./tensor.js";

/** Where a backward function puts the gradients that it computes. */
export interface GradientSink {
  /** Whether the graph is kept for another pass: then saved tensors must not be handed out or overwritten. */
  readonly retains: boolean;
  /** Whether a gradient for this tensor is wanted; a backward function skips the work otherwise. */
  wants(tensor: Tensor | null | undefined): tensor is Tensor;
  /** Gives a gradient of `tensor`'s shape, and its ownership. */
  give(tensor: Tensor, gradient: Tensor): void;
  /**
   * Lets a kernel add into the gradient directly: `write(target, accumulate)` must write the gradient into the f32 tensor `target` of `tensor`'s shape,
   * adding to what is there when `accumulate` is true. Used for weights, whose gradients are f32.
   */
  into(tensor: Tensor, write: (target: Tensor, accumulate: boolean) => void): void;
}

/** Computes gradients of a node's inputs; `gradients[i]` belongs to output i, null where nothing depends on it. */
export type BackwardFunction = (gradients: (Tensor | null)[], sink: GradientSink) => void;

/** One recorded operation. */
export interface TapeNode {
  /** Order of making. */
  readonly sequence: number;
  readonly name: string;
  readonly inputs: readonly Tensor[];
  /** The outputs, freed by backward once nothing needs them. */
  outputs: Tensor[];
  /** Tensors held only for the backward pass. */
  saved: Tensor[];
  backward: BackwardFunction;
}

let sequence = 0;
let disabled = 0;
let skipped = 0;

/** Whether operations record themselves now. */
export function isGradEnabled(): boolean {
  return disabled === 0;
}

/** Runs `body` without recording; for evaluation and generation. `body` must be synchronous. */
export function noGrad<T>(body: () => T): T {
  disabled += 1;
  try {
    return whileRecording(false, body);
  } finally {
    disabled -= 1;
  }
}

/** @internal Runs `body` with recording on, inside noGrad too; for recomputation. */
export function enableGrad<T>(body: () => T): T {
  const before = disabled;
  disabled = 0;
  try {
    return whileRecording(true, body);
  } finally {
    disabled = before;
  }
}

/** @internal How many operations noGrad has kept from being recorded so far. */
export function skippedRecords(): number {
  return skipped;
}

/** @internal Whether an operation on these inputs must be recorded. */
export function needsGrad(...inputs: (Tensor | null | undefined)[]): boolean {
  if (!inputs.some((input) => input?.requiresGrad === true)) return false;
  if (disabled > 0) skipped += 1;
  return disabled === 0;
}

/**
 * Records an operation. `inputs` are the tensors that gradients may flow to, `outputs` what it made, `saved` tensors made only for the backward pass.
 * Does nothing (and disposes `saved`) when no input needs a gradient. To write an operation of your own, compute the outputs under `noGrad`, then call this.
 */
export function record(
  name: string,
  inputs: readonly (Tensor | null | undefined)[],
  outputs: Tensor[],
  backward: BackwardFunction,
  saved: Tensor[] = [],
): void {
  if (!needsGrad(...inputs)) {
    for (const tensor of saved) tensor.dispose();
    return;
  }
  const node: TapeNode = {
    sequence: sequence++,
    name,
    inputs: inputs.filter((input): input is Tensor => input != null),
    outputs,
    saved,
    backward,
  };
  outputs.forEach((output, index) => {
    output.node = node;
    output.outputIndex = index;
    output.requiresGrad = true;
    output.claim.recorded();
  });
  for (const tensor of saved) tensor.claim.recorded();
}

/** y = beta·y + x (both f32 or bf16), queued. */
function addInto(target: Tensor, source: Tensor, beta: number): void {
  callKernel(
    deviceId(target.device),
    "axpy",
    source.use(),
    0,
    target.use(),
    target.size,
    DTYPE_CODE[source.dtype],
    DTYPE_CODE[target.dtype],
    1,
    beta,
  );
}

/** Gradients that wait for their node, keyed by tensor. */
class Sink implements GradientSink {
  readonly pending = new Map<Tensor, Tensor>();

  constructor(readonly retains: boolean) {}

  wants(tensor: Tensor | null | undefined): tensor is Tensor {
    return tensor?.requiresGrad === true;
  }

  give(tensor: Tensor, gradient: Tensor): void {
    if (sizeOf(gradient.shape) !== sizeOf(tensor.shape)) {
      throw new ShapeError(
        `A gradient of shape ${showShape(gradient.shape)} was given to a tensor of shape ${showShape(tensor.shape)}.`,
        {
          gradient: gradient.shape,
          tensor: tensor.shape,
        },
      );
    }
    if (tensor.node === null) {
      this.giveLeaf(tensor, gradient);
      return;
    }
    const before = this.pending.get(tensor);
    if (before === undefined) {
      // A backward function may count on its gradients having the shapes of its outputs.
      this.pending.set(
        tensor,
        sameShape(gradient.shape, tensor.shape) ? gradient : gradient.move(tensor.shape),
      );
      return;
    }
    let sum = before;
    if (before.shared) {
      sum = empty(before.shape, { dtype: before.dtype, device: before.device });
      addInto(sum, before, 0);
      before.dispose();
      this.pending.set(tensor, sum);
    }
    sum.isOne = false;
    addInto(sum, gradient, 1);
    gradient.dispose();
  }

  into(tensor: Tensor, write: (target: Tensor, accumulate: boolean) => void): void {
    if (tensor.node === null) {
      const accumulate = tensor.grad !== null;
      tensor.grad ??= leafGradient(tensor);
      write(tensor.grad, accumulate);
      return;
    }
    const target = empty(tensor.shape, { device: tensor.device });
    write(target, false);
    if (tensor.dtype === "f32") {
      this.give(tensor, target);
    } else {
      const rounded = empty(tensor.shape, { dtype: tensor.dtype, device: tensor.device });
      addInto(rounded, target, 0);
      target.dispose();
      this.give(tensor, rounded);
    }
  }

  private giveLeaf(tensor: Tensor, gradient: Tensor): void {
    if (tensor.grad === null && gradient.dtype === "f32" && !gradient.shared) {
      tensor.grad = outlive(gradient.move(tensor.shape));
      tensor.grad.claim.assign("gradients");
      return;
    }
    const accumulate = tensor.grad !== null;
    tensor.grad ??= leafGradient(tensor);
    addInto(tensor.grad, gradient, accumulate ? 1 : 0);
    gradient.dispose();
  }
}

function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((length, d) => length === b[d]);
}

// A leaf's gradient outlives the scope of the step; the optimizer disposes it.
function outlive(gradient: Tensor): Tensor {
  unregisterTensor(gradient);
  return gradient;
}

function leafGradient(tensor: Tensor): Tensor {
  return inCategory("gradients", () => outlive(empty(tensor.shape, { device: tensor.device })));
}

// Stands in for the node of a tensor whose graph was freed, so that a second pass fails instead of stopping there.
const FREED: TapeNode = {
  sequence: -1,
  name: "freed",
  inputs: [],
  outputs: [],
  saved: [],
  backward: () => {},
};

/** Nodes that the roots depend on, latest first. */
function collect(roots: readonly Tensor[]): TapeNode[] {
  const seen = new Set<TapeNode>();
  const open: TapeNode[] = [];
  for (const root of roots) if (root.node !== null) open.push(root.node);
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (seen.has(node)) continue;
    if (node === FREED) {
      throw new DisposedError(
        "backward: a part of this graph was freed by an earlier backward(). Pass retainGraph: true there, or compute the loss again.",
      );
    }
    seen.add(node);
    for (const input of node.inputs) if (input.node !== null) open.push(input.node);
  }
  return [...seen].sort((a, b) => b.sequence - a.sequence);
}

/** Options of `backward`. */
export interface BackwardOptions {
  /** Gradient of each root, of its shape and dtype. Default: 1 for scalars. */
  gradients?: (Tensor | undefined)[];
  /** Keeps the graph and its activations for a second pass. Default false: intermediate tensors are disposed as they are passed. */
  retainGraph?: boolean;
}

/**
 * Adds the gradient of `roots` to `grad` of every leaf that requires one. Intermediate tensors of the graph are disposed on the way (the roots and
 * tensors that were kept are not); use `retainGraph` to hold them.
 */
export function backward(roots: Tensor | readonly Tensor[], options: BackwardOptions = {}): void {
  const list = Array.isArray(roots) ? (roots as readonly Tensor[]) : [roots as Tensor];
  const pass = (): void => {
    const nodes = collect(list);
    const sink = new Sink(options.retainGraph === true);
    list.forEach((root, i) => {
      const given = options.gradients?.[i];
      if (given === undefined && root.size !== 1) {
        throw new ShapeError(
          `backward: a root of shape ${showShape(root.shape)} needs its gradient; only scalars default to 1.`,
          {
            shape: root.shape,
          },
        );
      }
      if (!root.requiresGrad) {
        throw new ShapeError("backward: the root does not depend on any tensor that requires a gradient.", {
          shape: root.shape,
        });
      }
      sink.give(root, given?.alias() ?? one(root));
    });
    for (const node of nodes) {
      const gradients = node.outputs.map((output) => sink.pending.get(output) ?? null);
      if (gradients.some((gradient) => gradient !== null)) node.backward(gradients, sink);
      for (const output of node.outputs) {
        sink.pending.get(output)?.dispose();
        sink.pending.delete(output);
      }
      if (options.retainGraph !== true) freeNode(node, list);
    }
  };
  noGrad(() => inCategory("activations", pass));
}

function one(like: Tensor): Tensor {
  const result = empty(like.shape, { dtype: like.dtype, device: like.device });
  callKernel(deviceId(like.device), "fill", result.use(), result.size, DTYPE_CODE[like.dtype], 1);
  result.isOne = true;
  return result;
}

function freeNode(node: TapeNode, roots: readonly Tensor[]): void {
  for (const tensor of node.saved) tensor.dispose();
  node.saved = [];
  for (const output of node.outputs) {
    output.node = FREED;
    // Tensors outside every scope belong to the user, who disposes them.
    if (output.owner !== undefined && !roots.includes(output)) output.dispose();
  }
  node.outputs = [];
}
