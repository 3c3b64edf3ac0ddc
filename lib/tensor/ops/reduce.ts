/** Reductions over one axis, several or all of them, and running sums. Sums run in f32; bf16 results are rounded once. */

import { ConfigError } from "../../errors.js";
import { record } from "../autograd.js";
import { scope } from "../scope.js";
import type { Tensor } from "../tensor.js";
import {
  type Axes,
  axisView,
  gatherLines,
  type Lines,
  linesOf,
  normaliseAxes,
  normaliseAxis,
  reduceLines,
  restoreLines,
} from "./axes.js";
import { REDUCE_OPS } from "./codes.js";
import { computeBinary, computeCast, computeUnary, computeWhere, constant } from "./compute.js";
import { code, emptyLike, flag, requireDtype, run } from "./kernel.js";
import { expanded } from "./layout.js";

/** Options of reductions. */
export interface ReduceOptions {
  /** Keep reduced axes with length 1. Default false. */
  keepDims?: boolean;
}

type ReduceName = keyof typeof REDUCE_OPS;

/** The gradient of x [its shape] from dy; both are x's dtype. */
type ReduceGradient = (dy: Tensor, x: Tensor, y: Tensor, lines: Lines) => Tensor;

function reduce(
  op: ReduceName,
  x: Tensor,
  axes: Axes,
  options: ReduceOptions,
  gradient: ReduceGradient | null,
): Tensor {
  const lines = linesOf(x.shape, normaliseAxes(op, axes, x.rank));
  const reduced = reduceLines(op, x, lines);
  const y = options.keepDims === true ? reduced.move(lines.keptAsOnes) : reduced;
  if (gradient === null || y.dtype === "i32") return y;
  record(op, [x], [y], ([dy], sink) => {
    if (dy !== null && sink.wants(x)) sink.give(x, gradient(dy, x, y, lines));
  });
  return y;
}

/** dy, one value a line, repeated along the lines of x. */
function spread(op: string, dy: Tensor, x: Tensor, lines: Lines): Tensor {
  return expanded(op, dy, lines.keptAsOnes, x.shape);
}

/** Sum over `axes` (default all). f32, bf16 or i32; u8 is counted in i32. */
export function sum(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  if (x.dtype === "u8") {
    const whole = computeCast(x, "i32");
    const count = sum(whole, axes, options);
    whole.dispose();
    return count;
  }
  requireDtype("sum", "x", x, "f32", "bf16", "i32");
  return reduce("sum", x, axes, options, (dy, _x, _y, lines) => spread("sum", dy, x, lines));
}

/** Mean over `axes` (default all); NaN over nothing. f32 or bf16, like every reduction here without another remark. */
export function mean(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  requireDtype("mean", "x", x, "f32", "bf16");
  return reduce("mean", x, axes, options, (dy, _x, _y, lines) => {
    const scaled = computeUnary("affine", dy, 1 / lines.n, 0);
    const dx = spread("mean", scaled, x, lines);
    scaled.dispose();
    return dx;
  });
}

// All of dy goes to the element that argMax or argMin names.
function gradientOfExtreme(index: "argMax" | "argMin"): ReduceGradient {
  return (dy, x, _y, lines) => {
    const { outer, n, inner } = lines;
    const source = gatherLines(index, x, lines);
    const dx = emptyLike(x);
    const winner = emptyLike(x, [outer, inner], "i32");
    run(x, "reduce", source.use(), winner.use(), REDUCE_OPS[index], code(x), outer, n, inner);
    run(x, "scatterAdd", dy.use(), winner.use(), dx.use(), code(x), outer, n, 1, inner, 0);
    winner.dispose();
    if (source !== x) source.dispose();
    return restoreLines(index, dx, lines, x.shape);
  };
}

/** Largest element over `axes` (default all); f32, bf16 or i32. The gradient goes to the first of equal elements. */
export function max(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  requireDtype("max", "x", x, "f32", "bf16", "i32");
  return reduce("max", x, axes, options, gradientOfExtreme("argMax"));
}

/** Smallest element over `axes` (default all); f32, bf16 or i32. The gradient goes to the first of equal elements. */
export function min(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  requireDtype("min", "x", x, "f32", "bf16", "i32");
  return reduce("min", x, axes, options, gradientOfExtreme("argMin"));
}

// The product of the other elements: the product p without zeros, divided by the element, where no other element is zero; else 0.
const gradientOfProduct: ReduceGradient = (dy, x, _y, lines) => {
  const laidOut = scope(() => {
    const { outer, n, inner } = lines;
    const source = gatherLines("prod", x, lines).alias([outer, n, inner]);
    const values = computeCast(source, "f32");
    const upstream = computeCast(dy, "f32").alias([outer, 1, inner]);
    const zero = constant("prod", values, 0);
    const isZero = computeBinary("equal", values, zero);
    const withoutZeros = computeWhere(isZero, constant("prod", values, 1), values);
    const along = linesOf([outer, n, inner], [1]);
    const product = reduceLines("prod", withoutZeros, along).alias([outer, 1, inner]);
    const own = computeCast(isZero, "f32");
    const zeros = reduceLines("sum", own, along).alias([outer, 1, inner]);
    const others = computeBinary("div", product, withoutZeros);
    const gradient = computeBinary("mul", others, upstream);
    return computeCast(computeWhere(computeBinary("equal", own, zeros), gradient, zero), x.dtype);
  });
  return restoreLines("prod", laidOut, lines, x.shape);
};

/** Product over `axes` (default all). */
export function prod(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  requireDtype("prod", "x", x, "f32", "bf16");
  return reduce("prod", x, axes, options, gradientOfProduct);
}

/** Index of the largest element along an axis, the lowest on ties, i32; without an axis, into the flattened tensor. Not differentiable. */
export function argmax(x: Tensor, axis?: number | null, options: ReduceOptions = {}): Tensor {
  requireDtype("argmax", "x", x, "f32", "bf16");
  return reduce("argMax", x, axis, options, null);
}

/** Index of the smallest element along an axis; else as `argmax`. */
export function argmin(x: Tensor, axis?: number | null, options: ReduceOptions = {}): Tensor {
  requireDtype("argmin", "x", x, "f32", "bf16");
  return reduce("argMin", x, axis, options, null);
}

const LOWEST = -3.4028234663852886e38;

/** ln Σ eˣ over `axes` (default all), without overflow. */
export function logSumExp(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  requireDtype("logSumExp", "x", x, "f32", "bf16");
  return reduce("logSumExp", x, axes, options, (dy, _x, y, lines) =>
    scope(() => {
      // Lines of only −∞ have y = −∞; a finite stand-in makes their probabilities 0 instead of NaN.
      const finite = computeUnary("clamp", computeCast(y, "f32"), LOWEST, Number.POSITIVE_INFINITY).alias(
        lines.keptAsOnes,
      );
      const shifted = computeBinary("sub", computeCast(x, "f32"), finite);
      const probability = computeUnary("exp", shifted, 0, 0, shifted);
      const upstream = computeCast(dy, "f32").alias(lines.keptAsOnes);
      return computeCast(computeBinary("mul", probability, upstream, probability), x.dtype);
    }),
  );
}

/** Options of `variance`. */
export interface VarianceOptions extends ReduceOptions {
  /** Subtracted from the count in the divisor: 1 is the unbiased estimate, 0 the plain mean square. Default 1, as in PyTorch. */
  correction?: number;
}

/** Variance over `axes` (default all), computed in f32 in two passes. */
export function variance(x: Tensor, axes?: Axes, options: VarianceOptions = {}): Tensor {
  const { correction = 1, keepDims = false } = options;
  requireDtype("variance", "x", x, "f32", "bf16");
  if (!Number.isFinite(correction) || correction < 0) {
    throw new ConfigError(`variance: correction must be a number from 0, got ${correction}.`, { correction });
  }
  const lines = linesOf(x.shape, normaliseAxes("variance", axes, x.rank));
  const divisor = Math.max(0, lines.n - correction);
  const centred = (): Tensor => {
    const values = computeCast(x, "f32");
    const middle = reduceLines("mean", values, lines).alias(lines.keptAsOnes);
    return computeBinary("sub", values, middle, values);
  };
  const y = scope(() => {
    const difference = centred();
    const squares = reduceLines("sum", computeUnary("square", difference, 0, 0, difference), lines);
    const shape = keepDims ? lines.keptAsOnes : lines.kept;
    const result = computeBinary("div", squares, constant("variance", squares, divisor), squares).move(shape);
    return x.dtype === "f32" ? result : computeCast(result, x.dtype);
  });
  record("variance", [x], [y], ([dy], sink) => {
    if (dy === null || !sink.wants(x)) return;
    const dx = scope(() => {
      const difference = centred();
      const factor = computeUnary("affine", computeCast(dy, "f32"), 2 / divisor, 0).alias(lines.keptAsOnes);
      return computeCast(computeBinary("mul", difference, factor, difference), x.dtype);
    });
    sink.give(x, dx);
  });
  return y;
}

/** Options of `cumsum`. */
export interface CumsumOptions {
  /** Sum from the end. Default false. */
  reverse?: boolean;
}

/** Running sum along an axis; f32, bf16 (summed in f32) or i32. */
export function cumsum(x: Tensor, axis: number, options: CumsumOptions = {}): Tensor {
  const { reverse = false } = options;
  requireDtype("cumsum", "x", x, "f32", "bf16", "i32");
  const { outer, n, inner } = axisView(x.shape, normaliseAxis("cumsum", axis, x.rank));
  const running = (from: Tensor, backwards: boolean): Tensor => {
    const to = emptyLike(from, x.shape);
    run(from, "cumsum", from.use(), to.use(), code(from), outer, n, inner, flag(backwards));
    return to;
  };
  const y = running(x, reverse);
  if (x.dtype === "i32") return y;
  record("cumsum", [x], [y], ([dy], sink) => {
    if (dy !== null && sink.wants(x)) sink.give(x, running(dy, !reverse));
  });
  return y;
}
