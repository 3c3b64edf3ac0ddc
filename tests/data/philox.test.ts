/** Philox against the known answers of Random123, and the permutation that is built on it. */
import { describe, expect, it } from "vitest";
import { Permutation, philox4x32, Stream, uniform } from "../../lib/data/index.js";

function block(counter: number[], key: number[]): string[] {
  const out = new Uint32Array(4);
  philox4x32(counter[0], counter[1], counter[2], counter[3], key[0], key[1], out);
  return [...out].map((word) => word.toString(16).padStart(8, "0"));
}

/** The same function in arbitrary precision, for comparison on many counters. */
function slowPhilox(counter: number[], key: number[]): string[] {
  const mask = 0xffffffffn;
  let [c0, c1, c2, c3] = counter.map(BigInt);
  let [k0, k1] = key.map(BigInt);
  for (let round = 0; round < 10; round++) {
    const p0 = 0xd2511f53n * c0;
    const p1 = 0xcd9e8d57n * c2;
    [c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 & mask, (p0 >> 32n) ^ c3 ^ k1, p0 & mask];
    k0 = (k0 + 0x9e3779b9n) & mask;
    k1 = (k1 + 0xbb67ae85n) & mask;
  }
  return [c0, c1, c2, c3].map((word) => word.toString(16).padStart(8, "0"));
}

describe("philox4x32", () => {
  it("gives the known answers", () => {
    const ones = 0xffffffff;
    expect(block([0, 0, 0, 0], [0, 0])).toEqual(["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]);
    expect(block([ones, ones, ones, ones], [ones, ones])).toEqual([
      "408f276d",
      "41c83b0e",
      "a20bc7c6",
      "6d5451fd",
    ]);
    expect(block([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])).toEqual([
      "d16cfe09",
      "94fdcceb",
      "5001e420",
      "24126ea1",
    ]);
  });

  it("agrees with arbitrary-precision arithmetic", () => {
    let state = 1;
    const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
    for (let i = 0; i < 200; i++) {
      const counter = [next(), next(), next(), next()];
      const key = [next(), next()];
      expect(block(counter, key)).toEqual(slowPhilox(counter, key));
    }
  });

  it("gives uniform numbers that depend on every argument", () => {
    const base = uniform(1, Stream.Offset, 5, 2);
    expect(uniform(1, Stream.Offset, 5, 2)).toBe(base);
    for (const other of [
      uniform(2, Stream.Offset, 5, 2),
      uniform(1 + 2 ** 32, Stream.Offset, 5, 2),
      uniform(1, Stream.Split, 5, 2),
      uniform(1, Stream.Offset, 6, 2),
      uniform(1, Stream.Offset, 5 + 2 ** 32, 2),
      uniform(1, Stream.Offset, 5, 3),
    ]) {
      expect(other).not.toBe(base);
    }
    let sum = 0;
    for (let i = 0; i < 20000; i++) {
      const u = uniform(3, Stream.Offset, i);
      expect(u >= 0 && u < 1).toBe(true);
      sum += u;
    }
    // The mean of n uniform numbers has the standard deviation 1/√(12 n); six of them here.
    expect(Math.abs(sum / 20000 - 0.5)).toBeLessThan(6 / Math.sqrt(12 * 20000));
  });
});

describe("Permutation", () => {
  it.each([1, 2, 3, 5, 16, 255, 256, 257, 1000, 4097])("visits each of %i elements once", (size) => {
    const order = new Permutation(size, 7, 0);
    const seen = new Set(Array.from({ length: size }, (_, i) => order.at(i)));
    expect(seen.size).toBe(size);
    expect(Math.max(...seen)).toBe(size - 1);
    expect(Math.min(...seen)).toBe(0);
  });

  it("is another order for every seed and round", () => {
    const order = (seed: number, round: number) => {
      const permutation = new Permutation(100, seed, round);
      return Array.from({ length: 100 }, (_, i) => permutation.at(i)).join();
    };
    expect(order(1, 0)).toBe(order(1, 0));
    expect(new Set([order(1, 0), order(1, 1), order(2, 0), order(1 + 2 ** 32, 0)]).size).toBe(4);
  });

  it("puts every element at every place equally often", () => {
    // χ² over 8 elements × 8 places, 4000 permutations: 49 degrees of freedom, mean 49, standard deviation 9.9.
    const counts = new Float64Array(64);
    for (let round = 0; round < 4000; round++) {
      const order = new Permutation(8, 11, round);
      for (let i = 0; i < 8; i++) counts[i * 8 + order.at(i)]++;
    }
    const chi = counts.reduce((sum, count) => sum + (count - 500) ** 2 / 500, 0);
    expect(chi).toBeLessThan(49 + 6 * 9.9);
  });

  it("reaches any position of a very large range", () => {
    const size = 2 ** 45 + 12345;
    const order = new Permutation(size, 3, 0);
    for (const position of [0, 1, 2 ** 40, size - 1]) {
      const value = order.at(position);
      expect(Number.isInteger(value) && value >= 0 && value < size).toBe(true);
    }
  });
});
