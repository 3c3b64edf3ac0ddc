/** Random tensors and dropout. */

import { ConfigError } from "../../errors.js";
import { DTYPE_CODE } from "../../native/dtype.js";
import { record } from "../autograd.js";
import { nextDraw, nextPlainDraw } from "../random.js";
import { empty, type Shape, type Tensor, type TensorOptions } from "../tensor.js";
import { RANDOM_KINDS } from "./codes.js";
import { code, emptyLike, optional, requireDtype, run } from "./kernel.js";

function draw(
  shape: Shape,
  kind: keyof typeof RANDOM_KINDS,
  p0: number,
  p1: number,
  options: TensorOptions,
): Tensor {
  const { seed, offset } = nextPlainDraw(kind);
  const out = empty(shape, options);
  run(out, "random", out.use(), out.size, DTYPE_CODE[out.dtype], RANDOM_KINDS[kind], seed, offset, p0, p1);
  return out;
}

/** Uniform numbers in [low, high). */
export function uniform(shape: Shape, low = 0, high = 1, options: TensorOptions = {}): Tensor {
  return draw(shape, "uniform", low, high, options);
}

/** Normal numbers. */
export function normal(shape: Shape, mean = 0, std = 1, options: TensorOptions = {}): Tensor {
  return draw(shape, "normal", mean, std, options);
}

/** Normal numbers clipped at three standard deviations. */
export function truncatedNormal(shape: Shape, mean = 0, std = 1, options: TensorOptions = {}): Tensor {
  return draw(shape, "truncatedNormal", mean, std, options);
}

/** 1 with probability p, else 0. */
export function bernoulli(shape: Shape, p: number, options: TensorOptions = {}): Tensor {
  return draw(shape, "bernoulli", p, 0, options);
}

/** Zeroes elements with probability p and scales the others by 1/(1 − p); p = 0 returns x itself. f32 or bf16. */
export function dropout(x: Tensor, p: number): Tensor {
  if (!(p >= 0 && p <= 1)) throw new ConfigError(`dropout: p must lie in [0, 1], got ${p}.`, { p });
  if (p === 0) return x;
  requireDtype("dropout", "x", x, "f32", "bf16");
  const { seed, offset, counter } = nextDraw();
  const y = emptyLike(x);
  run(x, "dropout", x.use(), y.use(), optional(counter), x.size, code(x), p, seed, offset);
  record("dropout", [x], [y], ([dy], sink) => {
    if (dy === null || !sink.wants(x)) return;
    const dx = emptyLike(x);
    run(x, "dropout", dy.use(), dx.use(), optional(counter), x.size, code(x), p, seed, offset);
    sink.give(x, dx);
  });
  return y;
}
