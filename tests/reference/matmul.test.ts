import { describe, expect, it } from "vitest";
import { gradientError, relativeError, rng } from "./array.js";
import {
  groupedMatmul,
  groupedMatmulDgrad,
  groupedMatmulWgrad,
  linear,
  type MatmulOptions,
  matmul,
  matmulBackward,
} from "./matmul.js";

const transposed = (x: ArrayLike<number>, rows: number, columns: number): Float64Array =>
  Float64Array.from({ length: rows * columns }, (_, i) => x[(i % rows) * columns + Math.floor(i / rows)]);

describe("matmul", () => {
  it("multiplies a known pair", () => {
    expect(Array.from(matmul([1, 2, 3, 4], [5, 6, 7, 8], { m: 2, n: 2, k: 2 }))).toEqual([19, 22, 43, 50]);
    expect(Array.from(matmul([], [], { m: 2, n: 2, k: 0 }, [1, 2]))).toEqual([1, 2, 1, 2]);
  });

  it("reads transposed operands", () => {
    const [m, n, k] = [3, 4, 5];
    const a = rng(1).normals(m * k);
    const b = rng(2).normals(k * n);
    const plain = matmul(a, b, { m, n, k });
    const turned = matmul(transposed(a, m, k), transposed(b, k, n), { m, n, k, transA: true, transB: true });
    expect(relativeError(turned, plain)).toBe(0);
    expect(relativeError(linear(a, transposed(b, k, n), k, n), plain)).toBe(0);
  });

  it.each([
    { transA: false, transB: false, sharedB: false },
    { transA: true, transB: false, sharedB: true },
    { transA: false, transB: true, sharedB: true },
    { transA: true, transB: true, sharedB: false },
  ])("has the gradient of finite differences: %o", ({ transA, transB, sharedB }) => {
    const options: MatmulOptions = { m: 3, n: 2, k: 4, batch: 2, transA, transB, alpha: 0.7, beta: -0.3 };
    const random = rng(3);
    const a = random.normals(24);
    const b = random.normals(sharedB ? 8 : 16);
    const bias = random.normals(2);
    const c = random.normals(12);
    const dy = random.normals(12);
    const { da, db, dbias, dc } = matmulBackward(a, b, dy, options);
    expect(gradientError((x) => matmul(x, b, options, bias, c), a, dy, da)).toBeLessThan(1e-8);
    expect(gradientError((x) => matmul(a, x, options, bias, c), b, dy, db)).toBeLessThan(1e-8);
    expect(gradientError((x) => matmul(a, b, options, x, c), bias, dy, dbias)).toBeLessThan(1e-8);
    expect(gradientError((x) => matmul(a, b, options, bias, x), c, dy, dc)).toBeLessThan(1e-8);
  });
});

describe("grouped matmul", () => {
  const options = { offsets: [0, 2, 2, 5], inputs: 3, outputs: 4 };
  const x = rng(4).normals(15);
  const w = rng(5).normals(36);
  const dy = rng(6).normals(20);

  it("is one product per segment", () => {
    const y = groupedMatmul(x, w, options);
    expect(y.slice(0, 8)).toEqual(linear(x.slice(0, 6), w.slice(0, 12), 3, 4));
    expect(y.slice(8)).toEqual(linear(x.slice(6), w.slice(24), 3, 4));
  });

  it("has the gradient of finite differences, and zero for an empty segment", () => {
    const dw = groupedMatmulWgrad(x, dy, options);
    expect(
      gradientError((v) => groupedMatmul(v, w, options), x, dy, groupedMatmulDgrad(dy, w, options)),
    ).toBeLessThan(1e-8);
    expect(gradientError((v) => groupedMatmul(x, v, options), w, dy, dw)).toBeLessThan(1e-8);
    expect(Array.from(dw.slice(12, 24))).toEqual(new Array(12).fill(0));
  });
});
