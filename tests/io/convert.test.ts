import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { DtypeError, ShapeError } from "../../lib/errors.js";
import { f16ToF32, f32ToBf16, toF32 } from "../../lib/io/index.js";
import { bytesOf } from "./temporary.js";

const golden = JSON.parse(readFileSync(new URL("../golden/safetensors.json", import.meta.url), "utf8"));

const number = (text: string) => Number(text.replace("inf", "Infinity"));

describe("f32ToBf16", () => {
  it("rounds as PyTorch does", () => {
    const values = Float32Array.from(golden.bf16.values.map(number));
    expect([...f32ToBf16(values)]).toEqual(golden.bf16.bits);
  });

  it("rounds ties to even and overflows to infinity", () => {
    const words = Uint32Array.of(0x3f808000, 0x3f818000, 0x3f808001, 0x7f7fffff, 0xff7fffff, 0x7f800000);
    const bits = f32ToBf16(new Float32Array(words.buffer));
    expect([...bits]).toEqual([0x3f80, 0x3f82, 0x3f81, 0x7f80, 0xff80, 0x7f80]);
  });

  it("keeps NaN, even one whose payload lies in the bits that are cut", () => {
    const words = Uint32Array.of(0x7f800001, 0xff800001, 0x7fc00000, 0xffffffff);
    const bits = f32ToBf16(new Float32Array(words.buffer));
    expect([...bits]).toEqual([0x7fc0, 0xffc0, 0x7fc0, 0xffff]);
    expect([...toF32("bf16", bytesOf(bits))].every(Number.isNaN)).toBe(true);
  });

  it("gives back every bf16 number", () => {
    const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const back = f32ToBf16(toF32("bf16", bytesOf(all)));
    const wrong = [...all].filter((bits) => {
      const nan = (bits & 0x7fff) > 0x7f80;
      return back[bits] !== (nan ? bits | 0x40 : bits);
    });
    expect(wrong).toEqual([]);
  });
});

describe("toF32", () => {
  it("decodes half precision", () => {
    const cases: Array<[number, number]> = [
      [0x0000, 0],
      [0x3c00, 1],
      [0xc000, -2],
      [0x7bff, 65504],
      [0x0001, 2 ** -24],
      [0x03ff, 1023 * 2 ** -24],
      [0x0400, 2 ** -14],
      [0x7c00, Number.POSITIVE_INFINITY],
      [0xfc00, Number.NEGATIVE_INFINITY],
      [0x7e00, Number.NaN],
    ];
    for (const [bits, value] of cases) expect(f16ToF32(bits)).toBe(value);
    expect(Object.is(f16ToF32(0x8000), -0)).toBe(true);
    const bits = Uint16Array.from(cases, ([b]) => b);
    expect([...toF32("f16", bytesOf(bits))]).toEqual(cases.map(([, value]) => value));
  });

  it("decodes FP8 in both forms and its scales", () => {
    const e4m3 = toF32("f8e4m3", Uint8Array.of(0x7e, 0xfe, 0x7f, 0xff, 0x78, 0x38, 0x01, 0x80));
    expect([...e4m3]).toEqual([448, -448, Number.NaN, Number.NaN, 256, 1, 2 ** -9, -0]);
    const e5m2 = toF32("f8e5m2", Uint8Array.of(0x7b, 0x7c, 0x7d, 0x3c, 0x01));
    expect([...e5m2]).toEqual([57344, Number.POSITIVE_INFINITY, Number.NaN, 1, 2 ** -16]);
    expect([...toF32("f8e8m0", Uint8Array.of(127, 0, 254, 255))]).toEqual([
      1,
      2 ** -127,
      2 ** 127,
      Number.NaN,
    ]);
  });

  it("decodes integers, doubles and booleans", () => {
    expect([...toF32("i64", bytesOf(BigInt64Array.of(-1n, 2n ** 40n, -(2n ** 62n))))]).toEqual([
      -1,
      2 ** 40,
      -(2 ** 62),
    ]);
    expect([...toF32("u64", bytesOf(BigUint64Array.of(2n ** 63n)))]).toEqual([2 ** 63]);
    expect([...toF32("i32", bytesOf(Int32Array.of(-5)))]).toEqual([-5]);
    expect([...toF32("u32", bytesOf(Uint32Array.of(2 ** 31)))]).toEqual([2 ** 31]);
    expect([...toF32("i16", bytesOf(Int16Array.of(-300)))]).toEqual([-300]);
    expect([...toF32("u16", bytesOf(Uint16Array.of(65535)))]).toEqual([65535]);
    expect([...toF32("i8", Uint8Array.of(255))]).toEqual([-1]);
    expect([...toF32("bool", Uint8Array.of(0, 1))]).toEqual([0, 1]);
    expect([...toF32("f64", bytesOf(Float64Array.of(0.5, 1e300)))]).toEqual([0.5, Number.POSITIVE_INFINITY]);
  });

  it("takes bytes at any offset", () => {
    const aligned = bytesOf(Float32Array.of(1.5, -2));
    for (let shift = 0; shift < 8; shift++) {
      const shifted = new Uint8Array(16).subarray(shift, shift + 8);
      shifted.set(aligned);
      expect([...toF32("f32", shifted)]).toEqual([1.5, -2]);
      expect([...toF32("bf16", shifted.subarray(2, 4))]).toEqual([1.5]);
      expect(toF32("f64", shifted)).toHaveLength(1);
      expect(toF32("i64", shifted)).toHaveLength(1);
    }
  });

  it("refuses parts of elements and complex numbers", () => {
    expect(() => toF32("f32", new Uint8Array(6))).toThrow(ShapeError);
    expect(() => toF32("c64", new Uint8Array(8))).toThrow(DtypeError);
    expect(toF32("f16", new Uint8Array(0))).toHaveLength(0);
  });
});
