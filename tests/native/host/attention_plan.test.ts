/** How attention is cut into blocks: tiles for head sizes, slots for segments, bands of heads, splits of the keys, shared memory of decoding. */
import { describe, expect, it } from "vitest";
import { runHostProgram } from "./program.js";

const [HEAD_TILE, SLOTS, BAND, SPLITS, DECODE, PASS, PITCH] = [0, 1, 2, 3, 4, 5, 6];
const run = (rows: number[][]): number[][] => runHostProgram("attention_plan.cc", rows);

/** What a GPU of compute capability 9.0 and one of 8.0 give to a block, in bytes. */
const HOPPER = 232_448;
const AMPERE = 166_912;
const L2 = 50 * 1024 * 1024;

describe("head sizes", () => {
  it("take the smallest tile that holds them, and the plain cores beyond 256", () => {
    const cases = [
      [24, 16, 0],
      [64, 64, 0],
      [65, 16, 1],
      [64, 96, 1],
      [128, 128, 2],
      [192, 128, 3],
      [130, 64, 3],
      [192, 129, 4],
      [256, 256, 4],
      [257, 1, 5],
      [576, 512, 5],
    ];
    const tiles = run(cases.map(([qk, v]) => [HEAD_TILE, qk, v]));
    expect(tiles.map(([tile]) => tile)).toEqual(cases.map(([, , tile]) => tile));
  });

  it("are padded so that eight rows of a tile lie in different banks", () => {
    for (const [pitch] of run([1, 16, 17, 64, 96, 128, 576].map((channels) => [PITCH, channels]))) {
      expect((pitch / 16) % 2).toBe(1);
    }
  });
});

describe("slots of segments", () => {
  it("are never fewer than a segment's tiles, wherever the segments begin", () => {
    const lengths = [0, 1, 63, 64, 65, 0, 128, 200, 7];
    for (const rowsPerToken of [1, 5]) {
      for (const before of [0, 3, 64]) {
        // What lies before the first segment and behind the last counts as a segment too.
        const all = [before, ...lengths, 11];
        let tokens = 0;
        const boundaries = all.map((n) => {
          tokens += n;
          return tokens - n;
        });
        const row = [SLOTS, tokens, lengths.length, rowsPerToken, 64, ...boundaries];
        const [slots, ...first] = run([row])[0];
        first.push(slots);
        all.forEach((n, i) => {
          expect(first[i + 1] - first[i]).toBeGreaterThanOrEqual(Math.ceil((n * rowsPerToken) / 64));
        });
        expect(slots).toBeLessThanOrEqual(Math.ceil((tokens * rowsPerToken) / 64) + all.length);
      }
    }
  });
});

describe("bands of heads", () => {
  it("hold all heads of short segments, and few of long ones", () => {
    const [[short], [long], [grouped]] = run([
      // heads, group, tokens, segments, bytes of a token, L2, tiles of a head, processors
      [BAND, 12, 1, 16 * 1024, 16, 256, L2, 128, 132],
      [BAND, 128, 1, 65_536, 1, 640, L2, 1024, 132],
      [BAND, 32, 4, 65_536, 1, 512, L2, 1024, 132],
    ]);
    expect(short).toBe(12);
    expect(long).toBeGreaterThanOrEqual(1);
    expect(long).toBeLessThan(8);
    expect(grouped % 4).toBe(0);
  });
});

describe("parts of the keys", () => {
  it("fill the processors, stay within memory, and are one where blocks abound", () => {
    const result = run([
      [SPLITS, 8, 132, 1000],
      [SPLITS, 132, 132, 1000],
      [SPLITS, 1, 132, 1000],
      [SPLITS, 4096, 132, 1000],
      [SPLITS, 1, 132, 512 * 1024 * 1024],
    ]);
    expect(result.flat()).toEqual([32, 2, 32, 1, 1]);
  });
});

describe("decoding", () => {
  it("keeps latents of 576 channels in shared memory, many heads in tiles of 64 rows", () => {
    const [hopper, apart, few, ampere, small, large] = run([
      [DECODE, 576, 512, 1, 128, HOPPER],
      [DECODE, 576, 512, 0, 16, HOPPER],
      [DECODE, 576, 512, 1, 16, HOPPER],
      [DECODE, 576, 512, 0, 128, AMPERE],
      [DECODE, 128, 128, 0, 8, HOPPER],
      [DECODE, 640, 512, 1, 8, HOPPER],
    ]);
    expect(hopper.slice(0, 3)).toEqual([64, 32, 2]);
    expect(apart.slice(0, 3)).toEqual([16, 64, 1]);
    expect(few.slice(0, 3)).toEqual([16, 64, 2]);
    expect(ampere[0]).toBeGreaterThan(0);
    expect(ampere[3]).toBeLessThanOrEqual(AMPERE);
    expect(small.slice(0, 3)).toEqual([16, 64, 3]);
    expect(small[3]).toBeLessThanOrEqual(HOPPER / 2);
    expect(large[0]).toBe(0);
  });
});

describe("passes over heads that share channels", () => {
  it("bound the workspace however long the keys are", () => {
    const result = run([
      [PASS, 16, 4096, 0],
      [PASS, 16, 4096, 64],
      [PASS, 128, 16_384, 64],
      [PASS, 128, 1 << 24, 64],
    ]);
    expect(result.flat()).toEqual([16, 16, 64, 1]);
  });
});
