/** How a matrix of packed elements is cut into tiles of threads. */
import { beforeAll, describe, expect, it } from "vitest";
import { runHostProgram } from "./program.js";

const SHAPES = [1, 2, 3, 8, 31, 33, 64, 100, 257, 1000].flatMap((items) =>
  [1, 2, 7, 300].map((rows) => [rows, items, 256]),
);

let tiles: {
  rows: number;
  items: number;
  across: number;
  down: number;
  columnBlocks: number;
  blocks: number;
}[] = [];
beforeAll(() => {
  tiles = runHostProgram("row_tiles.cc", SHAPES).map(([across, down, columnBlocks, blocks], i) => {
    const [rows, items] = SHAPES[i];
    return { rows, items, across, down, columnBlocks, blocks };
  });
});

describe("row tiles", () => {
  it("cover the matrix, and no block is without work", () => {
    for (const { rows, items, across, down, columnBlocks, blocks } of tiles) {
      expect(across * down).toBe(256);
      const rowBlocks = blocks / columnBlocks;
      expect(columnBlocks).toBe(Math.ceil(items / across));
      expect(rowBlocks).toBe(Math.ceil(rows / down));
    }
  });

  it("leave less than a warp of columns idle", () => {
    for (const { items, across, columnBlocks } of tiles) {
      expect(columnBlocks * across - items).toBeLessThan(Math.min(32, items));
    }
  });

  it("are none where there is nothing", () => {
    const empty = runHostProgram("row_tiles.cc", [
      [0, 5, 256],
      [5, 0, 256],
    ]);
    expect(empty.map((tile) => tile[3])).toEqual([0, 0]);
  });
});
