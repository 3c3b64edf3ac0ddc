/** The rules of a tensor map for the copy engine, as the driver states them. */
import { describe, expect, it } from "vitest";
import { runHostProgram } from "./program.js";

const BF16 = 0;
const F32 = 1;
const U8 = 2;

interface Shape {
  base: number;
  type: number;
  rank: number;
  swizzle: number;
  nan: number;
  dims: number[];
  strides: number[];
  box: number[];
}

/** A legal map: a bf16 tensor [3, 200, 96] in boxes of [1, 128, 64] with a swizzle of 128 bytes. */
const LEGAL: Shape = {
  base: 4096,
  type: BF16,
  rank: 3,
  swizzle: 128,
  nan: 0,
  dims: [96, 200, 3, 0, 0],
  strides: [2, 192, 38_400, 0, 0],
  box: [64, 128, 1, 0, 0],
};

/** The rules that are broken by LEGAL with some of its values changed (0: none). */
function rulesOf(changes: readonly Partial<Shape>[]): number[] {
  const rows = changes.map((change) => {
    const s = { ...LEGAL, ...change };
    return [s.base, s.type, s.rank, s.swizzle, s.nan, ...s.dims, ...s.strides, ...s.box];
  });
  return runHostProgram("tensor_map.cc", rows).map(([rule]) => rule as number);
}

/** LEGAL's five numbers with one replaced. */
const at = (numbers: readonly number[], index: number, value: number): number[] =>
  numbers.map((number, i) => (i === index ? value : number));

describe("tensor maps", () => {
  it("accept what the driver accepts", () => {
    expect(
      rulesOf([
        {},
        { nan: 1 },
        { swizzle: 0, box: [96, 256, 3, 0, 0] },
        { swizzle: 64, box: [32, 1, 1, 0, 0] },
        { type: F32, dims: [48, 200, 3, 0, 0], strides: [4, 192, 38_400, 0, 0], box: [32, 8, 1, 0, 0] },
        { rank: 1, swizzle: 0, box: [8, 0, 0, 0, 0] },
        {
          rank: 5,
          dims: [96, 200, 3, 2, 2 ** 32],
          strides: [2, 192, 38_400, 16, 2 ** 40 - 16],
          box: [64, 2, 1, 1, 1],
        },
      ]),
    ).toEqual([0, 0, 0, 0, 0, 0, 0]);
  });

  it("name the rule that is broken", () => {
    const broken: [number, Partial<Shape>][] = [
      [1, { rank: 0 }],
      [1, { rank: 6 }],
      [2, { base: 0 }],
      [2, { base: 4104 }],
      [3, { strides: at(LEGAL.strides, 0, 4) }],
      [4, { dims: at(LEGAL.dims, 1, 0) }],
      [4, { dims: at(LEGAL.dims, 0, 2 ** 32 + 1) }],
      [5, { box: at(LEGAL.box, 1, 257) }],
      [5, { box: at(LEGAL.box, 2, 0) }],
      [6, { strides: at(LEGAL.strides, 1, 194) }],
      [6, { strides: at(LEGAL.strides, 2, 2 ** 40) }],
      [7, { swizzle: 0, box: at(LEGAL.box, 0, 60) }],
      [8, { swizzle: 64 }],
      [8, { swizzle: 32 }],
      [8, { box: at(LEGAL.box, 0, 72) }],
      [9, { type: U8, nan: 1, strides: at(LEGAL.strides, 0, 1) }],
    ];
    expect(rulesOf(broken.map(([, change]) => change))).toEqual(broken.map(([rule]) => rule));
  });

  it("know the bytes of a box", () => {
    const { base, type, rank, swizzle, nan, dims, strides, box } = LEGAL;
    const [row] = runHostProgram("tensor_map.cc", [
      [base, type, rank, swizzle, nan, ...dims, ...strides, ...box],
    ]);
    expect(row).toEqual([0, 128 * 64 * 2]);
  });
});
