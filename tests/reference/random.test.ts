import { describe, expect, it } from "vitest";
import {
  dropout,
  philox4x32,
  randomBernoulli,
  randomBlock,
  randomNormal,
  randomTruncatedNormal,
  randomUniform,
  uniformOf,
} from "./random.js";

const hex = (words: number[]): string => words.map((word) => word.toString(16).padStart(8, "0")).join(" ");

describe("Philox4x32-10", () => {
  it("gives the known answers of its authors", () => {
    expect(hex(philox4x32([0, 0, 0, 0], [0, 0]))).toBe("6627e8d5 e169c58d bc57ac4c 9b00dbd8");
    const ones = 0xffffffff;
    expect(hex(philox4x32([ones, ones, ones, ones], [ones, ones]))).toBe(
      "408f276d 41c83b0e a20bc7c6 6d5451fd",
    );
    const pi = philox4x32([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]);
    expect(hex(pi)).toBe("d16cfe09 94fdcceb 5001e420 24126ea1");
  });

  it("counts blocks in the low half and offsets in the high half", () => {
    const index = 0x85a308d3243f6a88n;
    const offset = 0x0370734413198a2en;
    expect(hex(randomBlock(0x299f31d0a4093822n, offset, index))).toBe("d16cfe09 94fdcceb 5001e420 24126ea1");
    expect(randomBlock(2 ** 40, 0, 2 ** 33)).toEqual(philox4x32([0, 2, 0, 0], [0, 256]));
  });
});

describe("numbers from words", () => {
  it("uniforms use the 24 high bits", () => {
    expect(uniformOf(0)).toBe(0);
    expect(uniformOf(0xffffffff)).toBe(1 - 2 ** -24);
    expect(uniformOf(0x80000000)).toBe(0.5);
    const stream = randomUniform(7, 5, 1);
    expect(stream[5]).toBe(uniformOf(randomBlock(5, 1, 1)[1]));
    expect(randomUniform(3, 5, 1)).toEqual(stream.slice(0, 3));
  });

  it("normals have their moments, and a stream's start does not depend on its length", () => {
    const z = randomNormal(20000, 11, 0);
    const moment = (power: number): number => z.reduce((sum, value) => sum + value ** power, 0) / z.length;
    expect(Math.abs(moment(1))).toBeLessThan(0.03);
    expect(Math.abs(moment(2) - 1)).toBeLessThan(0.04);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.3);
    expect(randomNormal(5, 11, 0)).toEqual(z.slice(0, 5));
    expect(Math.max(...randomTruncatedNormal(20000, 11, 0))).toBe(3);
  });

  it("dropout keeps where the uniform reaches p", () => {
    const x = new Float64Array(4000).fill(2);
    const uniforms = randomUniform(4000, 3, 9);
    dropout(x, 0.25, 3, 9).forEach((y, i) => {
      expect(y).toBe(uniforms[i] >= 0.25 ? 2 / 0.75 : 0);
    });
    expect(dropout(x, 0, 3, 9)).toEqual(x);
    expect(dropout(x, 1, 3, 9)).toEqual(new Float64Array(4000));
    const ones = randomBernoulli(4000, 0.25, 3, 9).reduce((sum, value) => sum + value, 0);
    expect(Math.abs(ones / 4000 - 0.25)).toBeLessThan(0.03);
  });
});
