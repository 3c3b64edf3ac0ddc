/** The rotary embedding in every pair of layouts, forward and inverse, in place and not, on a part of the head. */
import { describe, expect, it } from "vitest";
import { rng } from "../reference/array.js";
import { type RopeLayout, rope, ropeBackward, ropeFrequencies } from "../reference/rope.js";
import {
  call,
  download,
  expectClose,
  FLOATS,
  poisoned,
  repeatable,
  rounded,
  TOLERANCE,
  upload,
} from "./harness.js";

const POSITIONS = 50;

/** f32 tables [positions, rotary/2] and the frequencies that they stand for. */
function tables(rotary: number) {
  const { invFreq } = ropeFrequencies({ dim: rotary, ropeTheta: 100 });
  const angles = Float64Array.from(
    { length: POSITIONS * invFreq.length },
    (_, i) => Math.floor(i / invFreq.length) * invFreq[i % invFreq.length],
  );
  return { invFreq, cos: upload(angles.map(Math.cos)), sin: upload(angles.map(Math.sin)) };
}

/** [input interleaved, output interleaved] of the forward pass. */
const LAYOUTS: Record<RopeLayout, [boolean, boolean]> = {
  half: [false, false],
  interleaved: [true, true],
  interleavedToHalf: [true, false],
};

/** [tokens, heads, headSize, rotary, offset]. */
const SHAPES = [
  [0, 2, 8, 8, 0],
  [1, 1, 2, 2, 0],
  [5, 3, 10, 6, 2],
  [7, 4, 64, 64, 0],
  [3, 2, 96, 32, 64],
  [130, 5, 34, 34, 0],
  [4, 3, 5, 0, 1],
  [2, 2, 1040, 1030, 5],
] as const;

describe.each(FLOATS)("rope %s", (dtype) => {
  it.each(SHAPES)(
    "%i tokens, %i heads of %i, rotating %i from %i",
    (tokens, heads, headSize, rotary, offset) => {
      const random = rng(tokens + headSize);
      const positions = random.integers(tokens, POSITIONS);
      const values = rounded(random.normals(tokens * heads * headSize), dtype);
      const { invFreq, cos, sin } = tables(rotary);
      const [x, at] = [upload(values, dtype), upload(positions, "i32")];
      const strides = [heads * headSize, headSize, heads * headSize, headSize];
      for (const [layout, [input, output]] of Object.entries(LAYOUTS) as [RopeLayout, [boolean, boolean]][]) {
        const options = { x: values, positions, heads, headDim: headSize, invFreq, layout, start: offset };
        for (const inverse of [false, true]) {
          const reference = inverse ? ropeBackward(options) : rope(options);
          // The inverse reads what the forward pass wrote.
          const layouts = inverse ? [output, input] : [input, output];
          const words = [
            tokens,
            heads,
            headSize,
            rotary,
            offset,
            ...strides,
            ...layouts,
            inverse,
            POSITIONS,
            dtype,
          ] as const;
          const [y] = repeatable(() => {
            const out = poisoned(values.length, dtype);
            call("rope", x, out, at, cos, sin, ...words);
            return [out];
          });
          expectClose(y, reference, TOLERANCE[dtype], `${layout}${inverse ? " inverse" : ""}`);
          const inPlace = upload(values, dtype);
          call("rope", inPlace, inPlace, at, cos, sin, ...words);
          expectClose(download(inPlace), y, 0, "in place");
        }
      }
    },
  );

  it("leaves what lies between strided heads alone", () => {
    const [tokens, heads, headSize, xHead, yHead] = [3, 2, 4, 7, 5];
    const values = rounded(rng(2).normals(tokens * heads * headSize), dtype);
    const { invFreq, cos, sin } = tables(headSize);
    const source = new Float64Array(tokens * heads * xHead).fill(9);
    values.forEach((v, i) => {
      source[Math.floor(i / headSize) * xHead + (i % headSize)] = v;
    });
    const x = upload(source, dtype);
    const y = upload(new Float64Array(tokens * heads * yHead).fill(5), dtype);
    call(
      "rope",
      x,
      y,
      upload([0, 7, 3], "i32"),
      cos,
      sin,
      tokens,
      heads,
      headSize,
      headSize,
      0,
      heads * xHead,
      xHead,
      heads * yHead,
      yHead,
      false,
      false,
      false,
      POSITIONS,
      dtype,
    );
    const reference = rope({
      x: values,
      positions: [0, 7, 3],
      heads,
      headDim: headSize,
      invFreq,
      layout: "half",
    });
    const out = download(y);
    expectClose(
      Float64Array.from(values, (_, i) => out[Math.floor(i / headSize) * yHead + (i % headSize)]),
      reference,
      TOLERANCE[dtype],
    );
    expect(out.filter((_, i) => i % yHead >= headSize).every((v) => v === 5)).toBe(true);
  });
});

describe("rope errors", () => {
  it("name a position outside the table and channels outside the head", () => {
    const { cos, sin } = tables(2);
    const x = upload([1, 2, 3, 4]);
    call(
      "rope",
      x,
      x,
      upload([3, POSITIONS], "i32"),
      cos,
      sin,
      2,
      1,
      2,
      2,
      0,
      2,
      2,
      2,
      2,
      false,
      false,
      false,
      POSITIONS,
      "f32",
    );
    expect(() => download(x)).toThrow(
      `position ${POSITIONS} of token 1 is outside the table of ${POSITIONS} positions`,
    );
    call(
      "rope",
      x,
      x,
      upload([0, 0], "i32"),
      cos,
      sin,
      2,
      1,
      2,
      2,
      1,
      2,
      2,
      2,
      2,
      false,
      false,
      false,
      POSITIONS,
      "f32",
    );
    expect(() => download(x)).toThrow(/channels 1 to 3/);
  });
});
