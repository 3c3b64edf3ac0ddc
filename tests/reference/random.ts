/**
 * Oracle of the random numbers: Philox4x32-10 (Salmon et al., SC 2011), bit for bit, and what is made from its
 * words. Element i of a stream takes word i mod 4 of the block with counter (⌊i/4⌋, offset) and key = seed, all
 * 64 bit with the low word first, so any element can be drawn alone.
 */
import type { Values } from "./array.js";

/** Four 32-bit words. */
export type Block = [number, number, number, number];

/** High and low word of the 64-bit product of two 32-bit words, in 16-bit halves so that doubles stay exact. */
function multiplyWide(a: number, b: number): [high: number, low: number] {
  const lower = a * (b & 0xffff);
  const upper = a * (b >>> 16) + Math.floor(lower / 0x10000);
  return [Math.floor(upper / 0x10000), Math.imul(a, b) >>> 0];
}

/** Ten rounds of Philox4x32. */
export function philox4x32(counter: Block, key: [number, number]): Block {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const [high0, low0] = multiplyWide(0xd2511f53, c0);
    const [high1, low1] = multiplyWide(0xcd9e8d57, c2);
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** Low and high word of a 64-bit integer given as number (exact up to 2⁵³) or bigint. */
function wordsOf(value: number | bigint): [low: number, high: number] {
  const whole = BigInt.asUintN(64, BigInt(value));
  return [Number(whole & 0xffffffffn), Number(whole >> 32n)];
}

/** The block of a stream that holds elements 4·index … 4·index + 3. */
export function randomBlock(seed: number | bigint, offset: number | bigint, index: number | bigint): Block {
  return philox4x32([...wordsOf(index), ...wordsOf(offset)], wordsOf(seed));
}

/** Uniform in [0, 1) from the 24 high bits of a word: exact in f32. */
export function uniformOf(word: number): number {
  return (word >>> 8) * 2 ** -24;
}

/** `count` uniforms in [0, 1) of a stream. */
export function randomUniform(count: number, seed: number | bigint, offset: number | bigint): Float64Array {
  const out = new Float64Array(count);
  for (let i = 0; i < count; i += 4) {
    randomBlock(seed, offset, i / 4).forEach((word, j) => {
      if (i + j < count) out[i + j] = uniformOf(word);
    });
  }
  return out;
}

/**
 * `count` standard normals of a stream by Box–Muller: the words (0, 1) of a block give its elements 0 and 1, the words
 * (2, 3) its elements 2 and 3. u₁ = 1 − uniform(first) in (0, 1], u₂ = uniform(second), r = √(−2 ln u₁);
 * z = r·cos 2πu₂ and r·sin 2πu₂.
 */
export function randomNormal(count: number, seed: number | bigint, offset: number | bigint): Float64Array {
  const uniforms = randomUniform(Math.ceil(count / 2) * 2, seed, offset);
  return Float64Array.from({ length: count }, (_, i) => {
    const pair = i - (i % 2);
    const radius = Math.sqrt(-2 * Math.log(1 - uniforms[pair]));
    const angle = 2 * Math.PI * uniforms[pair + 1];
    return radius * (i % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
  });
}

/** Standard normals clipped to [−3, 3]. */
export function randomTruncatedNormal(
  count: number,
  seed: number | bigint,
  offset: number | bigint,
): Float64Array {
  return randomNormal(count, seed, offset).map((z) => Math.min(Math.max(z, -3), 3));
}

/** 1 with probability p (where uniform < p), else 0. */
export function randomBernoulli(
  count: number,
  p: number,
  seed: number | bigint,
  offset: number | bigint,
): Float64Array {
  return randomUniform(count, seed, offset).map((u) => (u < p ? 1 : 0));
}

/**
 * Inverted dropout: x/(1 − p) where uniform ≥ p, else 0; p = 1 gives zeros. The backward is the same call on dy.
 */
export function dropout(x: Values, p: number, seed: number | bigint, offset: number | bigint): Float64Array {
  return randomUniform(x.length, seed, offset).map((u, i) => (u >= p ? x[i] / (1 - p) : 0));
}
