import { describe, expect, it } from "vitest";
import { dot, gradientError, relativeError, rng } from "./array.js";
import {
  type RopeLayout,
  type RopeScaling,
  rope,
  ropeBackward,
  ropeFrequencies,
  yarnCorrectionDim,
} from "./rope.js";

const deepseekV3: RopeScaling = {
  dim: 64,
  ropeTheta: 10000,
  ropeType: "yarn",
  factor: 40,
  originalMaxPositionEmbeddings: 4096,
  mscale: 1,
  mscaleAllDim: 1,
};

describe("YaRN as DeepSeek-V3 has it", () => {
  const { invFreq, attentionFactor, softmaxMultiplier } = ropeFrequencies(deepseekV3);

  it("corrects channels 10 to 23", () => {
    expect(yarnCorrectionDim(32, 64, 10000, 4096)).toBeCloseTo(10.4722, 4);
    expect(yarnCorrectionDim(1, 64, 10000, 4096)).toBeCloseTo(22.5134, 4);
  });

  it.each([
    [0, 1],
    [10, 5.623413e-2],
    [11, 3.900693e-2],
    [16, 5.5e-3],
    [22, 1.778279e-4],
    [23, 3.333804e-5],
    [31, 3.333804e-6],
  ])("has inverse frequency %i = %d", (j, value) => {
    expect(Math.abs(invFreq[j] / value - 1)).toBeLessThan(3e-7);
  });

  it("puts the whole temperature into the softmax scale", () => {
    expect(attentionFactor).toBe(1);
    expect(Math.sqrt(softmaxMultiplier)).toBeCloseTo(1.36888795, 8);
    expect(softmaxMultiplier).toBeCloseTo(1.87385421, 8);
    expect(softmaxMultiplier / Math.sqrt(192)).toBeCloseTo(0.13523378, 8);
  });

  it("scales V2-Lite by its own mscale, and generic YaRN by cos and sin", () => {
    const lite = ropeFrequencies({ ...deepseekV3, mscale: 0.707, mscaleAllDim: 0.707 });
    expect(lite.softmaxMultiplier / Math.sqrt(192)).toBeCloseTo(0.11472139, 8);
    const generic = ropeFrequencies({ ...deepseekV3, mscale: undefined, mscaleAllDim: undefined });
    expect(generic.attentionFactor).toBeCloseTo(1.36888795, 8);
    expect(generic.softmaxMultiplier).toBe(1);
    expect(ropeFrequencies({ ...deepseekV3, attentionFactor: 0.5 }).attentionFactor).toBe(0.5);
  });
});

describe("other scalings", () => {
  const plain = { dim: 8, ropeTheta: 10000 };
  const base = ropeFrequencies(plain).invFreq;

  it("are the plain frequencies, changed as named", () => {
    expect(relativeError(base, [1, 0.1, 0.01, 0.001])).toBeLessThan(1e-15);
    expect(
      relativeError(
        ropeFrequencies({ ...plain, ropeType: "linear", factor: 4 }).invFreq,
        base.map((w) => w / 4),
      ),
    ).toBe(0);
    // The NTK-aware base leaves the first frequency alone and divides the last by the factor.
    const ntk = ropeFrequencies({ ...plain, ropeType: "ntk", factor: 4 }).invFreq;
    expect(ntk[0]).toBe(1);
    expect(ntk[3]).toBeCloseTo(0.001 / 4, 12);
  });

  it("dynamic changes nothing up to the window and then grows with the length", () => {
    const dynamic: RopeScaling = { ...plain, ropeType: "dynamic", factor: 2, maxPositionEmbeddings: 100 };
    expect(relativeError(ropeFrequencies({ ...dynamic, length: 60 }).invFreq, base)).toBe(0);
    expect(ropeFrequencies({ ...dynamic, length: 200 }).invFreq[3]).toBeCloseTo(0.001 / 3, 12);
  });

  it("llama3 keeps short wavelengths, divides long ones and blends between", () => {
    const scaling = { ropeType: "llama3", factor: 8, lowFreqFactor: 1, highFreqFactor: 4 } as const;
    const { invFreq } = ropeFrequencies({ ...plain, ...scaling, originalMaxPositionEmbeddings: 1000 });
    expect(invFreq.slice(0, 2)).toEqual(base.slice(0, 2));
    const kept = ((1000 * 0.01) / (2 * Math.PI) - 1) / 3;
    expect(invFreq[2]).toBeCloseTo(((1 - kept) * 0.01) / 8 + kept * 0.01, 14);
    expect(invFreq[3]).toBeCloseTo(0.001 / 8, 14);
  });
});

describe("rotation", () => {
  const { invFreq } = ropeFrequencies({ dim: 4, ropeTheta: 100 });
  const positions = [0, 3, 7];
  const x = rng(1).normals(3 * 2 * 6);
  const input = { x, positions, heads: 2, headDim: 6, invFreq, start: 1, attentionFactor: 1.2 };

  it.each<RopeLayout>(["half", "interleaved", "interleavedToHalf"])(
    "%s has the gradient of finite differences",
    (layout) => {
      const dy = rng(2).normals(x.length);
      const dx = ropeBackward({ ...input, layout, x: dy });
      expect(gradientError((v) => rope({ ...input, layout, x: v }), x, dy, dx)).toBeLessThan(1e-8);
    },
  );

  it("copies the channels outside, and everything at position 0", () => {
    const y = rope({ ...input, layout: "half", attentionFactor: 1 });
    expect(y.slice(0, 12)).toEqual(x.slice(0, 12));
    for (let row = 0; row < 6; row++) {
      expect(y[row * 6]).toBe(x[row * 6]);
      expect(y[row * 6 + 5]).toBe(x[row * 6 + 5]);
    }
  });

  it("is one rotation in all layouts: scores agree and depend on the distance only", () => {
    const one = (layout: RopeLayout, vector: Float64Array, position: number): Float64Array =>
      rope({ x: vector, positions: [position], heads: 1, headDim: 4, invFreq, layout });
    const q = rng(3).normals(4);
    const k = rng(4).normals(4);
    const score = (layout: RopeLayout, m: number, n: number): number =>
      dot(one(layout, q, m), one(layout, k, n));
    expect(score("interleavedToHalf", 5, 2)).toBeCloseTo(score("interleaved", 5, 2), 13);
    for (const layout of ["half", "interleaved"] as const)
      expect(score(layout, 9, 6)).toBeCloseTo(score(layout, 5, 2), 13);
    const interleaved = one("interleaved", q, 5);
    expect(one("interleavedToHalf", q, 5)).toEqual(Float64Array.from([0, 2, 1, 3], (i) => interleaved[i]));
  });
});
