/** How matrix products are cut into tiles and parts of k, for the multiprocessors that there are. */
import { beforeAll, describe, expect, it } from "vitest";
import { runHostProgram } from "./program.js";

const MEBIBYTE = 2 ** 20;
const H200 = 132;
const [SMALL, MEDIUM, WIDE] = [0, 1, 2];
const ROWS = [64, 128, 128];
const COLUMNS = [64, 128, 256];

interface Plan {
  tile: number;
  tilesM: number;
  tilesN: number;
  splits: number;
  splitDepth: number;
  scratch: number;
}

interface Case {
  bf16: boolean;
  m: number;
  n: number;
  k: number;
  batch: number;
  processors: number;
  scratch: number;
  largest: number;
}

function plans(cases: Case[]): Plan[] {
  const rows = cases.map((c) => [
    0,
    Number(c.bf16),
    c.m,
    c.n,
    c.k,
    c.batch,
    c.processors,
    c.scratch,
    c.largest,
  ]);
  return runHostProgram("gemm_tiles.cc", rows).map(([tile, tilesM, tilesN, splits, splitDepth, scratch]) => ({
    tile,
    tilesM,
    tilesN,
    splits,
    splitDepth,
    scratch,
  }));
}

const SIZES = [1, 17, 64, 65, 300, 2048, 7168];
const DEPTHS = [0, 1, 500, 1024, 1025, 7168, 129280];
const cases: Case[] = [];
for (const m of SIZES) {
  for (const n of SIZES) {
    for (const k of DEPTHS) {
      for (const bf16 of [true, false]) {
        for (const processors of [4, H200]) {
          cases.push({
            bf16,
            m,
            n,
            k,
            batch: 1,
            processors,
            scratch: 1024 * MEBIBYTE,
            largest: bf16 ? WIDE : MEDIUM,
          });
        }
      }
    }
  }
}
let all: Plan[] = [];
beforeAll(() => {
  all = plans(cases);
  expect(all.length).toBe(cases.length);
});

/** The plans of single bf16 products on an H200. */
function h200(sizes: [number, number, number][], options: Partial<Case> = {}): Plan[] {
  const base = { bf16: true, batch: 1, processors: H200, scratch: 1024 * MEBIBYTE, largest: WIDE };
  return plans(sizes.map(([m, n, k]) => ({ ...base, m, n, k, ...options })));
}

describe("tiles of a product", () => {
  it("cover c, no more than needed", () => {
    all.forEach((plan, i) => {
      expect(plan.tilesM).toBe(Math.ceil(cases[i].m / ROWS[plan.tile]));
      expect(plan.tilesN).toBe(Math.ceil(cases[i].n / COLUMNS[plan.tile]));
    });
  });

  it("are never larger than allowed", () => {
    for (const largest of [SMALL, MEDIUM, WIDE]) {
      for (const plan of h200([[7168, 7168, 7168]], { largest }))
        expect(plan.tile).toBeLessThanOrEqual(largest);
    }
  });

  it("are large for large products and small for few rows", () => {
    const [large, few, little] = h200([
      [8192, 8192, 8192],
      [16, 4096, 4096],
      [512, 512, 512],
    ]);
    expect(large.tile).toBe(WIDE);
    expect(few.tile).toBe(SMALL);
    expect(little.tile).toBe(SMALL);
  });
});

describe("a split k", () => {
  it("is covered by parts of at least 512, whole stages long, none of them empty", () => {
    all.forEach((plan, i) => {
      const { k, bf16 } = cases[i];
      expect(plan.splits).toBeGreaterThanOrEqual(1);
      expect(plan.splits).toBeLessThanOrEqual(32);
      expect(plan.splitDepth % (bf16 ? 64 : 16)).toBe(0);
      expect(plan.splits * plan.splitDepth).toBeGreaterThanOrEqual(k);
      if (plan.splits > 1) {
        expect((plan.splits - 1) * plan.splitDepth).toBeLessThan(k);
        expect(plan.splitDepth).toBeGreaterThanOrEqual(512);
      }
    });
  });

  it("needs its partial sums and nothing else", () => {
    all.forEach((plan, i) => {
      const { m, n, batch } = cases[i];
      expect(plan.scratch).toBe(plan.splits === 1 ? 0 : plan.splits * batch * m * n * 4);
      expect(plan.scratch).toBeLessThanOrEqual(64 * MEBIBYTE);
    });
  });

  it("is for few tiles and a long k alone", () => {
    const [long, short, many] = h200([
      [256, 256, 65536],
      [256, 256, 512],
      [8192, 8192, 65536],
    ]);
    expect(long.splits).toBeGreaterThan(4);
    expect(short.splits).toBe(1);
    expect(many.splits).toBe(1);
  });

  it("does not happen without memory for it", () => {
    const [none] = h200([[256, 256, 65536]], { scratch: 0 });
    expect(none.splits).toBe(1);
    const [two] = h200([[256, 256, 65536]], { scratch: 2 * 256 * 256 * 4 });
    expect(two.splits).toBe(2);
  });

  it("does not depend on whether the widest tile may be taken", () => {
    const bf16 = cases.filter((c) => c.bf16);
    const wide = plans(bf16);
    const narrow = plans(bf16.map((c) => ({ ...c, largest: MEDIUM })));
    wide.forEach((plan, i) => {
      if (plan.tile !== WIDE) expect(narrow[i]).toEqual(plan);
      expect(plan.scratch).toBeLessThanOrEqual(narrow[i].scratch);
    });
  });
});

describe("grouped products", () => {
  it("take small tiles for few rows an expert, large ones for many", () => {
    const [few, some, many] = runHostProgram("gemm_tiles.cc", [
      [1, 256, 2048, 64, H200, WIDE, 64],
      [1, 8192, 2048, 64, H200, WIDE, 128],
      [1, 65536, 4096, 8, H200, WIDE, 128],
    ]);
    expect(few[0]).toBe(SMALL);
    expect(some[0]).toBe(MEDIUM);
    expect(many[0]).toBe(WIDE);
  });

  it("have room for the tiles of any distribution of their rows", () => {
    const shapes = [
      [0, 5, 64],
      [3, 5, 64],
      [391, 5, 64],
      [1000, 1, 128],
      [129, 2, 128],
    ];
    const input = shapes.map(([rows, experts, tile]) => [1, rows, 100, experts, H200, WIDE, tile]);
    runHostProgram("gemm_tiles.cc", input).forEach(([, most], i) => {
      const [rows, experts, tile] = shapes[i];
      // The worst distribution: every expert but one has a single row over a whole number of tiles.
      const ones = Math.min(rows, experts);
      const worst = ones === 0 ? 0 : ones - 1 + Math.ceil((rows - ones + 1) / tile);
      expect(most).toBeGreaterThanOrEqual(worst);
      expect(most).toBeLessThanOrEqual(Math.floor(rows / tile) + experts);
    });
  });
});

describe("the order of tiles", () => {
  it("visits each once, in bands of eight rows", () => {
    const grids = [
      [1, 1],
      [8, 3],
      [9, 5],
      [31, 7],
      [3, 50],
    ];
    const orders = runHostProgram(
      "gemm_tiles.cc",
      grids.map(([tilesM, tilesN]) => [2, tilesM, tilesN]),
    );
    orders.forEach((order, g) => {
      const [tilesM, tilesN] = grids[g];
      const seen = new Set<number>();
      let band = 0;
      for (let i = 0; i < order.length; i += 2) {
        const [row, column] = [order[i], order[i + 1]];
        expect(row).toBeLessThan(tilesM);
        expect(column).toBeLessThan(tilesN);
        expect(Math.floor(row / 8)).toBeGreaterThanOrEqual(band);
        band = Math.floor(row / 8);
        seen.add(row * tilesN + column);
      }
      expect(seen.size).toBe(tilesM * tilesN);
    });
  });
});
