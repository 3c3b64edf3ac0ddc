/**
 * The 64-bit hash xxHash (seed 0), whose low half ends a zstd frame. Written in 32-bit halves, because BigInt arithmetic is
 * some fifty times slower.
 */

// The five primes, as high and low halves.
const P1H = 0x9e3779b1;
const P1L = 0x85ebca87;
const P2H = 0xc2b2ae3d;
const P2L = 0x27d4eb4f;
const P3H = 0x165667b1;
const P3L = 0x9e3779f9;
const P4H = 0x85ebca77;
const P4L = 0xc2b2ae63;
const P5H = 0x27d4eb2f;
const P5L = 0x165667c5;

/** High half of the last result; the low half is returned. */
let high = 0;

/** The high 32 bits of a product of two unsigned 32-bit numbers. */
function productHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const other = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + (middle - (middle & 0xffff)) / 65536 + Math.floor(other / 65536)) | 0;
}

function multiply(aHigh: number, aLow: number, bHigh: number, bLow: number): number {
  high = (productHigh(aLow, bLow) + Math.imul(aHigh, bLow) + Math.imul(aLow, bHigh)) | 0;
  return Math.imul(aLow, bLow);
}

function add(aHigh: number, aLow: number, bHigh: number, bLow: number): number {
  const low = (aLow + bLow) | 0;
  high = (aHigh + bHigh + (low >>> 0 < aLow >>> 0 ? 1 : 0)) | 0;
  return low;
}

/** Rotation to the left by 1 to 31 bits. */
function rotate(aHigh: number, aLow: number, bits: number): number {
  high = (aHigh << bits) | (aLow >>> (32 - bits));
  return (aLow << bits) | (aHigh >>> (32 - bits));
}

/** rotl(accumulator + input·P2, 31)·P1 */
function round(accHigh: number, accLow: number, inputHigh: number, inputLow: number): number {
  let low = multiply(inputHigh, inputLow, P2H, P2L);
  low = add(accHigh, accLow, high, low);
  low = rotate(high, low, 31);
  return multiply(high, low, P1H, P1L);
}

/** A hash that takes bytes piece by piece. */
export class XxHash64 {
  /** Four lanes, each as high and low half. */
  private readonly lanes = Int32Array.of(
    (P1H + P2H + (P1L + P2L > 0xffffffff ? 1 : 0)) | 0,
    (P1L + P2L) | 0,
    P2H | 0,
    P2L | 0,
    0,
    0,
    0,
    0,
  );
  private readonly rest = new Uint8Array(32);
  private restLength = 0;
  private total = 0;

  constructor() {
    // 0 − P1, in two's complement.
    this.lanes[6] = ~P1H;
    this.lanes[7] = -P1L | 0;
  }

  update(bytes: Uint8Array): void {
    this.total += bytes.length;
    let at = 0;
    if (this.restLength > 0) {
      at = Math.min(32 - this.restLength, bytes.length);
      this.rest.set(bytes.subarray(0, at), this.restLength);
      this.restLength += at;
      if (this.restLength < 32) return;
      this.stripes(this.rest, 0, 32);
      this.restLength = 0;
    }
    const end = at + ((bytes.length - at) & ~31);
    this.stripes(bytes, at, end);
    this.rest.set(bytes.subarray(end));
    this.restLength = bytes.length - end;
  }

  /** The low 32 bits of the hash of all bytes so far, unsigned. */
  low(): number {
    const { lanes, rest, total } = this;
    let low = P5L | 0;
    high = P5H;
    if (total >= 32) {
      low = rotate(lanes[0], lanes[1], 1);
      let sum = high;
      for (const [lane, bits] of [
        [1, 7],
        [2, 12],
        [3, 18],
      ]) {
        const part = rotate(lanes[2 * lane], lanes[2 * lane + 1], bits);
        low = add(sum, low, high, part);
        sum = high;
      }
      for (let lane = 0; lane < 4; lane++) {
        const accumulated = high;
        const mixed = round(0, 0, lanes[2 * lane], lanes[2 * lane + 1]);
        low = multiply(accumulated ^ high, low ^ mixed, P1H, P1L);
        low = add(high, low, P4H, P4L);
      }
    }
    low = add(high, low, Math.floor(total / 2 ** 32), total | 0);
    const view = new DataView(rest.buffer);
    let at = 0;
    for (; at + 8 <= this.restLength; at += 8) {
      const accumulated = high;
      const mixed = round(0, 0, view.getInt32(at + 4, true), view.getInt32(at, true));
      low = rotate(accumulated ^ high, low ^ mixed, 27);
      low = multiply(high, low, P1H, P1L);
      low = add(high, low, P4H, P4L);
    }
    if (at + 4 <= this.restLength) {
      const accumulated = high;
      const mixed = multiply(0, view.getInt32(at, true), P1H, P1L);
      low = rotate(accumulated ^ high, low ^ mixed, 23);
      low = multiply(high, low, P2H, P2L);
      low = add(high, low, P3H, P3L);
      at += 4;
    }
    for (; at < this.restLength; at++) {
      const accumulated = high;
      const mixed = multiply(0, rest[at], P5H, P5L);
      low = rotate(accumulated ^ high, low ^ mixed, 11);
      low = multiply(high, low, P1H, P1L);
    }
    low ^= high >>> 1; // h ^= h >> 33
    low = multiply(high, low, P2H, P2L);
    const shifted = (low >>> 29) | (high << 3); // h ^= h >> 29
    high ^= high >>> 29;
    low = multiply(high, low ^ shifted, P3H, P3L);
    return (low ^ high) >>> 0; // h ^= h >> 32
  }

  private stripes(bytes: Uint8Array, begin: number, end: number): void {
    const { lanes } = this;
    for (let at = begin; at < end; at += 8) {
      const lane = ((at - begin) >> 2) & 6;
      const inputLow = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
      const inputHigh = bytes[at + 4] | (bytes[at + 5] << 8) | (bytes[at + 6] << 16) | (bytes[at + 7] << 24);
      lanes[lane + 1] = round(lanes[lane], lanes[lane + 1], inputHigh, inputLow);
      lanes[lane] = high;
    }
  }
}
