/** Operations element by element: functions of one tensor, arithmetic of two with NumPy broadcasting, choice, and change of dtype. */

import { DtypeError } from "../../errors.js";
import type { Dtype } from "../../native/dtype.js";
import { type GradientSink, record } from "../autograd.js";
import { scope } from "../scope.js";
import { type Shape, sizeOf, type Tensor } from "../tensor.js";
import { sumTo } from "./axes.js";
import { UNARY_OPS } from "./codes.js";
import {
  type BinaryOp,
  claim,
  computeBinary,
  computeCast,
  computeUnary,
  computeWhere,
  constant,
  I32_MAX,
  I32_MIN,
  requireInteger,
  type UnaryOp,
} from "./compute.js";
import { code, requireDtype, requireSameDevice, run } from "./kernel.js";

/** What an arithmetic operation takes: a tensor, or a number that is repeated. */
export type Operand = Tensor | number;

const INTEGER_UNARY: readonly UnaryOp[] = ["neg", "abs", "clamp", "affine"];

/** Any function of the `unary` kernel by its name; p0 and p1 are the parameters of clamp, affine and powScalar. `name` is for messages. */
export function unary(op: UnaryOp, x: Tensor, p0 = 0, p1 = 0, name: string = op): Tensor {
  requireDtype(name, "x", x, "f32", "bf16", ...(INTEGER_UNARY.includes(op) ? (["i32"] as const) : []));
  const y = computeUnary(op, x, p0, p1);
  if (x.dtype === "i32") return y;
  record(name, [x], [y], ([dy], sink) => {
    if (dy === null || !sink.wants(x)) return;
    const { source, target } = claim(dy, x.shape);
    run(x, "unaryBackward", x.use(), source.use(), target.use(), x.size, UNARY_OPS[op], code(x), p0, p1);
    sink.give(x, target);
  });
  return y;
}

/** −x; f32, bf16 or i32. */
export function neg(x: Tensor): Tensor {
  return unary("neg", x);
}

/** eˣ. Like every function here without another remark: f32 or bf16, computed in f32. */
export function exp(x: Tensor): Tensor {
  return unary("exp", x);
}

/** Natural logarithm. */
export function log(x: Tensor): Tensor {
  return unary("log", x);
}

/** √x. */
export function sqrt(x: Tensor): Tensor {
  return unary("sqrt", x);
}

/** 1/√x. */
export function rsqrt(x: Tensor): Tensor {
  return unary("rsqrt", x);
}

/** Hyperbolic tangent. */
export function tanh(x: Tensor): Tensor {
  return unary("tanh", x);
}

/** 1/(1 + e⁻ˣ). */
export function sigmoid(x: Tensor): Tensor {
  return unary("sigmoid", x);
}

/** max(x, 0); its derivative at 0 is 0. */
export function relu(x: Tensor): Tensor {
  return unary("relu", x);
}

/** x·sigmoid(x). */
export function silu(x: Tensor): Tensor {
  return unary("silu", x);
}

/** x·Φ(x), exact. */
export function gelu(x: Tensor): Tensor {
  return unary("gelu", x);
}

/** GELU by its tanh approximation, as GPT-2 uses it. */
export function geluTanh(x: Tensor): Tensor {
  return unary("geluTanh", x);
}

/** |x|; f32, bf16 or i32. Its derivative at 0 is 0. */
export function abs(x: Tensor): Tensor {
  return unary("abs", x);
}

/** x². */
export function square(x: Tensor): Tensor {
  return unary("square", x);
}

/** 1/x. */
export function reciprocal(x: Tensor): Tensor {
  return unary("reciprocal", x);
}

/** Sine of x in radians. */
export function sin(x: Tensor): Tensor {
  return unary("sin", x);
}

/** Cosine of x in radians. */
export function cos(x: Tensor): Tensor {
  return unary("cos", x);
}

/** ln(1 + eˣ), without overflow. */
export function softplus(x: Tensor): Tensor {
  return unary("softplus", x);
}

/** ln sigmoid(x), without overflow. */
export function logSigmoid(x: Tensor): Tensor {
  return unary("logSigmoid", x);
}

/** Gauss error function. */
export function erf(x: Tensor): Tensor {
  return unary("erf", x);
}

/** min(max(x, low), high); f32, bf16 or i32. Gradients pass where low ≤ x ≤ high. */
export function clamp(x: Tensor, low = Number.NEGATIVE_INFINITY, high = Number.POSITIVE_INFINITY): Tensor {
  if (x.dtype !== "i32") return unary("clamp", x, low, high);
  return unary("clamp", x, Math.max(low, I32_MIN), Math.min(high, I32_MAX));
}

// factor·x + offset; its gradient needs neither x nor, where the factor is 1, any work.
function affine(name: string, x: Tensor, factor: number, offset: number): Tensor {
  requireDtype(name, "x", x, "f32", "bf16", "i32");
  if (x.dtype === "i32") requireInteger(name, factor, offset);
  const y = computeUnary("affine", x, factor, offset);
  if (x.dtype === "i32") return y;
  record(name, [x], [y], ([dy], sink) => {
    if (dy === null || !sink.wants(x)) return;
    if (factor === 1) return sink.give(x, dy.move(x.shape));
    const { source, target } = claim(dy, x.shape);
    sink.give(x, computeUnary("affine", source, factor, 0, target));
  });
  return y;
}

/** x + value; f32, bf16 or i32. */
export function addScalar(x: Tensor, value: number): Tensor {
  return affine("addScalar", x, 1, value);
}

/** x·factor; f32, bf16 or i32. */
export function mulScalar(x: Tensor, factor: number): Tensor {
  return affine("mulScalar", x, factor, 0);
}

/** Two operands as tensors of one dtype; those made here from numbers are listed in `made`. */
function operands(op: string, a: Operand, b: Operand): { a: Tensor; b: Tensor; made: Tensor[] } {
  if (typeof a === "number") {
    if (typeof b === "number")
      throw new DtypeError(`${op}: at least one operand must be a tensor, got the numbers ${a} and ${b}.`, {
        op,
      });
    const scalar = constant(op, b, a);
    return { a: scalar, b, made: [scalar] };
  }
  if (typeof b === "number") {
    const scalar = constant(op, a, b);
    return { a, b: scalar, made: [scalar] };
  }
  requireSameDevice(op, a, b);
  if (a.dtype !== b.dtype) {
    throw new DtypeError(
      `${op}: operands have dtypes ${a.dtype} and ${b.dtype}; cast one of them with to().`,
      {
        op,
        dtypes: [a.dtype, b.dtype],
      },
    );
  }
  return { a, b, made: [] };
}

/** Gradients of the full shape with respect to a and b; new tensors each. */
type Partials = readonly [BinaryPartial, BinaryPartial];
type BinaryPartial = (dy: Tensor, a: Tensor, b: Tensor, y: Tensor) => Tensor;

const PARTIALS = {
  mul: [(dy, _a, b) => computeBinary("mul", dy, b), (dy, a) => computeBinary("mul", dy, a)],
  div: [
    (dy, _a, b) => computeBinary("div", dy, b),
    (dy, _a, b, y) => {
      const t = computeBinary("mul", dy, y);
      return computeUnary("neg", computeBinary("div", t, b, t), 0, 0, t);
    },
  ],
  pow: [powByBase, powByExponent],
  minimum: [(dy, a, b) => winner("less", dy, a, b), (dy, a, b) => winner("less", dy, b, a)],
  maximum: [(dy, a, b) => winner("greater", dy, a, b), (dy, a, b) => winner("greater", dy, b, a)],
} satisfies Record<string, Partials>;

// b·a^(b−1)·dy, and 0 where b is 0.
function powByBase(dy: Tensor, a: Tensor, b: Tensor): Tensor {
  return scope(() => {
    const zero = constant("pow", a, 0);
    const t = computeBinary("pow", a, computeUnary("affine", b, 1, -1));
    computeBinary("mul", t, b, t);
    computeBinary("mul", t, dy, t);
    return computeWhere(computeBinary("equal", b, zero), zero, t);
  });
}

// y·ln(a)·dy, and 0 where a is 0 and b is not negative.
function powByExponent(dy: Tensor, a: Tensor, b: Tensor, y: Tensor): Tensor {
  return scope(() => {
    const zero = constant("pow", a, 0);
    const t = computeBinary("mul", y, computeUnary("log", a));
    computeBinary("mul", t, dy, t);
    const flat = computeBinary(
      "logicalAnd",
      computeBinary("equal", a, zero),
      computeBinary("greaterEqual", b, zero),
    );
    return computeWhere(flat, zero, t);
  });
}

// dy where `mine` wins, half of it on a tie (as in PyTorch), else 0.
function winner(wins: "less" | "greater", dy: Tensor, mine: Tensor, other: Tensor): Tensor {
  return scope(() => {
    const tied = computeWhere(
      computeBinary("equal", mine, other),
      computeUnary("affine", dy, 0.5, 0),
      constant(wins, dy, 0),
    );
    return computeWhere(computeBinary(wins, mine, other), dy, tied);
  });
}

/** A gradient summed over the axes along which an operand of `shape` was repeated; takes ownership of it. */
function reducedTo(gradient: Tensor, shape: Shape): Tensor {
  if (gradient.size === sizeOf(shape)) return gradient.move(shape);
  const result = sumTo(gradient, shape);
  gradient.dispose();
  return result;
}

/** Gives dy, summed over broadcast axes, to an operand; dy keeps its data for a second use when `again`. */
function passOn(sink: GradientSink, to: Tensor, dy: Tensor, again: boolean): void {
  const whole = to.size === dy.size;
  if (whole) sink.give(to, again ? dy.alias(to.shape) : dy.move(to.shape));
  else sink.give(to, sumTo(dy, to.shape));
}

function arithmetic(op: keyof typeof PARTIALS, left: Operand, right: Operand): Tensor {
  const { a, b, made } = operands(op, left, right);
  requireDtype(op, "a", a, "f32", "bf16", "i32");
  const y = computeBinary(op, a, b);
  if (a.dtype === "i32") {
    for (const scalar of made) scalar.dispose();
    return y;
  }
  const partials: Partials = PARTIALS[op];
  record(
    op,
    [a, b],
    [y],
    ([dy], sink) => {
      if (dy === null) return;
      for (const [i, operand] of [a, b].entries()) {
        if (sink.wants(operand)) sink.give(operand, reducedTo(partials[i](dy, a, b, y), operand.shape));
      }
    },
    made,
  );
  return y;
}

function sum(op: "add" | "sub", left: Tensor, right: Tensor): Tensor {
  const { a, b } = operands(op, left, right);
  requireDtype(op, "a", a, "f32", "bf16", "i32");
  const y = computeBinary(op, a, b);
  if (a.dtype === "i32") return y;
  record(op, [a, b], [y], ([dy], sink) => {
    if (dy === null) return;
    if (sink.wants(a)) passOn(sink, a, dy, sink.wants(b));
    if (!sink.wants(b)) return;
    if (op === "add") return passOn(sink, b, dy, false);
    const { source, target } = claim(dy, dy.shape);
    sink.give(b, reducedTo(computeUnary("neg", source, 0, 0, target), b.shape));
  });
  return y;
}

/** a + b. Tensors of one dtype (f32, bf16, i32) whose shapes broadcast; either may be a number. So for all arithmetic; i32 has no gradients. */
export function add(a: Operand, b: Operand): Tensor {
  if (typeof b === "number" && typeof a !== "number") return affine("add", a, 1, b);
  if (typeof a === "number" && typeof b !== "number") return affine("add", b, 1, a);
  return sum("add", a as Tensor, b as Tensor);
}

/** a − b. */
export function sub(a: Operand, b: Operand): Tensor {
  if (typeof b === "number" && typeof a !== "number") return affine("sub", a, 1, -b);
  if (typeof a === "number" && typeof b !== "number") return affine("sub", b, -1, a);
  return sum("sub", a as Tensor, b as Tensor);
}

/** a·b, element by element. */
export function mul(a: Operand, b: Operand): Tensor {
  if (typeof b === "number" && typeof a !== "number") return affine("mul", a, b, 0);
  if (typeof a === "number" && typeof b !== "number") return affine("mul", b, a, 0);
  return arithmetic("mul", a, b);
}

/** a/b; i32 truncates towards zero. */
export function div(a: Operand, b: Operand): Tensor {
  return arithmetic("div", a, b);
}

/** a to the power b. */
export function pow(a: Operand, b: Operand): Tensor {
  if (typeof b === "number" && typeof a !== "number" && a.dtype !== "i32")
    return unary("powScalar", a, b, 0, "pow");
  return arithmetic("pow", a, b);
}

/** The smaller of a and b; NaN if either is NaN. On a tie each side takes half of the gradient. */
export function minimum(a: Operand, b: Operand): Tensor {
  return arithmetic("minimum", a, b);
}

/** The larger of a and b; NaN if either is NaN. On a tie each side takes half of the gradient. */
export function maximum(a: Operand, b: Operand): Tensor {
  return arithmetic("maximum", a, b);
}

/** @internal a op b as u8, with numbers allowed; not differentiable. */
export function compare(op: BinaryOp, left: Operand, right: Operand): Tensor {
  const { a, b, made } = operands(op, left, right);
  const y = computeBinary(op, a, b);
  for (const scalar of made) scalar.dispose();
  return y;
}

/** condition ? a : b, element by element with broadcasting. condition u8 (as comparisons make it); a and b of one dtype, either may be a number. */
export function where(condition: Tensor, left: Operand, right: Operand): Tensor {
  requireDtype("where", "condition", condition, "u8");
  const both = typeof left === "number" && typeof right === "number";
  const first = both ? constant("where", condition, left, "f32") : left;
  const { a, b, made } = operands("where", first, right);
  if (both) made.push(a);
  requireSameDevice("where", condition, a);
  const y = computeWhere(condition, a, b);
  record(
    "where",
    [a, b],
    [y],
    ([dy], sink) => {
      if (dy === null) return;
      const zero = constant("where", dy, 0);
      if (sink.wants(a)) sink.give(a, reducedTo(computeWhere(condition, dy, zero), a.shape));
      if (sink.wants(b)) sink.give(b, reducedTo(computeWhere(condition, zero, dy), b.shape));
      zero.dispose();
    },
    made,
  );
  return y;
}

/**
 * x in another dtype: x itself when it has it already. f32 → bf16 rounds to nearest even, to i32 truncates towards zero, to u8 gives x ≠ 0.
 * Differentiable between f32 and bf16.
 */
export function cast(x: Tensor, dtype: Dtype): Tensor {
  if (x.dtype === dtype) return x;
  requireDtype("cast", "x", x, "f32", "bf16", "i32", "u8");
  if (dtype === "i64")
    throw new DtypeError("cast: i64 holds addresses only; use i32 for integers.", { dtype });
  const y = computeCast(x, dtype);
  if ([x.dtype, dtype].some((name) => name === "i32" || name === "u8")) return y;
  record("cast", [x], [y], ([dy], sink) => {
    if (dy !== null && sink.wants(x)) sink.give(x, computeCast(dy, x.dtype));
  });
  return y;
}
