/** How the rows of RMSNorm and LayerNorm are given to groups of threads, and these to blocks. */
import { beforeAll, describe, expect, it } from "vitest";
import { runHostProgram } from "./program.js";

const WIDTHS = [1, 7, 64, 65, 128, 513, 1024, 4096, 4097, 8192, 16384, 50_000];
const ROWS = [0, 1, 100, 2048, 16384];
/** [elements of an item, items that a thread keeps]. */
const ITEMS = [
  [8, 2],
  [8, 1],
  [4, 4],
  [1, 8],
];
const PROCESSORS = 132;

interface Plan {
  rows: number;
  width: number;
  lanes: number;
  kept: number;
  most: number;
  group: number;
  threads: number;
  groups: number;
  columns: number;
  blocks: number;
}

let plans: Plan[] = [];
beforeAll(() => {
  const inputs = ROWS.flatMap((rows) =>
    WIDTHS.flatMap((width) =>
      ITEMS.flatMap(([lanes, kept]) =>
        [512, 1024].map((most) => [rows, width, lanes, kept, most, PROCESSORS]),
      ),
    ),
  );
  plans = runHostProgram("norm_plan.cc", inputs).map(([group, threads, groups, columns, blocks], i) => {
    const [rows, width, lanes, kept, most] = inputs[i];
    return { rows, width, lanes, kept, most, group, threads, groups, columns, blocks };
  });
});

describe("a row's group", () => {
  it("is a power of two and a whole part of its block", () => {
    for (const { group, threads, groups, most } of plans) {
      expect(Number.isInteger(Math.log2(group))).toBe(true);
      expect(group * groups).toBe(threads);
      expect(threads).toBeLessThanOrEqual(Math.max(most, 256));
      // Groups of more than a warp have a named barrier each, of which there are fifteen.
      if (group > 32) expect(groups).toBeLessThan(16);
    }
  });

  it("keeps the whole row where threads suffice, and is not twice as large as that takes", () => {
    for (const { width, lanes, kept, most, group, columns } of plans) {
      if (width <= most * kept * lanes) expect(columns).toBeGreaterThanOrEqual(width);
      else expect(group).toBe(most);
      if (group > 8) expect(columns / 2).toBeLessThan(width);
    }
  });
});

describe("blocks of the backward pass", () => {
  it("run all at once, and none is without rows", () => {
    for (const { rows, threads, groups, blocks } of plans.filter(({ most }) => most === 512)) {
      expect(blocks * threads).toBeLessThanOrEqual(PROCESSORS * 512);
      expect((blocks - 1) * groups).toBeLessThan(Math.max(rows, 1));
      expect(blocks > 0).toBe(rows > 0);
    }
  });
});
