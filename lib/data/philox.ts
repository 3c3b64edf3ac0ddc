/**
 * Philox 4x32-10: a counter-based random generator (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011).
 * A number depends on (key, counter) only, so any position of a random sequence is reached without the ones before it.
 */

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;

/** High 32 bits of the 64-bit product of two unsigned 32-bit integers; every partial sum stays below 2^53. */
function mulHigh(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const other = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + (middle >>> 16) + (other >>> 16)) >>> 0;
}

/**
 * One block of four random 32-bit numbers.
 * @param out receives the four numbers (unsigned)
 */
export function philox4x32(
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  k0: number,
  k1: number,
  out: Uint32Array,
): Uint32Array {
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = mulHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = mulHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
  return out;
}

/** What random numbers of this room are used for; each use has its own sequence under the same seed. */
export const Stream = { Permutation: 1, Offset: 2, Split: 3, Mixture: 4, Middle: 5, Sample: 8 } as const;
export type Stream = (typeof Stream)[keyof typeof Stream];

const block = new Uint32Array(4);

/** High and low 32 bits of an integer in [0, 2^53). */
function halves(value: number): [high: number, low: number] {
  return [Math.floor(value / 0x100000000), value >>> 0];
}

/**
 * The random number in [0, 1) with 53 bits that belongs to (seed, stream, index, sub).
 * @param seed integer in [0, 2^53)
 * @param index integer in [0, 2^53), for example a step
 * @param sub integer in [0, 2^32), for example a row
 */
export function uniform(seed: number, stream: Stream, index: number, sub = 0): number {
  const [seedHigh, seedLow] = halves(seed);
  const [indexHigh, indexLow] = halves(index);
  // The index's high half has 21 bits; the stream shares its word.
  philox4x32(indexLow, ((stream << 24) | indexHigh) >>> 0, sub >>> 0, 0, seedLow, seedHigh, block);
  return ((block[0] >>> 11) * 0x100000000 + block[1]) / 0x20000000000000;
}
