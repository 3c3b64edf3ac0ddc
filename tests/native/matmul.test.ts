/** The dense product: sizes around every tile border, layouts, strides, batches, alpha, beta and bias, against the oracle. */
import { describe, expect, it } from "vitest";
import { defaultDevice } from "../../lib/native/device.js";
import { DTYPE_BYTES } from "../../lib/native/dtype.js";
import { empty, type Tensor } from "../../lib/tensor/tensor.js";
import { cosineDifference, rng } from "../reference/array.js";
import { matmul } from "../reference/matmul.js";
import {
  call,
  download,
  expectClose,
  FLOATS,
  type Float,
  poisoned,
  quick,
  repeatable,
  rounded,
  upload,
} from "./harness.js";

interface Case {
  m: number;
  n: number;
  k: number;
  batch?: number;
  transA?: boolean;
  transB?: boolean;
  alpha?: number;
  beta?: number;
  bias?: boolean;
  /** Elements between the end of a row and the next one, in a, b and c. */
  padding?: number;
  /** One b for all matrices of the batch. */
  sharedB?: boolean;
  out?: Float;
  /** Elements by which a, b, c and bias begin after the memory they lie in. */
  offset?: number;
}

const DEVICE = defaultDevice();

const OUT_ERROR: Record<Float, number> = { f32: 2e-6, bf16: 4e-3 };

/** A GPU's tensor cores cut their f32 sum off, half a unit in the last place on average, after every 16 products. */
function cutOff(k: number, dtype: Float): number {
  return dtype === "bf16" && DEVICE.startsWith("cuda") ? (k / 16) * 2 ** -24 : 0;
}

/** Lays rows of `width` values `stride` apart; the gaps hold NaN, so that reading them shows. */
function strided(values: ArrayLike<number>, width: number, stride: number): Float64Array {
  const rows = width === 0 ? 0 : values.length / width;
  const padded = new Float64Array(rows * stride).fill(Number.NaN);
  for (let r = 0; r < rows; r++)
    for (let j = 0; j < width; j++) padded[r * stride + j] = values[r * width + j];
  return padded;
}

/** The opposite of `strided`. */
function compact(values: ArrayLike<number>, width: number, stride: number): Float64Array {
  const rows = stride === 0 ? 0 : values.length / stride;
  return Float64Array.from(
    { length: rows * width },
    (_, i) => values[Math.floor(i / width) * stride + (i % width)],
  );
}

/** A tensor's part from element `offset` on; the tensor is disposed of with it. */
function from(whole: Tensor, offset: number, dtype: Float): Tensor {
  if (offset === 0) return whole;
  const part = whole.alias([whole.size - offset], offset * DTYPE_BYTES[dtype]);
  whole.dispose();
  return part;
}

function check(options: Case, dtype: Float): void {
  const { m, n, k, batch = 1, transA = false, transB = false, alpha = 1, beta = 0, padding = 0 } = options;
  const offset = options.offset ?? 0;
  const place = (values: Float64Array, type: Float) =>
    from(upload([...new Array<number>(offset).fill(Number.NaN), ...values], type), offset, type);
  const out = options.out ?? dtype;
  const random = rng(m * 7919 + n * 104729 + k);
  const bBatches = options.sharedB ? 1 : batch;
  const a = rounded(random.normals(batch * m * k), dtype);
  const b = rounded(random.normals(bBatches * k * n), dtype);
  const c = rounded(random.normals(batch * m * n), out);
  const bias = options.bias ? rounded(random.normals(n), dtype) : undefined;
  const [aWidth, bWidth] = [transA ? m : k, transB ? k : n];
  const [lda, ldb, ldc] = [aWidth + padding, bWidth + padding, n + padding];
  const reference = matmul(a, b, { m, n, k, batch, transA, transB, alpha, beta }, bias, c);

  const aTensor = place(strided(a, aWidth, lda), dtype);
  const bTensor = place(strided(b, bWidth, ldb), dtype);
  const biasTensor = bias ? place(bias, dtype) : null;
  const [result] = repeatable(() => {
    const cTensor =
      beta === 0
        ? from(poisoned(offset + batch * m * ldc, out), offset, out)
        : place(strided(c, n, ldc), out);
    const sizes = [batch, m, n, k, Number(transA), Number(transB), lda, ldb, ldc];
    const strides = [(transA ? k : m) * lda, options.sharedB ? 0 : (transB ? n : k) * ldb, m * ldc];
    call("matmul", aTensor, bTensor, cTensor, biasTensor, ...sizes, ...strides, alpha, beta, dtype, out);
    return [cTensor];
  });
  const values = compact(result, n, ldc);
  expect(values.length).toBe(batch * m * n);
  const error = OUT_ERROR[out] + cutOff(k, dtype);
  expectClose(values, reference, error);
  expect(cosineDifference(values, reference)).toBeLessThan(
    out === "bf16" ? 1e-5 : Math.max(1e-11, error ** 2),
  );
  for (let i = 0; i < result.length; i++) {
    if (i % ldc >= n && !Number.isNaN(result[i]))
      throw new Error(`element ${i}, between two rows of c, was written`);
  }
  aTensor.dispose();
  bTensor.dispose();
  biasTensor?.dispose();
}

const LAYOUTS = [
  { name: "NN" },
  { name: "NT", transB: true },
  { name: "TN", transA: true },
  { name: "TT", transA: true, transB: true },
];

describe.each(FLOATS)("matmul %s", (dtype) => {
  describe.each(LAYOUTS)("$name", ({ transA, transB }) => {
    // Register tiles are 14 × 32, 6 × 16 and 6 × 8; few rows take another path; 384 is the depth of one pass.
    it.each([
      [1, 1, 1],
      [1, 17, 13],
      [2, 3, 5],
      [13, 31, 7],
      [14, 32, 16],
      [15, 33, 17],
      [16, 65, 97],
      [17, 16, 33],
      [29, 47, 383],
      [43, 97, 385],
      [61, 7, 769],
      [337, 131, 67],
    ])("%i × %i × %i", (m, n, k) => {
      check({ m, n, k, transA, transB }, dtype);
    });

    it("strided rows, a batch, alpha, beta and bias", () => {
      check(
        { m: 19, n: 37, k: 23, batch: 3, padding: 5, alpha: 0.5, beta: 2, bias: true, transA, transB },
        dtype,
      );
      check({ m: 5, n: 70, k: 401, batch: 2, padding: 1, alpha: -1, bias: true, transA, transB }, dtype);
      check({ m: 40, n: 70, k: 801, alpha: 2, beta: 1, bias: true, transA, transB }, dtype);
    });

    it("a batch that shares b", () => {
      check({ m: 9, n: 21, k: 30, batch: 5, sharedB: true, transA, transB }, dtype);
    });

    // Tiles of the GPU are 64 × 64, 128 × 128 and 128 × 256, 64 (f32: 16) deep.
    it.each([
      [64, 64, 64],
      [63, 129, 65],
      [65, 127, 128],
      [128, 256, 16],
      [129, 257, 63],
    ])("%i × %i × %i, around the tiles of a GPU", (m, n, k) => {
      check({ m, n, k, transA, transB }, dtype);
    });

    it("products large enough for the largest tiles", () => {
      // As many tiles as there are multiprocessors: 4 on simt, 132 on an H200.
      const sizes = DEVICE.startsWith("cuda") ? { m: 1999, n: 2001, k: 71 } : { m: 253, n: 509, k: 199 };
      check({ ...sizes, transA, transB, bias: true }, dtype);
      check({ ...sizes, k: 72, padding: 3, transA, transB, beta: 1, out: "f32" }, dtype);
    });

    it("few elements of c and a long k", () => {
      check({ m: 24, n: 40, k: 1600, batch: 2, beta: 1, bias: true, transA, transB }, dtype);
      check({ m: 65, n: 39, k: 2111, alpha: 2, padding: 3, out: "f32", transA, transB }, dtype);
    });

    it("operands that begin anywhere", () => {
      for (const offset of [1, 2, 4]) {
        check({ m: 40, n: 72, k: 80, offset, bias: true, beta: 1, transA, transB }, dtype);
      }
      check({ m: 40, n: 72, k: 80, batch: 2, offset: 8, padding: 1, transA, transB }, dtype);
    });

    it("f32 output", () => {
      check({ m: 33, n: 65, k: 500, beta: 1, out: "f32", transA, transB }, dtype);
      check({ m: 3, n: 65, k: 100, bias: true, out: "f32", transA, transB }, dtype);
    });
  });

  it("cut between the threads along rows and along columns", () => {
    check({ m: quick(600, 200), n: 48, k: 130, transB: true }, dtype);
    check({ m: 20, n: quick(900, 300), k: 130, transB: true }, dtype);
    check({ m: 24, n: quick(1100, 300), k: quick(400, 130) }, dtype);
  });

  it("k = 0 gives beta·c + bias", () => {
    check({ m: 18, n: 35, k: 0, beta: 0.5, bias: true }, dtype);
    check({ m: 18, n: 35, k: 0, transB: true }, dtype);
  });

  it("m = 0, n = 0 and batch = 0 do nothing", () => {
    check({ m: 0, n: 5, k: 3 }, dtype);
    check({ m: 5, n: 0, k: 3 }, dtype);
    check({ m: 5, n: 4, k: 3, batch: 0 }, dtype);
  });

  // 4 and 8 GB of memory: on a GPU alone.
  if (DEVICE.startsWith("cuda")) {
    it("matrices further apart than 2^31 elements", () => {
      const [m, n, k] = [3, 4, 5];
      const stride = 2 ** 31 + 8;
      const random = rng(17);
      const a = rounded(random.normals(2 * m * k), dtype);
      const b = rounded(random.normals(k * n), dtype);
      const far = empty([stride + m * k], { dtype });
      for (const s of [0, 1]) {
        const part = far.alias([m * k], s * stride * DTYPE_BYTES[dtype]);
        part.write(Float32Array.from(a.subarray(s * m * k, (s + 1) * m * k)));
        part.dispose();
      }
      const [bTensor, c] = [upload(b, dtype), poisoned(2 * m * n, dtype)];
      call("matmul", far, bTensor, c, null, 2, m, n, k, 0, 0, k, n, n, stride, 0, m * n, 1, 0, dtype, dtype);
      expectClose(download(c), matmul(a, b, { m, n, k, batch: 2 }), OUT_ERROR[dtype]);
      for (const t of [far, bTensor, c]) t.dispose();
    });
  }

  it("infinite and NaN operands reach the result", () => {
    const a = upload([1, Number.POSITIVE_INFINITY, Number.NaN, 1], dtype);
    const b = upload([1, 2, 3, 4], dtype);
    const c = poisoned(4, dtype);
    call("matmul", a, b, c, null, 1, 2, 2, 2, 0, 0, 2, 2, 2, 0, 0, 0, 1, 0, dtype, dtype);
    expect(Array.from(download(c))).toEqual([Infinity, Infinity, Number.NaN, Number.NaN]);
    for (const t of [a, b, c]) t.dispose();
  });
});

describe("matmul", () => {
  it("refuses other dtypes", () => {
    const a = upload([1, 2, 3, 4], "i32");
    const c = poisoned(4);
    expect(() => {
      call("matmul", a, a, c, null, 1, 2, 2, 2, 0, 0, 2, 2, 2, 0, 0, 0, 1, 0, "i32", "f32");
      download(c);
    }).toThrow(/f32 or bf16.*i32/);
    a.dispose();
    c.dispose();
  });

  it("a row of the result does not depend on how many rows are computed with it, beyond the few-rows path", () => {
    const random = rng(5);
    const [n, k] = [70, 500];
    const weight = upload(random.normals(n * k));
    const rows = random.normals(100 * k);
    const product = (m: number): Float64Array => {
      const a = upload(rows.slice(0, m * k));
      const c = poisoned(m * n);
      call("matmul", a, weight, c, null, 1, m, n, k, 0, 1, k, k, n, 0, 0, 0, 1, 0, "f32", "f32");
      const values = download(c);
      a.dispose();
      c.dispose();
      return values;
    };
    const [many, few] = [product(100).slice(0, 17 * n), product(17)];
    // On a GPU, cuBLASLt may take other tiles for other sizes.
    if (DEVICE.startsWith("cuda") && process.env.ANNEAL_GEMM !== "own") expectClose(many, few, OUT_ERROR.f32);
    else expect(Array.from(many)).toEqual(Array.from(few));
    weight.dispose();
  });
});
