import { describe, expect, it } from "vitest";
import { addArrays, dot, finiteDifference, gradientError, relativeError, rng } from "./array.js";
import { layerNorm, layerNormBackward, type NormInput, rmsNorm, rmsNormBackward } from "./norm.js";

const random = rng(1);
const dim = 5;
const base: NormInput = {
  x: random.normals(15),
  residual: random.normals(15),
  gain: random.uniforms(dim, 0.5, 1.5),
  bias: random.normals(dim),
  dim,
  eps: 0.01,
};
const dy = random.normals(15);
const dsum = random.normals(15);

describe.each([
  ["rmsNorm", rmsNorm, rmsNormBackward, { ...base, bias: undefined }],
  ["layerNorm", layerNorm, layerNormBackward, base],
] as const)("%s", (_name, forward, backward, input) => {
  const both = (changed: NormInput): number => {
    const { y, sum } = forward(changed);
    return dot(y, dy) + dot(sum, dsum);
  };

  it("has the gradient of finite differences, also through the returned sum", () => {
    const { dx, dgain, dbias } = backward(input, dy, dsum);
    for (const name of ["x", "residual"] as const) {
      const numeric = finiteDifference((v) => both({ ...input, [name]: v }), base[name] ?? []);
      expect(relativeError(dx, numeric)).toBeLessThan(1e-8);
    }
    expect(gradientError((v) => forward({ ...input, gain: v }).y, base.gain ?? [], dy, dgain)).toBeLessThan(
      1e-8,
    );
    expect(gradientError((v) => forward({ ...input, bias: v }).y, base.bias ?? [], dy, dbias)).toBeLessThan(
      1e-8,
    );
  });

  it("needs neither residual nor gain", () => {
    const plain = { x: base.x, dim, eps: 0.01 };
    expect(forward(plain).sum).toEqual(base.x);
    const { dx } = backward(plain, dy);
    expect(gradientError((v) => forward({ ...plain, x: v }).y, base.x, dy, dx)).toBeLessThan(1e-8);
    const joined = forward({ ...plain, x: addArrays(base.x, base.residual ?? []) });
    expect(forward({ ...plain, residual: base.residual }).y).toEqual(joined.y);
  });
});

describe("normalised rows", () => {
  it("have unit mean square, and for LayerNorm mean 0", () => {
    const { y } = rmsNorm({ x: base.x, dim, eps: 0 });
    expect(dot(y, y)).toBeCloseTo(15, 12);
    const centred = layerNorm({ x: base.x, dim, eps: 0 });
    expect(Math.abs(centred.y.slice(0, dim).reduce((sum, value) => sum + value, 0))).toBeLessThan(1e-14);
    expect(dot(centred.y, centred.y)).toBeCloseTo(15, 12);
    expect(rmsNorm({ x: [0, 0], dim: 2, eps: 1e-6 }).y).toEqual(new Float64Array(2));
    expect(rmsNorm({ x: [], dim: 2, eps: 1e-6 }).y.length).toBe(0);
  });
});
