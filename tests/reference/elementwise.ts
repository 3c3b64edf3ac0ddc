/**
 * Oracle of the elementwise families: unary functions with their derivatives, binary functions with NumPy-style
 * broadcasting and the gradients summed back over broadcast axes, where, and clamp.
 */
import { logistic, sizeOf, type Values } from "./array.js";

/** erf by the series 2/√π·e^(−x²)·Σ 2ⁿx^(2n+1)/(2n+1)!!, whose terms are all of one sign. */
export function erf(x: number): number {
  const magnitude = Math.abs(x);
  if (magnitude > 6) return Math.sign(x);
  let term = magnitude;
  let sum = term;
  for (let n = 1; term > sum * 1e-18; n++) {
    term *= (2 * magnitude * magnitude) / (2 * n + 1);
    sum += term;
  }
  return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * Math.exp(-magnitude * magnitude) * sum;
}

/** 1 − erf(x); by its continued fraction where the difference would cancel. */
export function erfc(x: number): number {
  if (x < 2) return 1 - erf(x);
  let fraction = x;
  for (let n = 200; n >= 1; n--) fraction = x + n / 2 / fraction;
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * fraction);
}

/** Standard normal distribution function Φ. */
export function normalCdf(x: number): number {
  return 0.5 * erfc(-x / Math.SQRT2);
}

const normalDensity = (x: number): number => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
const rootTwoOverPi = Math.sqrt(2 / Math.PI);
const geluCubic = 0.044715;
const geluInner = (x: number): number => Math.tanh(rootTwoOverPi * (x + geluCubic * x ** 3));

/** f and df/dx of every unary function. Kinks: abs, relu and sign have derivative 0 at 0. */
export const unaryFunctions = {
  neg: [(x: number) => -x, () => -1],
  exp: [Math.exp, Math.exp],
  expm1: [Math.expm1, Math.exp],
  log: [Math.log, (x: number) => 1 / x],
  log1p: [Math.log1p, (x: number) => 1 / (1 + x)],
  sqrt: [Math.sqrt, (x: number) => 0.5 / Math.sqrt(x)],
  rsqrt: [(x: number) => 1 / Math.sqrt(x), (x: number) => -0.5 / (x * Math.sqrt(x))],
  tanh: [Math.tanh, (x: number) => 1 - Math.tanh(x) ** 2],
  sigmoid: [logistic, (x: number) => logistic(x) * logistic(-x)],
  logSigmoid: [
    (x: number) => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x))),
    (x: number) => logistic(-x),
  ],
  softplus: [(x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))), logistic],
  relu: [(x: number) => Math.max(x, 0), (x: number) => (x > 0 ? 1 : 0)],
  silu: [(x: number) => x * logistic(x), (x: number) => logistic(x) * (1 + x * logistic(-x))],
  gelu: [(x: number) => x * normalCdf(x), (x: number) => normalCdf(x) + x * normalDensity(x)],
  geluTanh: [
    (x: number) => 0.5 * x * (1 + geluInner(x)),
    (x: number) => {
      const t = geluInner(x);
      return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * rootTwoOverPi * (1 + 3 * geluCubic * x * x);
    },
  ],
  abs: [Math.abs, Math.sign],
  square: [(x: number) => x * x, (x: number) => 2 * x],
  reciprocal: [(x: number) => 1 / x, (x: number) => -1 / (x * x)],
  sin: [Math.sin, Math.cos],
  cos: [Math.cos, (x: number) => -Math.sin(x)],
  erf: [erf, (x: number) => (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x)],
  sign: [Math.sign, () => 0],
  floor: [Math.floor, () => 0],
} satisfies Record<string, [(x: number) => number, (x: number) => number]>;

/** Name of a unary function. */
export type UnaryName = keyof typeof unaryFunctions;

/** y = f(x). */
export function unary(name: UnaryName, x: Values): Float64Array {
  return Float64Array.from(x, unaryFunctions[name][0]);
}

/** dx = dy·f′(x). */
export function unaryBackward(name: UnaryName, x: Values, dy: Values): Float64Array {
  return Float64Array.from(x, (value, i) => dy[i] * unaryFunctions[name][1](value));
}

type Binary = (a: number, b: number) => number;

/** Derivative of max by its winner: all to the larger side, half to each on a tie, as PyTorch does. */
const winner = (side: number, other: number): number => (side > other ? 1 : side === other ? 0.5 : 0);

/** f, ∂f/∂a and ∂f/∂b of every binary function; comparisons and logic give 1 or 0 and have no gradient. */
export const binaryFunctions = {
  add: [(a, b) => a + b, () => 1, () => 1],
  sub: [(a, b) => a - b, () => 1, () => -1],
  mul: [(a, b) => a * b, (_a, b) => b, (a) => a],
  div: [(a, b) => a / b, (_a, b) => 1 / b, (a, b) => -a / (b * b)],
  pow: [
    (a, b) => a ** b,
    (a, b) => (b === 0 ? 0 : b * a ** (b - 1)),
    (a, b) => (a === 0 && b >= 0 ? 0 : a ** b * Math.log(a)),
  ],
  min: [Math.min, (a, b) => winner(-a, -b), (a, b) => winner(-b, -a)],
  max: [Math.max, (a, b) => winner(a, b), (a, b) => winner(b, a)],
  eq: [(a, b) => Number(a === b), () => 0, () => 0],
  ne: [(a, b) => Number(a !== b), () => 0, () => 0],
  lt: [(a, b) => Number(a < b), () => 0, () => 0],
  le: [(a, b) => Number(a <= b), () => 0, () => 0],
  gt: [(a, b) => Number(a > b), () => 0, () => 0],
  ge: [(a, b) => Number(a >= b), () => 0, () => 0],
  logicalAnd: [(a, b) => Number(a !== 0 && b !== 0), () => 0, () => 0],
  logicalOr: [(a, b) => Number(a !== 0 || b !== 0), () => 0, () => 0],
} satisfies Record<string, [Binary, Binary, Binary]>;

/** Name of a binary function. */
export type BinaryName = keyof typeof binaryFunctions;

/** Shape of two broadcast operands: aligned at the last axis, sizes equal or 1. */
export function broadcastShape(a: Values, b: Values): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const sizeA = a[axis - rank + a.length] ?? 1;
    const sizeB = b[axis - rank + b.length] ?? 1;
    return sizeA === 1 ? sizeB : sizeA;
  });
}

/** For every element of a tensor of `shape`, the index of the element of `source` that broadcasting puts there. */
export function broadcastIndex(source: Values, shape: Values): Int32Array {
  const index = new Int32Array(sizeOf(shape));
  for (let flat = 0; flat < index.length; flat++) {
    let rest = flat;
    let stride = 1;
    for (let back = 1; back <= source.length; back++) {
      const size = shape[shape.length - back];
      const sourceSize = source[source.length - back];
      const coordinate = rest % size;
      rest = Math.floor(rest / size);
      if (sourceSize !== 1) index[flat] += coordinate * stride;
      stride *= sourceSize;
    }
  }
  return index;
}

/** f(a, b) with broadcasting → values and their shape. */
export function binary(
  name: BinaryName,
  a: Values,
  aShape: Values,
  b: Values,
  bShape: Values,
): { out: Float64Array; shape: number[] } {
  const shape = broadcastShape(aShape, bShape);
  const atA = broadcastIndex(aShape, shape);
  const atB = broadcastIndex(bShape, shape);
  const f: Binary = binaryFunctions[name][0];
  return { out: Float64Array.from(atA, (index, i) => f(a[index], b[atB[i]])), shape };
}

/** Gradients of `binary`; dy has the broadcast shape, da and db their operand's. */
export function binaryBackward(
  name: BinaryName,
  a: Values,
  aShape: Values,
  b: Values,
  bShape: Values,
  dy: Values,
): { da: Float64Array; db: Float64Array } {
  const shape = broadcastShape(aShape, bShape);
  const atA = broadcastIndex(aShape, shape);
  const atB = broadcastIndex(bShape, shape);
  const byA: Binary = binaryFunctions[name][1];
  const byB: Binary = binaryFunctions[name][2];
  const da = new Float64Array(a.length);
  const db = new Float64Array(b.length);
  for (let i = 0; i < atA.length; i++) {
    da[atA[i]] += dy[i] * byA(a[atA[i]], b[atB[i]]);
    db[atB[i]] += dy[i] * byB(a[atA[i]], b[atB[i]]);
  }
  return { da, db };
}

/** One operand of `where`: values and their shape. */
export interface Operand {
  values: Values;
  shape: Values;
}

/** condition ≠ 0 ? a : b with three-way broadcasting → values and their shape. */
export function where(condition: Operand, a: Operand, b: Operand): { out: Float64Array; shape: number[] } {
  const shape = broadcastShape(condition.shape, broadcastShape(a.shape, b.shape));
  const atA = broadcastIndex(a.shape, shape);
  const atB = broadcastIndex(b.shape, shape);
  const chosen = broadcastIndex(condition.shape, shape);
  const out = Float64Array.from(chosen, (index, i) =>
    condition.values[index] !== 0 ? a.values[atA[i]] : b.values[atB[i]],
  );
  return { out, shape };
}

/** Gradients of `where`: dy goes to the side that was taken. */
export function whereBackward(
  condition: Operand,
  aShape: Values,
  bShape: Values,
  dy: Values,
): { da: Float64Array; db: Float64Array } {
  const shape = broadcastShape(condition.shape, broadcastShape(aShape, bShape));
  const atA = broadcastIndex(aShape, shape);
  const atB = broadcastIndex(bShape, shape);
  const chosen = broadcastIndex(condition.shape, shape);
  const da = new Float64Array(sizeOf(aShape));
  const db = new Float64Array(sizeOf(bShape));
  for (let i = 0; i < chosen.length; i++) {
    if (condition.values[chosen[i]] !== 0) da[atA[i]] += dy[i];
    else db[atB[i]] += dy[i];
  }
  return { da, db };
}

/** min(max(x, low), high); an open side is ∓∞. */
export function clamp(x: Values, low = -Infinity, high = Infinity): Float64Array {
  return Float64Array.from(x, (value) => Math.min(Math.max(value, low), high));
}

/** dx = dy where low ≤ x ≤ high (bounds included, as in PyTorch), else 0. */
export function clampBackward(x: Values, dy: Values, low = -Infinity, high = Infinity): Float64Array {
  return Float64Array.from(x, (value, i) => (value >= low && value <= high ? dy[i] : 0));
}

/** factor·x + offset. */
export function affine(x: Values, factor: number, offset: number): Float64Array {
  return Float64Array.from(x, (value) => factor * value + offset);
}

/** x^exponent. */
export function powScalar(x: Values, exponent: number): Float64Array {
  return Float64Array.from(x, (value) => value ** exponent);
}

/** dx = dy·exponent·x^(exponent − 1), and 0 for exponent 0. */
export function powScalarBackward(x: Values, dy: Values, exponent: number): Float64Array {
  return Float64Array.from(x, (value, i) =>
    exponent === 0 ? 0 : dy[i] * exponent * value ** (exponent - 1),
  );
}
