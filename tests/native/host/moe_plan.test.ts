/** How the kernels of expert routing and dispatch share their work among warps, blocks and chunks. */
import { beforeAll, describe, expect, it } from "vitest";
import { runHostProgram } from "./program.js";

const SHARED = 232_448;
const EXPERTS = [1, 2, 31, 64, 65, 160, 256, 257, 512, 513, 1000, 4096, 20_000, 60_000];
const ROWS = [0, 1, 127, 2048, 2049, 100_000, 65_536 * 8];
const LENGTHS = [1, 31, 33, 4096, 65_536];
const SEQUENCES = [1, 3, 512, 5000];
const UNITS = [1, 3, 8, 32, 33, 128, 256, 640, 896, 1000];

/** Inputs of one kind with what the program answered. */
interface Answer {
  input: number[];
  output: number[];
}

let answers: Answer[] = [];
beforeAll(() => {
  const inputs: number[][] = [];
  for (const experts of EXPERTS) {
    inputs.push([0, experts, 8, SHARED]);
    for (const rows of ROWS) inputs.push([2, rows, experts, SHARED]);
  }
  for (const length of LENGTHS) for (const sequences of SEQUENCES) inputs.push([1, length, sequences, 0]);
  for (const units of UNITS) for (const flight of [1, 4]) inputs.push([3, units, flight, 256]);
  const outputs = runHostProgram("moe_plan.cc", inputs);
  expect(outputs.length).toBe(inputs.length);
  answers = inputs.map((input, i) => ({ input, output: outputs[i] }));
});

const ofKind = (kind: number) => answers.filter(({ input }) => input[0] === kind);

describe("the warp of a token", () => {
  it("holds a whole row in registers, or in shared memory beyond 512 experts", () => {
    for (const { input, output } of ofKind(0)) {
      const [held, , ungrouped] = output;
      if (input[1] <= 512) expect(32 * held).toBeGreaterThanOrEqual(input[1]);
      expect(held === 0).toBe(input[1] > 512);
      expect(ungrouped).toBe(held === 0 ? 256 * Math.ceil(input[1] / 32) : 0);
    }
  });

  it("has room for its keys, and none where a row does not fit", () => {
    for (const { input, output } of ofKind(0)) {
      const [, limited, , warps] = output;
      expect(limited).toBeGreaterThanOrEqual(4 * (input[1] + 8));
      expect(limited % 128).toBe(0);
      expect(warps * limited).toBeLessThanOrEqual(SHARED);
      expect(warps === 0).toBe(limited > SHARED);
      expect(warps).toBeLessThanOrEqual(8);
    }
  });
});

describe("chunks of the balance loss", () => {
  it("are whole groups of 32 tokens, and few", () => {
    for (const { input, output } of ofKind(1)) {
      const [, length, sequences] = input;
      const chunks = Math.ceil(length / output[0]);
      expect(output[0] % 32).toBe(0);
      expect(chunks).toBeGreaterThanOrEqual(1);
      expect(chunks * sequences).toBeLessThanOrEqual(Math.max(512, sequences));
    }
  });
});

describe("the counting sort", () => {
  it("covers every choice with pieces of whole 128 for each warp", () => {
    for (const { input, output } of ofKind(2)) {
      const [, rows, experts] = input;
      const [warps, bits, tile, blocks, shared] = output;
      expect(2 ** bits).toBeGreaterThanOrEqual(experts + 1);
      expect(2 ** bits).toBeLessThan(Math.max(3, 2 * (experts + 1)));
      if (warps === 0) {
        expect(4 * (experts + 1) + 128).toBeGreaterThan(SHARED);
        continue;
      }
      expect(tile % (128 * warps)).toBe(0);
      expect(blocks).toBeGreaterThanOrEqual(1);
      expect(blocks * tile).toBeGreaterThanOrEqual(rows);
      expect((blocks - 1) * tile).toBeLessThan(Math.max(rows, 1));
      expect(blocks).toBeLessThanOrEqual(264);
      expect(shared).toBe(4 * (experts + 1) * warps + 128);
      expect(shared).toBeLessThanOrEqual(SHARED);
    }
  });
});

describe("the threads of a row", () => {
  it("are a power of two, no more than the row has accesses for", () => {
    for (const { input, output } of ofKind(3)) {
      const [, units] = input;
      const [lanes] = output;
      expect(Math.log2(lanes) % 1).toBe(0);
      expect(lanes).toBeLessThanOrEqual(256);
      expect(lanes).toBeLessThan(2 * units);
    }
  });

  it("leave none of themselves idle where fewer would not", () => {
    const lanes = (units: number, flight: number) =>
      ofKind(3).find(({ input }) => input[1] === units && input[2] === flight)?.output[0];
    expect(lanes(896, 1)).toBe(128);
    expect(lanes(640, 1)).toBe(128);
    expect(lanes(256, 1)).toBe(256);
    expect(lanes(1, 4)).toBe(1);
  });
});
