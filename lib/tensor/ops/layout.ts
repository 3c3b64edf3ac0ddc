/** Where elements lie: NumPy broadcasting, strides, and the strided copy behind every operation that moves elements. Nothing here is recorded. */

import { ShapeError } from "../../errors.js";
import { type Shape, showShape, type Tensor } from "../tensor.js";
import { code, emptyLike, flag, run } from "./kernel.js";

/** The number of dimensions that strided kernels take (kMaxDims in native/core/kernels/elementwise.h). */
export const MAX_DIMS = 6;

/** Elements from one index to the next along every dimension of a row-major tensor. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    strides[d] = step;
    step *= shape[d];
  }
  return strides;
}

/** Whether two shapes are the same. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((length, d) => length === b[d]);
}

/** The shape that tensors take together: aligned at the last dimension, lengths equal or 1 (NumPy's rule). */
export function broadcastShape(op: string, ...shapes: Shape[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, d) => {
    let length = 1;
    for (const shape of shapes) {
      const own = shape[d - rank + shape.length] ?? 1;
      if (own === 1 || own === length) continue;
      if (length !== 1) {
        throw new ShapeError(
          `${op}: shapes ${shapes.map(showShape).join(" and ")} do not broadcast; aligned at the right, lengths must be equal or 1.`,
          { op, shapes },
        );
      }
      length = own;
    }
    return length;
  });
}

/** Strides that read a tensor of `shape` as if it had the shape `target`: 0 where it is repeated. */
export function broadcastStrides(shape: Shape, target: Shape): number[] {
  const own = contiguousStrides(shape);
  const missing = target.length - shape.length;
  return target.map((_, d) => (d < missing || shape[d - missing] === 1 ? 0 : own[d - missing]));
}

/** A shape and strides in the six words that kernels take. */
export interface StridedPlan {
  ndim: number;
  shape: number[];
  strides: number[][];
}

function six(values: readonly number[], filler: number): number[] {
  return [...values, ...new Array<number>(MAX_DIMS - values.length).fill(filler)];
}

/**
 * Joins neighbouring dimensions that every operand walks through without a jump, drops those of length 1, and pads to six. Throws ShapeError when more
 * than six remain.
 */
export function coalesce(op: string, shape: Shape, strides: readonly (readonly number[])[]): StridedPlan {
  const lengths: number[] = [];
  const joined = strides.map((): number[] => []);
  shape.forEach((length, d) => {
    if (length === 1) return;
    const last = lengths.length - 1;
    if (last >= 0 && strides.every((own, i) => joined[i][last] === own[d] * length)) {
      lengths[last] *= length;
      for (let i = 0; i < strides.length; i++) joined[i][last] = strides[i][d];
    } else {
      lengths.push(length);
      for (let i = 0; i < strides.length; i++) joined[i].push(strides[i][d]);
    }
  });
  if (lengths.length > MAX_DIMS) {
    throw new ShapeError(
      `${op}: shape ${showShape(shape)} needs ${lengths.length} dimensions after joining neighbours; at most ${MAX_DIMS} are possible. Reshape first.`,
      { op, shape },
    );
  }
  return {
    ndim: Math.max(1, lengths.length),
    shape: six(lengths, 1),
    strides: joined.map((own) => six(own, 0)),
  };
}

/** Where `copyStrided` starts, and whether it adds. */
export interface StridedCopyOptions {
  /** First element read. Default 0. */
  srcOffset?: number;
  /** First element written. Default 0. */
  dstOffset?: number;
  /** Add to what is there (f32, bf16, i32). Default false. */
  accumulate?: boolean;
}

/** dst[dstOffset + Σ i·dstStride] = src[srcOffset + Σ i·srcStride] over all indices i of `shape`; queued. Strides are in elements. */
export function copyStrided(
  op: string,
  src: Tensor,
  dst: Tensor,
  shape: Shape,
  srcStride: readonly number[],
  dstStride: readonly number[],
  options: StridedCopyOptions = {},
): void {
  const { srcOffset = 0, dstOffset = 0, accumulate = false } = options;
  if (shape.includes(0)) return;
  const plan = coalesce(op, shape, [srcStride, dstStride]);
  const [from, to] = plan.strides;
  run(
    src,
    "copyStrided",
    src.use(),
    dst.use(),
    code(src),
    plan.ndim,
    srcOffset,
    dstOffset,
    flag(accumulate),
    ...plan.shape,
    ...from,
    ...to,
  );
}

/** A copy whose dimension d is dimension order[d] of x. */
export function permuted(op: string, x: Tensor, order: readonly number[]): Tensor {
  const shape = order.map((axis) => x.shape[axis]);
  const own = contiguousStrides(x.shape);
  const y = emptyLike(x, shape);
  copyStrided(
    op,
    x,
    y,
    shape,
    order.map((axis) => own[axis]),
    contiguousStrides(shape),
  );
  return y;
}

/** The order that undoes `order`. */
export function inverseOrder(order: readonly number[]): number[] {
  const inverse = new Array<number>(order.length);
  order.forEach((axis, d) => {
    inverse[axis] = d;
  });
  return inverse;
}

/** A copy of x, read as `from` (x's shape, perhaps with dimensions of length 1 added), repeated to `shape`. */
export function expanded(op: string, x: Tensor, from: Shape, shape: Shape): Tensor {
  const y = emptyLike(x, shape);
  copyStrided(op, x, y, shape, broadcastStrides(from, shape), contiguousStrides(shape));
  return y;
}
