/** Products over expert segments, in the three modes of a training step, against the oracle. */
import { describe, expect, it } from "vitest";
import { cosineDifference, rng } from "../reference/array.js";
import { groupedMatmul, groupedMatmulDgrad, groupedMatmulWgrad } from "../reference/matmul.js";
import {
  call,
  download,
  expectClose,
  FLOATS,
  type Float,
  poisoned,
  repeatable,
  rounded,
  upload,
} from "./harness.js";

const NT = 0;
const NN = 1;
const TN = 2;

/** Segments of every kind: empty, one row, fewer than a tile, a tile, many; then rows that belong to nobody. */
const SEGMENTS: { counts: number[]; spare: number }[] = [
  { counts: [5], spare: 0 },
  { counts: [0, 1, 0, 13, 14, 2], spare: 3 },
  { counts: [0, 0, 0], spare: 4 },
  { counts: [0], spare: 0 },
  { counts: [33, 0, 300, 17, 41], spare: 7 },
];

/** For the tiles of a GPU, 64 and 128 rows: around them, all rows to one expert, and many experts with few rows. */
const TILED: { counts: number[]; spare: number }[] = [
  { counts: [63, 64, 65, 127, 128, 129], spare: 1 },
  { counts: [0, 0, 0, 391, 0], spare: 2 },
  { counts: Array.from({ length: 70 }, (_, e) => e % 3), spare: 5 },
];

function offsetsOf(counts: number[]): number[] {
  const offsets = [0];
  for (const count of counts) offsets.push(offsets[offsets.length - 1] + count);
  return offsets;
}

function expectProduct(values: Float64Array, reference: Float64Array, out: Float): void {
  expectClose(values, reference, out === "bf16" ? 4e-3 : 2e-6);
  expect(cosineDifference(values, reference)).toBeLessThan(out === "bf16" ? 1e-5 : 1e-11);
}

describe.each(FLOATS)("groupedMatmul %s", (dtype) => {
  for (const { counts, spare } of [...SEGMENTS, ...TILED]) {
    const sizes = [
      [1, 1],
      [7, 19],
      [64, 48],
      [129, 65],
    ];
    for (const [inputs, outputs] of TILED.some((t) => t.counts === counts) ? [[72, 136]] : sizes) {
      it(`segments ${counts.join(" ")}, ${inputs} → ${outputs}`, () => {
        const random = rng(inputs * 31 + counts.length);
        const offsets = offsetsOf(counts);
        const [experts, used] = [counts.length, offsets[counts.length]];
        const rows = used + spare;
        const x = rounded(random.normals(used * inputs), dtype);
        const dy = rounded(random.normals(used * outputs), dtype);
        const weight = rounded(random.normals(experts * outputs * inputs), dtype);
        const group = { offsets, inputs, outputs };
        const gap = (width: number) => new Array<number>(spare * width).fill(Number.NaN);
        const xTensor = upload([...x, ...gap(inputs)], dtype);
        const dyTensor = upload([...dy, ...gap(outputs)], dtype);
        const weightTensor = upload(weight, dtype);
        const offsetTensor = upload(offsets, "i32");

        const [y] = repeatable(() => {
          const c = poisoned(rows * outputs, dtype);
          call(
            "groupedMatmul",
            xTensor,
            weightTensor,
            c,
            offsetTensor,
            experts,
            rows,
            outputs,
            inputs,
            NT,
            0,
            dtype,
            dtype,
          );
          return [c];
        });
        expectProduct(y.slice(0, used * outputs), groupedMatmul(x, weight, group), dtype);
        expect(y.slice(used * outputs).every(Number.isNaN), "rows of no expert stay untouched").toBe(true);

        const [dx] = repeatable(() => {
          const c = poisoned(rows * inputs, dtype);
          call(
            "groupedMatmul",
            dyTensor,
            weightTensor,
            c,
            offsetTensor,
            experts,
            rows,
            inputs,
            outputs,
            NN,
            0,
            dtype,
            dtype,
          );
          return [c];
        });
        expectProduct(dx.slice(0, used * inputs), groupedMatmulDgrad(dy, weight, group), dtype);
        expect(dx.slice(used * inputs).every(Number.isNaN), "rows of no expert stay untouched").toBe(true);

        const before = random.normals(experts * outputs * inputs).map(Math.fround);
        const product = groupedMatmulWgrad(x, dy, group);
        for (const beta of [0, 1, 0.5]) {
          const [dw] = repeatable(() => {
            const c = beta === 0 ? poisoned(before.length) : upload(before);
            call(
              "groupedMatmul",
              dyTensor,
              xTensor,
              c,
              offsetTensor,
              experts,
              rows,
              outputs,
              inputs,
              TN,
              beta,
              dtype,
              "f32",
            );
            return [c];
          });
          expectProduct(
            dw,
            product.map((value, i) => value + beta * (beta === 0 ? 0 : before[i])),
            "f32",
          );
        }
        for (const t of [xTensor, dyTensor, weightTensor, offsetTensor]) t.dispose();
      });
    }
  }

  it("rows may start after row 0, and bf16 weight gradients are rounded once", () => {
    const random = rng(11);
    const [inputs, outputs, offsets] = [40, 24, [3, 10, 450]];
    const x = rounded(random.normals(450 * inputs), dtype);
    const dy = rounded(random.normals(450 * outputs), dtype);
    const [xTensor, dyTensor, offsetTensor] = [upload(x, dtype), upload(dy, dtype), upload(offsets, "i32")];
    const [dw] = repeatable(() => {
      const c = poisoned(2 * outputs * inputs, dtype);
      call("groupedMatmul", dyTensor, xTensor, c, offsetTensor, 2, 450, outputs, inputs, TN, 0, dtype, dtype);
      return [c];
    });
    expectProduct(dw, groupedMatmulWgrad(x, dy, { offsets, inputs, outputs }), dtype);
    for (const t of [xTensor, dyTensor, offsetTensor]) t.dispose();
  });
});

describe("groupedMatmul", () => {
  it.each([
    [[0, 5, 3], /offsets\[2\] is 3/],
    [[0, 2, 9], /offsets\[2\] is 9.*at most 8/],
    [[-1, 2, 4], /offsets\[0\] is -1/],
  ])("refuses the offsets %j", (offsets, message) => {
    const tensors = [
      upload(new Float32Array(32)),
      upload(new Float32Array(32)),
      poisoned(32),
      upload(offsets, "i32"),
    ];
    const [a, b, c, o] = tensors;
    expect(() => {
      call("groupedMatmul", a, b, c, o, 2, 8, 4, 4, NT, 0, "f32", "f32");
      download(c);
    }).toThrow(message);
    for (const t of tensors) t.dispose();
  });
});
