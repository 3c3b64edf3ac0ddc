/** Calls of the element-wise kernels that are not recorded: what operations and their gradients are composed of. */

import { DtypeError } from "../../errors.js";
import { DTYPE_CODE, type Dtype } from "../../native/dtype.js";
import type { Shape, Tensor } from "../tensor.js";
import { BINARY_OPS, UNARY_OPS } from "./codes.js";
import { code, emptyLike, run } from "./kernel.js";
import { broadcastShape, broadcastStrides, coalesce, sameShape } from "./layout.js";

/** Names of the `unary` kernel's functions. */
export type UnaryOp = keyof typeof UNARY_OPS;
/** Names of the `binary` kernel's functions. */
export type BinaryOp = keyof typeof BINARY_OPS;

/** The smallest and the largest i32. */
export const I32_MIN = -(2 ** 31);
export const I32_MAX = 2 ** 31 - 1;

const COMPARISONS: readonly BinaryOp[] = [
  "equal",
  "notEqual",
  "less",
  "lessEqual",
  "greater",
  "greaterEqual",
  "logicalAnd",
  "logicalOr",
];

/** Strides of a contiguous operand in a plan of one dimension. */
const UNIT_STRIDE = [1, 0, 0, 0, 0, 0];

/** f(x), written into `into`, which may be x, when it is given. */
export function computeUnary(op: UnaryOp, x: Tensor, p0 = 0, p1 = 0, into: Tensor = emptyLike(x)): Tensor {
  run(x, "unary", x.use(), into.use(), x.size, UNARY_OPS[op], code(x), p0, p1);
  return into;
}

/** a op b with broadcasting, written into `into` (which may be an operand of the full shape) when it is given. Comparisons give u8. */
export function computeBinary(op: BinaryOp, a: Tensor, b: Tensor, into?: Tensor): Tensor {
  const same = sameShape(a.shape, b.shape);
  const shape = same ? a.shape : broadcastShape(op, a.shape, b.shape);
  const out = into ?? emptyLike(a, shape, COMPARISONS.includes(op) ? "u8" : a.dtype);
  const plan = same
    ? { ndim: 1, shape: [a.size, 1, 1, 1, 1, 1], strides: [UNIT_STRIDE, UNIT_STRIDE] }
    : coalesce(op, shape, [broadcastStrides(a.shape, shape), broadcastStrides(b.shape, shape)]);
  const [aStride, bStride] = plan.strides;
  run(
    a,
    "binary",
    a.use(),
    b.use(),
    out.use(),
    BINARY_OPS[op],
    code(a),
    plan.ndim,
    ...plan.shape,
    ...aStride,
    ...bStride,
  );
  return out;
}

/** condition ? a : b with broadcasting. */
export function computeWhere(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  const shape = broadcastShape("where", condition.shape, a.shape, b.shape);
  const out = emptyLike(a, shape);
  const plan = coalesce(
    "where",
    shape,
    [condition, a, b].map((t) => broadcastStrides(t.shape, shape)),
  );
  run(
    a,
    "where",
    condition.use(),
    a.use(),
    b.use(),
    out.use(),
    code(a),
    plan.ndim,
    ...plan.shape,
    ...plan.strides[0],
    ...plan.strides[1],
    ...plan.strides[2],
  );
  return out;
}

/** x in another dtype; always a new tensor. */
export function computeCast(x: Tensor, dtype: Dtype): Tensor {
  const y = emptyLike(x, x.shape, dtype);
  run(x, "cast", x.use(), y.use(), x.size, code(x), DTYPE_CODE[dtype]);
  return y;
}

/** Sets every element of `x`. */
export function fill(x: Tensor, value: number): Tensor {
  run(x, "fill", x.use(), x.size, code(x), value);
  return x;
}

/** A new tensor of zeros on the device of `like`, of its dtype unless another is given. */
export function zerosOf(like: Tensor, shape: Shape = like.shape, dtype: Dtype = like.dtype): Tensor {
  return fill(emptyLike(like, shape, dtype), 0);
}

/** Throws DtypeError unless the numbers are 32-bit integers: for numbers that meet i32 tensors. */
export function requireInteger(op: string, ...values: number[]): void {
  for (const value of values) {
    if (Number.isInteger(value) && value >= I32_MIN && value <= I32_MAX) continue;
    throw new DtypeError(
      `${op}: an i32 tensor meets the number ${value}, which is no 32-bit integer; cast the tensor with to("f32") first.`,
      { op, value },
    );
  }
}

/** A scalar tensor that holds a number in a dtype (that of `like` unless another is given). */
export function constant(op: string, like: Tensor, value: number, dtype: Dtype = like.dtype): Tensor {
  if (dtype === "i32") requireInteger(op, value);
  return fill(emptyLike(like, [], dtype), value);
}

/** A gradient made from dy element by element takes over dy's memory when nobody else holds it: read `source`, write `target`. */
export function claim(dy: Tensor, shape: Shape): { source: Tensor; target: Tensor } {
  if (dy.shared) return { source: dy, target: emptyLike(dy, shape) };
  const target = dy.move(shape);
  return { source: target, target };
}
