/** How the losses over a vocabulary divide their rows into chunks, and a row among the threads of a block. */
import { beforeAll, describe, expect, it } from "vitest";
import { runHostProgram } from "./program.js";

const MEBIBYTE = 2 ** 20;
const SHARED = 232448 - 512;
const ROWS = [0, 1, 2, 127, 128, 1000, 1024, 1025, 1500, 4097, 16384, 100_003];
const VOCABULARIES = [1, 2, 65, 4096, 32000, 57984, 57985, 129280, 262144];

interface Choice {
  rows: number;
  vocab: number;
  keptBytes: number;
  requested: number;
  shared: number;
  chunk: number;
  stride: number;
  threads: number;
  kept: number;
}

let choices: Choice[] = [];
beforeAll(() => {
  const inputs: number[][] = [];
  for (const rows of ROWS) {
    for (const vocab of VOCABULARIES) {
      for (const requested of [0, 1, 7, 300]) inputs.push([rows, vocab, 8192, requested, SHARED]);
    }
  }
  inputs.push([5, 1000, 8192, 0, 0], [5, 1000, 8192, 0, -512], [5, 1000, 8192, 0, 1027]);
  const outputs = runHostProgram("loss_chunks.cc", inputs);
  expect(outputs.length).toBe(inputs.length);
  choices = outputs.map(([chunk, stride, threads, kept], i) => {
    const [rows, vocab, keptBytes, requested, shared] = inputs[i];
    return { rows, vocab, keptBytes, requested, shared, chunk, stride, threads, kept };
  });
});

const free = () => choices.filter(({ requested }) => requested === 0);

describe("rows of a chunk", () => {
  it("lie between 1 and the number of rows", () => {
    for (const { rows, chunk } of choices) {
      expect(chunk).toBeGreaterThanOrEqual(1);
      expect(chunk).toBeLessThanOrEqual(Math.max(rows, 1));
    }
  });

  it("are as many as the caller asks for", () => {
    for (const { rows, requested, chunk } of choices) {
      if (requested > 0) expect(chunk).toBe(Math.max(1, Math.min(requested, rows)));
    }
  });

  it("stay within 256 MiB where that allows 1024 of them, and are at most 1024 elsewhere", () => {
    for (const { chunk, stride, keptBytes } of free()) {
      const bytes = chunk * (4 * stride + keptBytes);
      if (chunk > 1024) expect(bytes).toBeLessThanOrEqual(256 * MEBIBYTE);
    }
    const large = free().filter(({ vocab, rows }) => vocab === 129280 && rows === 16384);
    expect(large.map(({ chunk }) => chunk)).toEqual([1024]);
  });

  it("are no fewer than needed and alike in size, in whole tiles", () => {
    for (const { rows, chunk } of free()) {
      if (chunk < rows) expect(chunk % 128).toBe(0);
      const last = rows % chunk;
      const chunks = Math.ceil(rows / chunk);
      if (last > 0 && chunks > 1) expect(chunk - last).toBeLessThanOrEqual(128 * chunks);
    }
    const halves = free().filter(({ vocab, rows }) => vocab === 129280 && rows === 1500);
    expect(halves.map(({ chunk }) => chunk)).toEqual([768]);
  });
});

describe("the block of a row", () => {
  it("is a whole number of warps, no more than there are groups of four logits", () => {
    for (const { threads, vocab } of choices) {
      expect(threads % 32).toBe(0);
      expect(threads).toBeGreaterThanOrEqual(32);
      expect(threads).toBeLessThanOrEqual(1024);
      expect(threads).toBeLessThan(vocab / 4 + 32);
    }
  });

  it("keeps what fits into its shared memory, in whole groups", () => {
    for (const { vocab, kept, shared } of choices) {
      expect(kept % 4).toBe(0);
      expect(4 * kept).toBeLessThanOrEqual(Math.max(shared, 0));
      if (4 * (vocab + 3) <= shared) expect(kept).toBe(4 * Math.ceil(vocab / 4));
      else expect(kept).toBe(4 * Math.floor(Math.max(shared, 0) / 16));
    }
  });

  it("begins rows at multiples of 32 bytes", () => {
    for (const { stride, vocab } of choices) {
      expect(stride % 8).toBe(0);
      expect(stride - vocab).toBeGreaterThanOrEqual(0);
      expect(stride - vocab).toBeLessThan(8);
    }
  });
});
