import { describe, expect, it } from "vitest";
import {
  type GateName,
  gatedUnit,
  gatedUnitBackward,
  geglu,
  joinGateUp,
  splitGateUp,
  swiglu,
} from "./activation.js";
import { gradientError, rng } from "./array.js";

describe("gated units", () => {
  const gate = rng(1).normals(12);
  const up = rng(2).normals(12);
  const dh = rng(3).normals(12);

  it.each<GateName>(["silu", "gelu", "geluTanh"])("%s has the gradient of finite differences", (name) => {
    const { dgate, dup } = gatedUnitBackward(name, gate, up, dh);
    expect(gradientError((v) => gatedUnit(name, v, up), gate, dh, dgate)).toBeLessThan(1e-8);
    expect(gradientError((v) => gatedUnit(name, gate, v), up, dh, dup)).toBeLessThan(1e-8);
  });

  it("have their known values", () => {
    expect(swiglu([1], [2])[0]).toBeCloseTo(2 / (1 + Math.exp(-1)), 15);
    expect(geglu([1], [2])[0]).toBeCloseTo(1.682689492137086, 14);
    expect(geglu([1], [2], true)[0]).toBeCloseTo(1.6823839816, 8);
  });

  it("split and join rows of [gate | up]", () => {
    expect(splitGateUp([1, 2, 3, 4, 5, 6, 7, 8], 2)).toEqual({
      gate: Float64Array.of(1, 2, 5, 6),
      up: Float64Array.of(3, 4, 7, 8),
    });
    expect(joinGateUp([1, 2, 5, 6], [3, 4, 7, 8], 2)).toEqual(Float64Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  });
});
