/**
 * The oracle: every kernel's mathematics in plain double precision, written to be read and not to be fast.
 * Kernels of every backend are compared with these functions; nothing outside the tests imports them.
 * This file holds what all families share: number lists, seeded numbers, error measures, rounding, differences.
 */

/** Any list of numbers: a plain array or a typed array. */
export type Values = ArrayLike<number>;

/** Seeded source of test data. It is unrelated to the library's Philox stream on purpose. */
export interface Rng {
  /** A double in [0, 1). */
  uniform(): number;
  /** A standard normal double. */
  normal(): number;
  /** An integer in [0, limit). */
  integer(limit: number): number;
  /** `count` doubles in [low, high). */
  uniforms(count: number, low?: number, high?: number): Float64Array;
  /** `count` normal doubles with the given standard deviation. */
  normals(count: number, deviation?: number): Float64Array;
  /** `count` integers in [0, limit). */
  integers(count: number, limit: number): Int32Array;
}

/** Makes a deterministic generator (SplitMix32 pairs, 53 bits a number) from an integer seed. */
export function rng(seed: number): Rng {
  let state = seed >>> 0;
  const word = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
  const uniform = (): number => ((word() >>> 5) * 67108864 + (word() >>> 6)) / 9007199254740992;
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  const integer = (limit: number): number => Math.floor(uniform() * limit);
  return {
    uniform,
    normal,
    integer,
    uniforms: (count, low = 0, high = 1) =>
      Float64Array.from({ length: count }, () => low + (high - low) * uniform()),
    normals: (count, deviation = 1) => Float64Array.from({ length: count }, () => deviation * normal()),
    integers: (count, limit) => Int32Array.from({ length: count }, () => integer(limit)),
  };
}

/** Product of a shape's sizes. */
export function sizeOf(shape: Values): number {
  return Array.from(shape).reduce((product, size) => product * size, 1);
}

/** Σ xᵢ·yᵢ. */
export function dot(x: Values, y: Values): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * y[i];
  return sum;
}

/** Euclidean norm. */
export function norm2(x: Values): number {
  return Math.sqrt(dot(x, x));
}

/** Largest absolute value; 0 for an empty list, NaN as soon as one entry is NaN. */
export function maxAbs(x: Values): number {
  let largest = 0;
  for (let i = 0; i < x.length; i++) largest = Math.max(largest, Math.abs(x[i]));
  return largest;
}

/**
 * ‖out − ref‖ / ‖ref‖. Entries that are the same infinity on both sides count as equal and are left out of both
 * norms, so that log-sum-exp rows of +∞ can be compared. A zero reference gives ‖out‖; a NaN gives NaN.
 */
export function relativeError(out: Values, ref: Values): number {
  if (out.length !== ref.length) return Number.NaN;
  let difference = 0;
  let reference = 0;
  for (let i = 0; i < ref.length; i++) {
    if (out[i] === ref[i] && !Number.isFinite(ref[i])) continue;
    difference += (out[i] - ref[i]) ** 2;
    reference += ref[i] ** 2;
  }
  return reference === 0 ? Math.sqrt(difference) : Math.sqrt(difference / reference);
}

/** 1 − 2⟨x, y⟩ / (‖x‖² + ‖y‖²): 0 for equal vectors, insensitive to a few large entries. Two zero vectors give 0. */
export function cosineDifference(x: Values, y: Values): number {
  if (x.length !== y.length) return Number.NaN;
  const squares = dot(x, x) + dot(y, y);
  return squares === 0 ? 0 : 1 - (2 * dot(x, y)) / squares;
}

/** Each value rounded to the nearest f32, ties to even. */
export function toF32(x: Values): Float64Array {
  return Float64Array.from(x, Math.fround);
}

const floatView = new Float32Array(1);
const bitsView = new Uint32Array(floatView.buffer);

/**
 * Each value rounded to f32 and then to bf16, ties to even both times, as a kernel does that computes in f32 and
 * stores bf16. NaN stays NaN; values beyond the largest bf16 become infinite.
 */
export function toBf16(x: Values): Float64Array {
  return Float64Array.from(x, (value) => {
    if (Number.isNaN(value)) return value;
    floatView[0] = value;
    const keptIsOdd = (bitsView[0] >>> 16) & 1;
    bitsView[0] = ((bitsView[0] + 0x7fff + keptIsOdd) & 0xffff0000) >>> 0;
    return floatView[0];
  });
}

/**
 * Central differences (f(x + ε eᵢ) − f(x − ε eᵢ)) / 2ε at the given indices (all of them by default).
 * With double precision and ε = 1e-5, derivatives of smooth functions come out to about 1e-9 relative.
 */
export function finiteDifference(
  f: (x: Float64Array) => number,
  x: Values,
  eps = 1e-5,
  indices: Values = Array.from({ length: x.length }, (_, i) => i),
): Float64Array {
  const point = Float64Array.from(x);
  return Float64Array.from(indices, (index) => {
    const original = point[index];
    point[index] = original + eps;
    const above = f(point);
    point[index] = original - eps;
    const below = f(point);
    point[index] = original;
    return (above - below) / (2 * eps);
  });
}

/** x + y, element by element. */
export function addArrays(x: Values, y: Values): Float64Array {
  return Float64Array.from(x, (value, i) => value + y[i]);
}

/** x · factor. */
export function scaleArray(x: Values, factor: number): Float64Array {
  return Float64Array.from(x, (value) => value * factor);
}

/** Columns from ≤ c < to of x: [rows, width]. */
export function columns(x: Values, width: number, from: number, to: number): Float64Array {
  const kept = to - from;
  return Float64Array.from({ length: (x.length / width) * kept }, (_, i) => {
    return x[Math.floor(i / kept) * width + from + (i % kept)];
  });
}

/** [a | b] row by row: the inverse of two `columns`. */
export function joinColumns(a: Values, aWidth: number, b: Values, bWidth: number): Float64Array {
  const width = aWidth + bWidth;
  return Float64Array.from({ length: a.length + b.length }, (_, i) => {
    const row = Math.floor(i / width);
    const column = i % width;
    return column < aWidth ? a[row * aWidth + column] : b[row * bWidth + column - aWidth];
  });
}

/** log Σ exp(xᵢ), by the largest value; −∞ for an empty list or one of only −∞. */
export function logSumExp(x: Values): number {
  let largest = -Infinity;
  for (let i = 0; i < x.length; i++) largest = Math.max(largest, x[i]);
  if (largest === -Infinity) return -Infinity;
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += Math.exp(x[i] - largest);
  return largest + Math.log(sum);
}

/** 1 / (1 + e^(−x)) without overflow on either side. */
export function logistic(x: number): number {
  if (x >= 0) return 1 / (1 + Math.exp(-x));
  const e = Math.exp(x);
  return e / (1 + e);
}

/**
 * Relative error of an analytic gradient against central differences of ⟨dy, forward(x)⟩, at the given indices.
 */
export function gradientError(
  forward: (x: Float64Array) => Values,
  x: Values,
  dy: Values,
  analytic: Values,
  indices: Values = Array.from({ length: x.length }, (_, i) => i),
): number {
  const numeric = finiteDifference((point) => dot(forward(point), dy), x, 1e-5, indices);
  const picked = Array.from(indices, (index) => analytic[index]);
  return analytic.length === x.length ? relativeError(picked, numeric) : Number.NaN;
}

/** sin(0.37n + 0.0005n² + 1.13·salt), n from 1: test data that any language can make again, as golden files need. */
export function wave(count: number, salt: number): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => {
    const n = i + 1;
    return Math.sin(0.37 * n + 0.0005 * n * n + 1.13 * salt);
  });
}
