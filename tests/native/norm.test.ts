/** RMSNorm and LayerNorm, with and without a residual, forward and backward, against the oracle. */
import { describe, expect, it } from "vitest";
import { finiteDifference, rng } from "../reference/array.js";
import { layerNorm, layerNormBackward, type NormInput, rmsNorm, rmsNormBackward } from "../reference/norm.js";
import {
  call,
  download,
  expectClose,
  FLOATS,
  type Float,
  poisoned,
  repeatable,
  rounded,
  TOLERANCE,
  upload,
} from "./harness.js";

/** [rows, width]; more rows than one block of the weight gradient, odd widths, whole vectors, rows too wide for registers, nothing. */
const SHAPES = [
  [0, 8],
  [1, 1],
  [3, 2],
  [5, 64],
  [17, 65],
  [100, 33],
  [1100, 9],
  [9, 1030],
  [70, 128],
  [3, 2048],
  [2, 4105],
] as const;
/** Whole vectors, more than a group of threads keeps. */
const WIDE = { rmsNorm: [2, 8200], layerNorm: [2, 4104] } as const;
const EPS = 1e-5;

interface Case {
  rows: number;
  width: number;
  dtype: Float;
  input: NormInput;
  dy: Float64Array;
  dsum: Float64Array;
  base: Float64Array;
}

function makeCase(rows: number, width: number, dtype: Float, residual: boolean, bias: boolean): Case {
  const random = rng(rows * 7 + width);
  const draw = (count: number, deviation = 1): Float64Array =>
    rounded(random.normals(count, deviation), dtype);
  const x = draw(rows * width, 2);
  const added = residual ? draw(rows * width) : undefined;
  const gain = draw(width).map((v) => v + 1);
  const input: NormInput = {
    x,
    dim: width,
    eps: EPS,
    gain: rounded(gain, dtype),
    residual: added,
    bias: bias ? draw(width) : undefined,
  };
  return {
    rows,
    width,
    dtype,
    input,
    dy: draw(rows * width),
    dsum: draw(rows * width),
    base: rounded(random.normals(width), "f32"),
  };
}

/** The case whose residual has been added and rounded, as the kernels see it in the backward pass. */
function summed({ input, dtype }: Case): NormInput {
  const { x, residual } = input;
  return {
    ...input,
    residual: undefined,
    x: residual
      ? rounded(
          Float64Array.from(x, (v, i) => v + residual[i]),
          dtype,
        )
      : x,
  };
}

/** s·r is rounded to bf16 before the gain, so its error adds to that of the result. */
const forwardTolerance = (dtype: Float): number => 2 * TOLERANCE[dtype];

describe.each(FLOATS)("RMSNorm %s", (dtype) => {
  it.each([...SHAPES, WIDE.rmsNorm])("[%i, %i]", (rows, width) => {
    for (const residual of [false, true]) {
      const one = makeCase(rows, width, dtype, residual, false);
      const reference = rmsNorm(summed(one));
      const [x, r, w] = [one.input.x, one.input.residual, one.input.gain].map((v) =>
        v ? upload(v, dtype) : null,
      );
      const [y, rstd, sum] = repeatable(() => {
        const outputs = [poisoned(rows * width, dtype), poisoned(rows)];
        if (residual) outputs.push(poisoned(rows * width, dtype));
        call(
          "rmsNormForward",
          x,
          r,
          w,
          outputs[0],
          outputs[2] ?? null,
          outputs[1],
          rows,
          width,
          width,
          dtype,
          EPS,
        );
        return outputs;
      });
      expectClose(y, reference.y, forwardTolerance(dtype), "y");
      expectClose(rstd, reference.rstd, TOLERANCE.f32 * 2, "rstd");
      if (residual) expectClose(sum, reference.sum, 0, "sum");
      for (const [withSum, accumulate] of [
        [false, false],
        [true, true],
      ]) {
        const gradient = rmsNormBackward(summed(one), one.dy, withSum ? one.dsum : undefined);
        const [s, dy, ds, stat] = [
          upload(reference.sum, dtype),
          upload(one.dy, dtype),
          upload(one.dsum, dtype),
          upload(rstd),
        ];
        const [dx, dweight] = repeatable(() => {
          const outputs = [poisoned(rows * width, dtype), accumulate ? upload(one.base) : poisoned(width)];
          call(
            "rmsNormBackward",
            dy,
            withSum ? ds : null,
            s,
            w,
            stat,
            ...outputs,
            rows,
            width,
            width,
            width,
            dtype,
            accumulate,
          );
          return outputs;
        });
        // The gradient of a single channel is 0 but for eps, which f32 misses by its rounding.
        if (width > 1) expectClose(dx, gradient.dx, 2 * TOLERANCE[dtype], "dx");
        expectClose(
          dweight,
          accumulate ? gradient.dgain.map((v, i) => v + one.base[i]) : gradient.dgain,
          4 * TOLERANCE.f32,
          "dweight",
        );
        call("rmsNormBackward", dy, ds, s, w, stat, ds, null, rows, width, width, width, dtype, false);
        if (width > 1) {
          expectClose(
            download(ds),
            rmsNormBackward(summed(one), one.dy, one.dsum).dx,
            2 * TOLERANCE[dtype],
            "dx over dsum",
          );
        }
      }
    }
  });

  it("reads and writes rows that are part of longer ones", () => {
    const [rows, width, stride] = [6, 20, 33];
    const one = makeCase(rows, width, dtype, false, false);
    const spread = new Float64Array(rows * stride).fill(Number.NaN);
    one.input.x &&
      Array.from(one.input.x).forEach((v, i) => {
        spread[Math.floor(i / width) * stride + (i % width)] = v;
      });
    const [x, w, y, rstd] = [
      upload(spread, dtype),
      upload(one.input.gain ?? [], dtype),
      poisoned(rows * width, dtype),
      poisoned(rows),
    ];
    call("rmsNormForward", x, null, w, y, null, rstd, rows, width, stride, dtype, EPS);
    expectClose(download(y), rmsNorm(one.input).y, forwardTolerance(dtype));
    const [dy, dx, dweight] = [
      upload(one.dy, dtype),
      upload(new Float64Array(rows * stride).fill(7), dtype),
      poisoned(width),
    ];
    call("rmsNormBackward", dy, null, x, w, rstd, dx, dweight, rows, width, stride, stride, dtype, false);
    const out = download(dx);
    const part = Float64Array.from(
      { length: rows * width },
      (_, i) => out[Math.floor(i / width) * stride + (i % width)],
    );
    expectClose(part, rmsNormBackward(one.input, one.dy).dx, 2 * TOLERANCE[dtype]);
    expect(out.filter((_, i) => i % stride >= width).every((v) => v === 7)).toBe(true);
  });
});

describe.each(FLOATS)("LayerNorm %s", (dtype) => {
  it.each([...SHAPES, WIDE.layerNorm])("[%i, %i]", (rows, width) => {
    for (const [residual, bias] of [
      [false, true],
      [true, true],
      [false, false],
    ]) {
      const one = makeCase(rows, width, dtype, residual, bias);
      const reference = layerNorm(summed(one));
      const [x, r, w, b] = [one.input.x, one.input.residual, one.input.gain, one.input.bias].map((v) =>
        v ? upload(v, dtype) : null,
      );
      const [y, mean, rstd, sum] = repeatable(() => {
        const outputs = [poisoned(rows * width, dtype), poisoned(rows), poisoned(rows)];
        if (residual) outputs.push(poisoned(rows * width, dtype));
        call(
          "layerNormForward",
          x,
          r,
          w,
          b,
          outputs[0],
          outputs[3] ?? null,
          outputs[1],
          outputs[2],
          rows,
          width,
          dtype,
          EPS,
        );
        return outputs;
      });
      // With one channel or two nearly equal ones the variance is almost 0 and eps decides; the mean's rounding shows.
      const loose = width < 3 ? 50 : 2;
      expectClose(y, reference.y, loose * TOLERANCE[dtype], "y");
      expectClose(mean, reference.mean, 1e-5, "mean");
      expectClose(rstd, reference.rstd, loose * TOLERANCE.f32, "rstd");
      if (residual) expectClose(sum, reference.sum, 0, "sum");
      for (const [withSum, accumulate] of [
        [false, false],
        [true, true],
      ]) {
        const gradient = layerNormBackward(summed(one), one.dy, withSum ? one.dsum : undefined);
        const [s, dy, ds] = [reference.sum, one.dy, one.dsum].map((v) => upload(v, dtype));
        const [m, stat] = [upload(mean), upload(rstd)];
        const [dx, dweight, dbias] = repeatable(() => {
          const outputs = [
            poisoned(rows * width, dtype),
            ...[0, 1].map(() => (accumulate ? upload(one.base) : poisoned(width))),
          ];
          call(
            "layerNormBackward",
            dy,
            withSum ? ds : null,
            s,
            w,
            m,
            stat,
            ...outputs,
            rows,
            width,
            dtype,
            accumulate,
          );
          return outputs;
        });
        const plus = (values: Float64Array): Float64Array =>
          accumulate ? values.map((v, i) => v + one.base[i]) : values;
        // A single channel has gradient exactly 0, which f32 misses by its rounding.
        if (width > 2) expectClose(dx, gradient.dx, 4 * TOLERANCE[dtype], "dx");
        expectClose(dweight, plus(gradient.dgain), width > 2 ? 1e-5 : 1e-3, "dweight");
        expectClose(dbias, plus(gradient.dbias), 4 * TOLERANCE.f32, "dbias");
        call("layerNormBackward", dy, ds, s, w, m, stat, ds, null, null, rows, width, dtype, false);
        if (width > 2)
          expectClose(
            download(ds),
            layerNormBackward(summed(one), one.dy, one.dsum).dx,
            4 * TOLERANCE[dtype],
            "dx over dsum",
          );
      }
    }
  });
});

describe("norm gradients", () => {
  it("follow finite differences", () => {
    const one = makeCase(2, 7, "f32", false, true);
    const [x, w, b, dy] = [one.input.x, one.input.gain ?? [], one.input.bias ?? [], one.dy].map((v) =>
      upload(v),
    );
    const [y, mean, rstd, dx, dweight, dbias] = [14, 2, 2, 14, 7, 7].map((n) => poisoned(n));
    const loss = (out: Float64Array): number => out.reduce((sum, v, i) => sum + v * one.dy[i], 0);
    call("layerNormForward", x, null, w, b, y, null, mean, rstd, 2, 7, "f32", EPS);
    call("layerNormBackward", dy, null, x, w, mean, rstd, dx, dweight, dbias, 2, 7, "f32", false);
    expectClose(
      download(dx),
      finiteDifference((v) => loss(layerNorm({ ...one.input, x: v }).y), one.input.x),
      1e-5,
    );
    expectClose(
      download(dweight),
      finiteDifference((v) => loss(layerNorm({ ...one.input, gain: v }).y), one.input.gain ?? []),
      1e-5,
    );
    call("rmsNormForward", x, null, w, y, null, rstd, 2, 7, 7, "f32", EPS);
    call("rmsNormBackward", dy, null, x, w, rstd, dx, dweight, 2, 7, 7, 7, "f32", false);
    expectClose(
      download(dx),
      finiteDifference((v) => loss(rmsNorm({ ...one.input, x: v }).y), one.input.x),
      1e-5,
    );
    expectClose(
      download(dweight),
      finiteDifference((v) => loss(rmsNorm({ ...one.input, gain: v }).y), one.input.gain ?? []),
      1e-5,
    );
  });

  it("need somewhere to write the sum", () => {
    const x = upload([1, 2]);
    call("rmsNormForward", x, x, x, x, null, x, 1, 2, 2, "f32", EPS);
    expect(() => download(x)).toThrow(/sum must be given/);
    call("layerNormForward", x, x, x, x, x, null, x, x, 1, 2, "f32", EPS);
    expect(() => download(x)).toThrow(/sum must be given/);
  });
});
