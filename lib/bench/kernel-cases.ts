/** The kernels that `anneal bench kernels` times: for each its inputs, one call, and the bytes or operations that the call needs at least. */
import type { ComputeDtype } from "../nn/module.js";
import { parseRope, ropeFrequencies, rotaryTable } from "../nn/rotary.js";
import { backward } from "../tensor/autograd.js";
import { gatedPacked } from "../tensor/ops/activation.js";
import { attention, segmentsOf } from "../tensor/ops/attention.js";
import { arange } from "../tensor/ops/create.js";
import { add, exp, geluTanh } from "../tensor/ops/elementwise.js";
import { embedding } from "../tensor/ops/embedding.js";
import { groupedLinear, linear } from "../tensor/ops/linear.js";
import { linearCrossEntropy } from "../tensor/ops/loss.js";
import { combineTokens, permuteTokens, route, sortByExpert } from "../tensor/ops/moe.js";
import { addRmsNorm, layerNorm, rmsNorm } from "../tensor/ops/norm.js";
import { dropout, normal } from "../tensor/ops/random.js";
import { sum } from "../tensor/ops/reduce.js";
import { rope } from "../tensor/ops/rope.js";
import { softmax } from "../tensor/ops/softmax.js";
import { type Tensor, tensor } from "../tensor/tensor.js";

/** What bounds a kernel: memory traffic in bytes, or multiplications and additions. */
export type Bound = "bytes" | "flops";

/** A kernel with inputs, ready to be called again and again. */
export interface KernelCase {
  /** One call: queues the work; results are freed by the caller's scope. */
  call(): void;
  bound: Bound;
  /** Bytes read and written, or floating-point operations, that one call cannot do without. */
  amount: number;
}

/** Sizes: large enough that threads pay and the last-level cache does not hold everything. */
const TOKENS = 4096;
const WIDTH = 1024;
const HEADS = 16;
const HEAD = 64;
const LENGTH = 512;
const VOCABULARY = 8192;
const EXPERTS = 16;
const CHOSEN = 4;
const EXPERT_WIDTH = 256;

/** Makes the inputs of one case; they live until the caller's scope ends. */
type CaseFactory = (dtype: ComputeDtype) => KernelCase;

const bytesOf = (dtype: ComputeDtype): number => (dtype === "f32" ? 4 : 2);

/** Normal numbers [TOKENS, width]. */
const rows = (dtype: ComputeDtype, width = WIDTH, count = TOKENS): Tensor =>
  normal([count, width], 0, 1, { dtype });

const trained = (shape: number[], dtype: ComputeDtype): Tensor => {
  const result = normal(shape, 0, 0.02, { dtype });
  result.requiresGrad = true;
  return result;
};

/** Token ids i32 [count] that visit all of `classes` without order. */
function ids(count: number, classes: number): Tensor {
  return tensor(
    Int32Array.from({ length: count }, (_, i) => Math.floor(((i * 0.6180339887498949) % 1) * classes)),
  );
}

/** Reads `reads` and writes `writes` arrays of [TOKENS, WIDTH]. */
function streaming(dtype: ComputeDtype, arrays: number, call: () => void): KernelCase {
  return { call, bound: "bytes", amount: arrays * TOKENS * WIDTH * bytesOf(dtype) };
}

/** Forward and backward of y = f(inputs); the leaves' gradients are freed each time, as the next call must not add to them. */
function withBackward(forward: () => Tensor, dy: Tensor | undefined, leaves: readonly Tensor[]): () => void {
  return () => {
    backward(forward(), dy === undefined ? {} : { gradients: [dy] });
    for (const leaf of leaves) {
      leaf.grad?.dispose();
      leaf.grad = null;
    }
  };
}

/** 2 operations per weight and row forward, twice that backward. */
const productFlops = (m: number, n: number, k: number, training: boolean): number =>
  (training ? 6 : 2) * m * n * k;

/** Operations of causal attention: half of all pairs; the backward pass makes five products where the forward makes two. */
const attentionFlops = (training: boolean): number =>
  ((training ? 7 : 2) * 2 * TOKENS * LENGTH * HEADS * HEAD) / 2;

function attentionCase(dtype: ComputeDtype, training: boolean): KernelCase {
  const make = () => {
    const x = normal([TOKENS, HEADS, HEAD], 0, 1, { dtype });
    x.requiresGrad = training;
    return x;
  };
  const [q, k, v] = [make(), make(), make()];
  const segments = segmentsOf(new Array<number>(TOKENS / LENGTH).fill(LENGTH));
  const forward = () => attention(q, k, v, { segments });
  const dy = normal([TOKENS, HEADS, HEAD], 0, 1, { dtype });
  const call = training ? withBackward(forward, dy, [q, k, v]) : () => void forward();
  return { call, bound: "flops", amount: attentionFlops(training) };
}

function linearCase(dtype: ComputeDtype, training: boolean): KernelCase {
  const x = rows(dtype);
  x.requiresGrad = training;
  const weight = trained([WIDTH, WIDTH], dtype);
  const dy = rows(dtype);
  const call = training
    ? withBackward(() => linear(x, weight), dy, [x, weight])
    : () => void linear(x, weight);
  return { call, bound: "flops", amount: productFlops(TOKENS, WIDTH, WIDTH, training) };
}

function groupedCase(dtype: ComputeDtype, training: boolean): KernelCase {
  const x = rows(dtype, EXPERT_WIDTH, TOKENS * CHOSEN);
  x.requiresGrad = training;
  const weight = trained([EXPERTS, EXPERT_WIDTH, EXPERT_WIDTH], dtype);
  const dy = rows(dtype, EXPERT_WIDTH, TOKENS * CHOSEN);
  const each = (TOKENS * CHOSEN) / EXPERTS;
  const offsets = tensor(Int32Array.from({ length: EXPERTS + 1 }, (_, e) => e * each));
  const forward = () => groupedLinear(x, weight, offsets);
  const call = training ? withBackward(forward, dy, [x, weight]) : () => void forward();
  return {
    call,
    bound: "flops",
    amount: productFlops(TOKENS * CHOSEN, EXPERT_WIDTH, EXPERT_WIDTH, training),
  };
}

function mixtureCase(dtype: ComputeDtype): KernelCase {
  const x = rows(dtype, EXPERT_WIDTH);
  const logits = rows("f32", EXPERTS);
  const bias = normal([EXPERTS], 0, 0.01);
  const options = {
    chosen: CHOSEN,
    scoring: "sigmoid",
    groups: 4,
    groupsKept: 2,
    groupScore: "top2Sum",
    normalise: true,
    scaling: 2.5,
  } as const;
  const call = () => {
    const routing = route(logits, bias, options);
    const dispatch = sortByExpert(routing.ids, EXPERTS);
    combineTokens(permuteTokens(x, dispatch), routing.weights, dispatch);
  };
  // Each chosen row is written once by the permutation and read once by the combination.
  return { call, bound: "bytes", amount: (2 + 2 * CHOSEN) * TOKENS * EXPERT_WIDTH * bytesOf(dtype) };
}

function crossEntropyCase(dtype: ComputeDtype): KernelCase {
  const count = TOKENS / 4;
  const hidden = rows(dtype, WIDTH / 2, count);
  hidden.requiresGrad = true;
  const weight = trained([VOCABULARY, WIDTH / 2], dtype);
  const targets = ids(count, VOCABULARY);
  const call = withBackward(() => linearCrossEntropy(hidden, weight, targets).loss, undefined, [
    hidden,
    weight,
  ]);
  return { call, bound: "flops", amount: productFlops(count, VOCABULARY, WIDTH / 2, true) };
}

function ropeCase(dtype: ComputeDtype): KernelCase {
  const x = normal([TOKENS, HEADS, HEAD], 0, 1, { dtype });
  const positions = arange(0, TOKENS, 1, { dtype: "i32" });
  const table = rotaryTable(ropeFrequencies(parseRope({}), HEAD, TOKENS), TOKENS);
  return streaming(dtype, 2, () => void rope(x, positions, table));
}

function normCase(dtype: ComputeDtype): KernelCase {
  const x = rows(dtype);
  x.requiresGrad = true;
  const weight = trained([WIDTH], dtype);
  const dy = rows(dtype);
  // Forward reads x and writes y; backward reads x and dy and writes dx.
  return streaming(
    dtype,
    5,
    withBackward(() => rmsNorm(x, weight, 1e-6), dy, [x, weight]),
  );
}

function streamingCase(
  arrays: number,
  f: (x: Tensor, other: Tensor, weight: Tensor) => unknown,
): CaseFactory {
  return (dtype) => {
    const x = rows(dtype);
    const other = rows(dtype);
    const weight = normal([WIDTH], 0, 1, { dtype });
    return streaming(dtype, arrays, () => void f(x, other, weight));
  };
}

/** All cases by name. A name ending in `+backward` times both passes together. */
export const KERNEL_CASES: Readonly<Record<string, CaseFactory>> = {
  linear: (dtype) => linearCase(dtype, false),
  "linear+backward": (dtype) => linearCase(dtype, true),
  groupedLinear: (dtype) => groupedCase(dtype, false),
  "groupedLinear+backward": (dtype) => groupedCase(dtype, true),
  attention: (dtype) => attentionCase(dtype, false),
  "attention+backward": (dtype) => attentionCase(dtype, true),
  "crossEntropy+backward": crossEntropyCase,
  add: streamingCase(3, add),
  exp: streamingCase(2, exp),
  gelu: streamingCase(2, geluTanh),
  swiglu: streamingCase(1.5, (x) => gatedPacked(x)),
  softmax: streamingCase(2, (x) => softmax(x)),
  sum: streamingCase(1, (x) => sum(x)),
  dropout: streamingCase(2, (x) => dropout(x, 0.1)),
  rmsNorm: streamingCase(2, (x, _, weight) => rmsNorm(x, weight, 1e-6)),
  "rmsNorm+backward": normCase,
  addRmsNorm: streamingCase(4, (x, other, weight) => addRmsNorm(x, other, weight, 1e-6)),
  layerNorm: streamingCase(2, (x, _, weight) => layerNorm(x, weight, null, 1e-5)),
  rope: ropeCase,
  embedding: (dtype) => {
    const weight = rows(dtype, WIDTH, VOCABULARY);
    const chosen = ids(TOKENS, VOCABULARY);
    return streaming(dtype, 2, () => void embedding(chosen, weight));
  },
  mixture: mixtureCase,
};
