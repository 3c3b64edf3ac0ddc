/** How strided loops are joined, cut into vectors and divided, and which way copyStrided takes through them. */
import { beforeAll, describe, expect, it } from "vitest";
import { runHostProgram } from "./program.js";

const STEPPED = 0;
const WHOLE = 1;
const SHARED = 2;

interface Case {
  what: string;
  lanes: number;
  /** Addresses of source and destination, element size in bytes. */
  places?: [number, number, number];
  shape: number[];
  src: number[];
  dst: number[];
  plan: {
    ndim: number;
    count: number;
    oneRun: boolean;
    splits: boolean;
    access: [number, number];
    transposed: number;
    bytes: number;
  };
}

const CASES: Case[] = [
  {
    what: "a contiguous tensor is one run",
    lanes: 4,
    shape: [2, 3, 5],
    src: [15, 5, 1],
    dst: [15, 5, 1],
    plan: { ndim: 1, count: 30, oneRun: true, splits: true, access: [WHOLE, WHOLE], transposed: 0, bytes: 8 },
  },
  {
    what: "dimensions of one element do not count, whatever their stride",
    lanes: 4,
    shape: [3, 1, 8, 1],
    src: [8, 777, 1, 3],
    dst: [8, 0, 1, 99],
    plan: { ndim: 1, count: 24, oneRun: true, splits: true, access: [WHOLE, WHOLE], transposed: 0, bytes: 8 },
  },
  {
    what: "a scalar is one run",
    lanes: 4,
    shape: [],
    src: [],
    dst: [],
    plan: { ndim: 1, count: 1, oneRun: true, splits: true, access: [WHOLE, WHOLE], transposed: 0, bytes: 4 },
  },
  {
    what: "an empty tensor has no elements",
    lanes: 4,
    shape: [3, 0],
    src: [4, 1],
    dst: [4, 1],
    plan: { ndim: 2, count: 0, oneRun: false, splits: true, access: [WHOLE, WHOLE], transposed: 0, bytes: 8 },
  },
  {
    what: "heads change places in rows of vectors",
    lanes: 8,
    places: [4096, 8192, 2],
    shape: [2, 5, 3, 64],
    src: [960, 64, 320, 1],
    dst: [960, 192, 64, 1],
    plan: {
      ndim: 4,
      count: 1920,
      oneRun: false,
      splits: true,
      access: [WHOLE, WHOLE],
      transposed: 0,
      bytes: 8,
    },
  },
  {
    what: "rows that begin at odd places are stepped through",
    lanes: 8,
    places: [4096, 8194, 2],
    shape: [50, 8],
    src: [21, 1],
    dst: [8, 1],
    plan: {
      ndim: 2,
      count: 400,
      oneRun: false,
      splits: true,
      access: [STEPPED, STEPPED],
      transposed: 0,
      bytes: 2,
    },
  },
  {
    what: "rows of three pairs move in pairs",
    lanes: 8,
    places: [4096, 8192, 2],
    shape: [50, 6],
    src: [20, 1],
    dst: [6, 1],
    plan: {
      ndim: 2,
      count: 300,
      oneRun: false,
      splits: false,
      access: [STEPPED, STEPPED],
      transposed: 0,
      bytes: 4,
    },
  },
  {
    what: "a repeated row is shared",
    lanes: 4,
    shape: [40, 32],
    src: [0, 1],
    dst: [32, 1],
    plan: {
      ndim: 2,
      count: 1280,
      oneRun: false,
      splits: true,
      access: [SHARED, WHOLE],
      transposed: 0,
      bytes: 8,
    },
  },
  {
    what: "a repeated column is stepped through by nothing",
    lanes: 4,
    shape: [40, 32],
    src: [1, 0],
    dst: [32, 1],
    plan: {
      ndim: 2,
      count: 1280,
      oneRun: false,
      splits: true,
      access: [STEPPED, WHOLE],
      transposed: 0,
      bytes: 4,
    },
  },
  {
    what: "a transpose goes through tiles, whichever way its loops are written",
    lanes: 4,
    shape: [33, 31],
    src: [1, 33],
    dst: [31, 1],
    plan: {
      ndim: 2,
      count: 1023,
      oneRun: false,
      splits: false,
      access: [STEPPED, STEPPED],
      transposed: 1,
      bytes: 4,
    },
  },
  {
    what: "the destination decides the order of the loops",
    lanes: 4,
    shape: [31, 33],
    src: [33, 1],
    dst: [1, 31],
    plan: {
      ndim: 2,
      count: 1023,
      oneRun: false,
      splits: false,
      access: [STEPPED, STEPPED],
      transposed: 1,
      bytes: 4,
    },
  },
  {
    what: "a transpose of a few columns does not",
    lanes: 4,
    shape: [4, 512],
    src: [1, 4],
    dst: [512, 1],
    plan: {
      ndim: 2,
      count: 2048,
      oneRun: false,
      splits: true,
      access: [STEPPED, WHOLE],
      transposed: 0,
      bytes: 4,
    },
  },
];

/** Pairs of number and divisor, to the ends of what Divisor takes. */
const NUMBERS = [0, 1, 2, 6, 7, 8, 9, 63, 64, 65, 999_999, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + 1, 2 ** 53 - 1];
const DIVISORS = [1, 2, 3, 5, 7, 8, 64, 65, 641, 1000, 50257, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + 1, 2 ** 53 - 1];
const QUOTIENTS = NUMBERS.flatMap((number) => DIVISORS.map((divisor) => [number, divisor]));

let plans: number[][] = [];
let quotients: number[][] = [];
beforeAll(() => {
  const rows = CASES.map(({ lanes, places = [4096, 8192, 4], shape, src, dst }) => [
    shape.length,
    lanes,
    ...places,
    ...shape.flatMap((size, d) => [size, src[d], dst[d]]),
  ]);
  const output = runHostProgram("loops.cc", [...rows, ...QUOTIENTS.map((pair) => [-1, ...pair])]);
  plans = output.slice(0, CASES.length);
  quotients = output.slice(CASES.length);
});

describe("loops of a copy", () => {
  it.each(CASES.map((c, i) => [c.what, i] as const))("%s", (_what, i) => {
    const { ndim, count, oneRun, splits, access, transposed, bytes } = CASES[i].plan;
    expect(plans[i]).toEqual([ndim, count, Number(oneRun), Number(splits), ...access, transposed, bytes]);
  });
});

describe("division by a loop's size", () => {
  it("is exact", () => {
    expect(quotients.length).toBe(QUOTIENTS.length);
    QUOTIENTS.forEach(([number, divisor], i) => {
      expect(quotients[i][0], `${number}/${divisor}`).toBe(Math.floor(number / divisor));
    });
  });
});
