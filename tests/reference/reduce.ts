/**
 * Oracle of what runs along one axis: reductions, arg-reductions, cumulative sum, softmax, gather and scatter-add.
 * A tensor is seen as [outer, n, inner], where n is the axis; results of reductions are [outer, inner].
 */
import { logSumExp, sizeOf, type Values } from "./array.js";

/** The three sizes around an axis (negative axes count from the end). */
export function axisView(shape: Values, axis: number): { outer: number; n: number; inner: number } {
  const sizes = Array.from(shape);
  const at = axis < 0 ? axis + sizes.length : axis;
  return { outer: sizeOf(sizes.slice(0, at)), n: sizes[at], inner: sizeOf(sizes.slice(at + 1)) };
}

/** Copies the line of x that runs along the axis at (outer, inner) position `o`, `i`. */
function lineOf(x: Values, n: number, inner: number, o: number, i: number): Float64Array {
  return Float64Array.from({ length: n }, (_, j) => x[(o * n + j) * inner + i]);
}

/** Applies `f` to every line along the axis; f returns a line of any length (the same for all). */
function mapLines(
  x: Values,
  shape: Values,
  axis: number,
  f: (line: Float64Array, position: number) => ArrayLike<number>,
  length: number,
): Float64Array {
  const { outer, n, inner } = axisView(shape, axis);
  const y = new Float64Array(outer * length * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const result = f(lineOf(x, n, inner, o, i), o * inner + i);
      for (let j = 0; j < length; j++) y[(o * length + j) * inner + i] = result[j];
    }
  }
  return y;
}

/** Index of the largest value, the lowest on ties; −1 for an empty line. A NaN wins, the first one. */
export function argmaxOf(line: Values): number {
  let best = line.length > 0 ? 0 : -1;
  for (let j = 1; j < line.length; j++) {
    if (Number.isNaN(line[best])) return best;
    if (line[j] > line[best] || Number.isNaN(line[j])) best = j;
  }
  return best;
}

const negated = (line: Values): Float64Array => Float64Array.from(line, (value) => -value);
const sumOf = (line: Float64Array): number => line.reduce((sum, value) => sum + value, 0);

/** One number per line. Empty lines give 0, NaN, −∞, +∞, −1, −1, 1 and −∞ in this order. */
const reductions = {
  sum: sumOf,
  mean: (line: Float64Array) => sumOf(line) / line.length,
  max: (line: Float64Array) => line.reduce((a, b) => Math.max(a, b), -Infinity),
  min: (line: Float64Array) => line.reduce((a, b) => Math.min(a, b), Infinity),
  argmax: argmaxOf,
  argmin: (line: Float64Array) => argmaxOf(negated(line)),
  prod: (line: Float64Array) => line.reduce((a, b) => a * b, 1),
  logsumexp: logSumExp,
} satisfies Record<string, (line: Float64Array) => number>;

/** Name of a reduction. */
export type ReduceName = keyof typeof reductions;

/** Reduces over one axis: [outer, n, inner] → [outer, inner]. */
export function reduce(name: ReduceName, x: Values, shape: Values, axis: number): Float64Array {
  return mapLines(x, shape, axis, (line) => [reductions[name](line)], 1);
}

/** ∂(reduction)/∂(line). max and min give all to the entry that argmax or argmin names. */
const lineGradients: Record<ReduceName, (line: Float64Array) => Float64Array> = {
  sum: (line) => line.map(() => 1),
  mean: (line) => line.map(() => 1 / line.length),
  max: (line) => oneHot(line.length, argmaxOf(line)),
  min: (line) => oneHot(line.length, argmaxOf(negated(line))),
  argmax: (line) => line.map(() => 0),
  argmin: (line) => line.map(() => 0),
  prod: (line) =>
    line.map((_, at) => line.reduce((product, value, j) => (j === at ? product : product * value), 1)),
  logsumexp: (line) => softmaxOf(line),
};

function oneHot(length: number, at: number): Float64Array {
  const values = new Float64Array(length);
  if (at >= 0) values[at] = 1;
  return values;
}

/** dx of `reduce`: dy: [outer, inner] → [outer, n, inner]. */
export function reduceBackward(
  name: ReduceName,
  x: Values,
  shape: Values,
  axis: number,
  dy: Values,
): Float64Array {
  const { n } = axisView(shape, axis);
  return mapLines(
    x,
    shape,
    axis,
    (line, position) => lineGradients[name](line).map((derivative) => derivative * dy[position]),
    n,
  );
}

/** Running sum along the axis; `reverse` runs from the end (which is also the backward of the plain one). */
export function cumulativeSum(x: Values, shape: Values, axis: number, reverse = false): Float64Array {
  const running = (line: Float64Array): Float64Array => {
    let sum = 0;
    return line.map((value) => {
      sum += value;
      return sum;
    });
  };
  const { n } = axisView(shape, axis);
  return mapLines(x, shape, axis, (line) => (reverse ? running(line.reverse()).reverse() : running(line)), n);
}

/** dx of `cumulativeSum`: the sum that runs the other way over dy. */
export function cumulativeSumBackward(
  dy: Values,
  shape: Values,
  axis: number,
  reverse = false,
): Float64Array {
  return cumulativeSum(dy, shape, axis, !reverse);
}

/** exp(x − max)/Σ exp(x − max) of one line; a line of only −∞ gives zeros. */
export function softmaxOf(line: Values): Float64Array {
  const largest = Array.from(line).reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = Float64Array.from(line, (value) => (largest === -Infinity ? 0 : Math.exp(value - largest)));
  const total = sumOf(powers);
  return total === 0 ? powers : powers.map((power) => power / total);
}

/** Softmax along the axis. */
export function softmax(x: Values, shape: Values, axis: number): Float64Array {
  return mapLines(x, shape, axis, softmaxOf, axisView(shape, axis).n);
}

/** dx = y·(dy − Σ dy·y) from the output y of `softmax`. */
export function softmaxBackward(y: Values, dy: Values, shape: Values, axis: number): Float64Array {
  const { outer, n, inner } = axisView(shape, axis);
  const dx = new Float64Array(y.length);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const probability = lineOf(y, n, inner, o, i);
      const upstream = lineOf(dy, n, inner, o, i);
      const mean = sumOf(probability.map((p, j) => p * upstream[j]));
      for (let j = 0; j < n; j++) dx[(o * n + j) * inner + i] = probability[j] * (upstream[j] - mean);
    }
  }
  return dx;
}

/** log softmax along the axis. */
export function logSoftmax(x: Values, shape: Values, axis: number): Float64Array {
  const line = (values: Float64Array): Float64Array => {
    const lse = logSumExp(values);
    return values.map((value) => value - lse);
  };
  return mapLines(x, shape, axis, line, axisView(shape, axis).n);
}

/** dx = dy − exp(y)·Σ dy from the output y of `logSoftmax`. */
export function logSoftmaxBackward(y: Values, dy: Values, shape: Values, axis: number): Float64Array {
  const { outer, n, inner } = axisView(shape, axis);
  const dx = new Float64Array(y.length);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const total = sumOf(lineOf(dy, n, inner, o, i));
      for (let j = 0; j < n; j++) {
        const at = (o * n + j) * inner + i;
        dx[at] = dy[at] - Math.exp(y[at]) * total;
      }
    }
  }
  return dx;
}

/** out[o, j, i] = x[o, index[o, j, i], i]; index: [outer, picks, inner] → the same shape. */
export function gather(x: Values, shape: Values, axis: number, index: Values, picks: number): Float64Array {
  const { outer, n, inner } = axisView(shape, axis);
  const out = new Float64Array(outer * picks * inner);
  for (let o = 0; o < outer; o++) {
    for (let j = 0; j < picks; j++) {
      for (let i = 0; i < inner; i++) {
        const at = (o * picks + j) * inner + i;
        out[at] = x[(o * n + index[at]) * inner + i];
      }
    }
  }
  return out;
}

/**
 * out = base, then out[o, index[o, j, i], i] += source[o, j, i]; `shape` is base's, index and source are
 * [outer, picks, inner]. With a base of zeros it is the backward of `gather`; its own backward is dbase = dout
 * and dsource = gather(dout).
 */
export function scatterAdd(
  base: Values,
  shape: Values,
  axis: number,
  index: Values,
  source: Values,
  picks: number,
): Float64Array {
  const { outer, n, inner } = axisView(shape, axis);
  const out = Float64Array.from(base);
  for (let o = 0; o < outer; o++) {
    for (let j = 0; j < picks; j++) {
      for (let i = 0; i < inner; i++) {
        const at = (o * picks + j) * inner + i;
        out[(o * n + index[at]) * inner + i] += source[at];
      }
    }
  }
  return out;
}
