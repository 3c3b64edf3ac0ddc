/** Axes of a tensor: checks, and the view [outer, n, inner] that kernels along an axis take. Nothing here is recorded. */

import { ShapeError } from "../../errors.js";
import { type Shape, showShape, sizeOf, type Tensor } from "../tensor.js";
import { REDUCE_OPS } from "./codes.js";
import { code, emptyLike, run } from "./kernel.js";
import { inverseOrder, permuted } from "./layout.js";

/** One axis, several, or (null, undefined) all of them; negative ones count from the end. */
export type Axes = number | readonly number[] | null | undefined;

/** The axis as a number from 0 to rank − 1. */
export function normaliseAxis(op: string, axis: number, rank: number): number {
  const at = axis < 0 ? axis + rank : axis;
  if (Number.isInteger(at) && at >= 0 && at < rank) return at;
  throw new ShapeError(
    rank === 0
      ? `${op}: axis ${axis} was given for a scalar, which has none.`
      : `${op}: axis ${axis} lies outside ${-rank} to ${rank - 1} for a tensor with ${rank} dimensions.`,
    { op, axis, rank },
  );
}

/** The axes in ascending order, each once. */
export function normaliseAxes(op: string, axes: Axes, rank: number): number[] {
  if (axes == null) return Array.from({ length: rank }, (_, d) => d);
  const list = (typeof axes === "number" ? [axes] : axes).map((axis) => normaliseAxis(op, axis, rank));
  if (new Set(list).size !== list.length) {
    throw new ShapeError(`${op}: an axis occurs twice in [${(axes as number[]).join(", ")}].`, { op, axes });
  }
  return list.sort((a, b) => a - b);
}

/** The three lengths around one axis (from 0): before it, its own, after it. */
export function axisView(shape: Shape, axis: number): { outer: number; n: number; inner: number } {
  return { outer: sizeOf(shape.slice(0, axis)), n: shape[axis], inner: sizeOf(shape.slice(axis + 1)) };
}

/** A tensor seen as lines along the chosen axes. */
export interface Lines {
  outer: number;
  /** Elements of a line. */
  n: number;
  inner: number;
  /** The order of axes that brings the chosen ones together at the end; null when they lie together already. */
  order: number[] | null;
  /** Shape of a result with one value a line, the chosen axes left out. */
  kept: number[];
  /** The same with the chosen axes as 1. */
  keptAsOnes: number[];
}

/** How `axes` (ascending) of a tensor of `shape` become lines. */
export function linesOf(shape: Shape, axes: readonly number[]): Lines {
  const chosen = new Set(axes);
  const kept = shape.filter((_, d) => !chosen.has(d));
  const keptAsOnes = shape.map((length, d) => (chosen.has(d) ? 1 : length));
  const significant = axes.filter((axis) => shape[axis] !== 1);
  if (significant.length === 0)
    return { outer: sizeOf(shape), n: 1, inner: 1, order: null, kept, keptAsOnes };
  const first = significant[0];
  const last = significant[significant.length - 1];
  const n = axes.reduce((product, axis) => product * shape[axis], 1);
  const together = shape.every((length, d) => d < first || d > last || chosen.has(d) || length === 1);
  if (together) {
    return {
      outer: sizeOf(shape.slice(0, first)),
      n,
      inner: sizeOf(shape.slice(last + 1)),
      order: null,
      kept,
      keptAsOnes,
    };
  }
  const order = [...shape.keys()].filter((d) => !chosen.has(d)).concat(axes);
  return { outer: sizeOf(kept), n, inner: 1, order, kept, keptAsOnes };
}

/** x with its lines together: a copy, or x itself when they lie so already. Dispose the result only if it is not x. */
export function gatherLines(op: string, x: Tensor, lines: Lines): Tensor {
  return lines.order === null ? x : permuted(op, x, lines.order);
}

/** Brings a result laid out as lines back to x's layout; takes ownership of `result`. */
export function restoreLines(op: string, result: Tensor, lines: Lines, shape: Shape): Tensor {
  const { order } = lines;
  if (order === null) return result.move(shape);
  const laidOut = result.move(order.map((axis) => shape[axis]));
  const restored = permuted(op, laidOut, inverseOrder(order));
  laidOut.dispose();
  return restored;
}

/** One value a line, of shape `lines.kept`; i32 for argMax and argMin. */
export function reduceLines(name: keyof typeof REDUCE_OPS, x: Tensor, lines: Lines): Tensor {
  const source = gatherLines(name, x, lines);
  const isIndex = name === "argMax" || name === "argMin";
  const y = emptyLike(x, lines.kept, isIndex ? "i32" : x.dtype);
  run(x, "reduce", source.use(), y.use(), REDUCE_OPS[name], code(x), lines.outer, lines.n, lines.inner);
  if (source !== x) source.dispose();
  return y;
}

/** A gradient summed over the axes along which a tensor of shape `to` was repeated to the gradient's shape; a new tensor. */
export function sumTo(gradient: Tensor, to: Shape): Tensor {
  const from = gradient.shape;
  const missing = from.length - to.length;
  const axes = [...from.keys()].filter((d) => d < missing || (to[d - missing] === 1 && from[d] !== 1));
  return reduceLines("sum", gradient, linesOf(from, axes)).move(to);
}

/** Throws ShapeError unless `shape` is `expected` but for the length of `axis`. */
export function requireSameExcept(
  op: string,
  argument: string,
  shape: Shape,
  expected: Shape,
  axis: number,
): void {
  const fits =
    shape.length === expected.length && shape.every((length, d) => d === axis || length === expected[d]);
  if (fits) return;
  const wanted = expected.map((length, d) => (d === axis ? "any" : String(length))).join(", ");
  throw new ShapeError(`${op}: ${argument} must have shape [${wanted}], got ${showShape(shape)}.`, {
    op,
    argument,
    expected,
    got: shape,
  });
}
