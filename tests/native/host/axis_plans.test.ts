/** How kernels along one axis share the work: reductions, running sums, softmax, sorting, sampling and scattering. */
import { describe, expect, it } from "vitest";
import { runHostProgram } from "./program.js";

const LENGTHS = [1, 2, 7, 64, 127, 1024, 1025, 4097, 20_003, 131_072, 1_000_000];
const COUNTS = [1, 3, 263, 264, 2112, 100_000];

/** Runs one kind of plan for rows of up to four numbers. */
function plans(kind: number, cases: readonly (readonly number[])[]): number[][] {
  return runHostProgram(
    "axis_plans.cc",
    cases.map((row) => [kind, ...row, ...new Array<number>(4 - row.length).fill(0)]),
  );
}

const isPower = (n: number): boolean => Number.isInteger(Math.log2(n));

describe("rows", () => {
  const cases = COUNTS.flatMap((outer) => LENGTHS.flatMap((n) => [4, 8].map((vec) => [outer, n, vec])));

  it("are covered by pieces of whole 16 bytes, each with work", () => {
    plans(0, cases).forEach(([lanes, rows, splits, chunk], i) => {
      const [outer, n, vec] = cases[i];
      expect(isPower(lanes) && lanes * rows === 256).toBe(true);
      expect(splits * chunk).toBeGreaterThanOrEqual(n);
      expect((splits - 1) * chunk).toBeLessThan(n);
      if (splits > 1) {
        expect(chunk % vec).toBe(0);
        expect(lanes).toBe(256);
        expect(outer).toBeLessThan(264);
      }
    });
  });

  it("are one piece where there is nothing", () => {
    expect(
      plans(0, [
        [0, 5, 4],
        [3, 0, 8],
      ]).map((plan) => plan[2]),
    ).toEqual([1, 1]);
  });
});

describe("columns", () => {
  const cases = [1, 3, 300].flatMap((outer) =>
    [0, 1, 2, 33, 700, 100_000].flatMap((n) => [2, 17, 131, 4096].map((inner) => [outer, n, inner, 8])),
  );

  it("fit a block and cover the axis", () => {
    plans(1, cases).forEach(([across, along, tiles, splits, chunk], i) => {
      const [, n, inner, vec] = cases[i];
      expect(isPower(across) && isPower(along) && across * along <= 256).toBe(true);
      expect(tiles).toBe(Math.ceil(inner / (across * vec)));
      expect(splits * chunk).toBeGreaterThanOrEqual(n);
      expect((splits - 1) * chunk).toBeLessThanOrEqual(Math.max(0, n - 1));
    });
  });

  it("are walked along in pieces only where lines are few", () => {
    const lines = plans(2, [
      [2, 10_000],
      [200_000, 10_000],
      [2, 31],
      [5, 0],
    ]);
    expect(lines[0][0]).toBe(64);
    expect(lines.slice(1).map((plan) => plan[0])).toEqual([1, 1, 1]);
  });
});

describe("softmax", () => {
  it("keeps rows in registers, then in the shared memory of up to eight blocks, then nowhere", () => {
    const [tiny, block, one, four, eight, none, old] = plans(3, [
      [3, 4, 16, 90],
      [1000, 4, 16, 90],
      [7000, 4, 16, 90],
      [25_000, 4, 16, 90],
      [100_000, 4, 16, 90],
      [200_000, 4, 16, 90],
      [25_000, 4, 16, 80],
    ]);
    expect(tiny).toEqual([4, 256, 1, 1, 0, 0]);
    expect(block).toEqual([256, 256, 1, 1, 0, 0]);
    expect(one).toEqual([512, 512, 0, 1, 7000, 112_000]);
    expect(four).toEqual([512, 512, 0, 4, 6250, 100_000]);
    expect(eight).toEqual([512, 512, 0, 8, 12_500, 200_000]);
    expect(none).toEqual([512, 512, 0, 1, 200_000, 0]);
    expect(old).toEqual([512, 512, 0, 1, 25_000, 0]);
  });
});

describe("sorting", () => {
  it("has enough digits for the keys and at most 128 blocks", () => {
    const cases = [1, 100, 65_536, 10_000_000].flatMap((n) =>
      [1, 2, 256, 257, 129_281, 2 ** 31].map((keys) => [n, keys]),
    );
    plans(4, cases).forEach(([passes, digitBits, tile, blocks], i) => {
      const [n, keys] = cases[i];
      expect(2 ** (passes * digitBits)).toBeGreaterThanOrEqual(keys);
      expect(digitBits).toBeLessThanOrEqual(8);
      expect(blocks).toBeLessThanOrEqual(128);
      expect(blocks).toBe(Math.ceil(n / tile));
    });
  });

  it("is chosen for scatters of few long lines with 32-bit places", () => {
    expect(
      plans(6, [
        [1, 50_000, 8192, 1],
        [1, 10, 64, 1],
        [8192, 10, 4096, 64],
        [4, 2 ** 30, 4096, 1],
        [0, 3, 100, 1],
      ]).flat(),
    ).toEqual([1, 0, 0, 0, 1]);
  });
});

describe("sampling", () => {
  it("takes a power of two of threads whose bins fit shared memory", () => {
    for (const [threads, shared] of plans(
      5,
      [1, 65, 1000, 20_011, 200_000].map((n) => [n]),
    )) {
      expect(isPower(threads) && threads >= 32 && threads <= 512).toBe(true);
      expect(shared).toBeLessThanOrEqual(2 * 65_536);
    }
  });
});
