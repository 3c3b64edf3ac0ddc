/** Dropout of merges, and the cache of pieces, in native/text/model. */
import { describe, expect, it } from "vitest";
import { runHostProgram } from "../host/program.js";

const SOURCES = [
  ...["bpe", "byte_alphabet", "merges", "piece_cache", "shown", "units", "vocabulary"].map(
    (name) => `text/model/${name}.cc`,
  ),
  "text/unicode/utf8.cc",
];
const [DROPOUT, CACHE] = [0, 1];
const ROUNDS = 20_000;

const rows = [
  [DROPOUT, 0, 1, 3],
  [DROPOUT, 1000, 1, 3],
  [DROPOUT, 250, 1, ROUNDS],
  [DROPOUT, 250, 1, ROUNDS],
  [DROPOUT, 250, 2, ROUNDS],
  [CACHE, 8 << 20, 1000, 5000],
  [CACHE, 4096, 1000, 5000],
  [CACHE, 4096, 3, 100],
  [CACHE, 100, 1000, 1000],
];
const results = runHostProgram("../text/pieces.cc", rows, SOURCES);

/** The ids of each round as a string. */
const rounds = (row: number[]) => row.join("").split("9").slice(0, -1);

describe("dropout", () => {
  it("of 0 merges all, of 1 nothing", () => {
    expect(rounds(results[0])).toEqual(["3", "3", "3"]);
    expect(rounds(results[1])).toEqual(["0101", "0101", "0101"]);
  });

  it("follows its seed", () => {
    expect(results[2]).toEqual(results[3]);
    expect(results[2]).not.toEqual(results[4]);
  });

  it("leaves merges out with its probability", () => {
    // Nothing merges where both "ab" are passed over, one after the other.
    const p = 0.25;
    const share = (ids: string) => rounds(results[2]).filter((round) => round === ids).length / ROUNDS;
    const near = (found: number, expected: number) => {
      const deviation = Math.sqrt((expected * (1 - expected)) / ROUNDS);
      expect(Math.abs(found - expected)).toBeLessThan(5 * deviation);
    };
    near(share("0101"), p * p);
    expect(new Set(rounds(results[2]))).toEqual(new Set(["3", "22", "012", "201", "0101"]));
  });
});

describe("the cache of pieces", () => {
  it("never changes ids or lengths, however small it is", () => {
    for (const row of results.slice(5)) expect(row).toEqual([1]);
  });
});
