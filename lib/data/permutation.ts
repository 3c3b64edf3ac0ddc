/**
 * A seeded permutation of 0…n−1 without a table: a Feistel network over the smallest even number of bits that holds n,
 * walked until it lands inside the range. Any position costs the same small time and no memory, for any n below 2^52.
 */
import { philox4x32, Stream } from "./philox.js";

const ROUNDS = 6;
/** Below this size of the network small permutations would be too regular. */
const LEAST_HALF_BITS = 4;

const block = new Uint32Array(4);

export class Permutation {
  private readonly halfBits: number;
  private readonly halfSize: number;
  private readonly keyLow: number;
  private readonly keyHigh: number;

  /**
   * @param size n, an integer in [1, 2^52)
   * @param seed integer in [0, 2^53)
   * @param round which permutation of this seed, for example the epoch; integer in [0, 2^32)
   */
  constructor(
    readonly size: number,
    seed: number,
    private readonly round: number,
  ) {
    let bits = LEAST_HALF_BITS;
    while (4 ** bits < size) bits++;
    this.halfBits = bits;
    this.halfSize = 2 ** bits;
    this.keyLow = seed >>> 0;
    this.keyHigh = Math.floor(seed / 0x100000000);
  }

  /** The element at a position in [0, size). */
  at(position: number): number {
    let value = position;
    // The walk ends: a permutation of the larger range leads every inside element back inside.
    do value = this.step(value);
    while (value >= this.size);
    return value;
  }

  private step(value: number): number {
    let left = Math.floor(value / this.halfSize);
    let right = value % this.halfSize;
    for (let i = 0; i < ROUNDS; i++) {
      philox4x32(right, this.round, i, Stream.Permutation, this.keyLow, this.keyHigh, block);
      const mixed = (left ^ (block[0] >>> (32 - this.halfBits))) >>> 0;
      left = right;
      right = mixed;
    }
    return left * this.halfSize + right;
  }
}
