import { describe, expect, it } from "vitest";
import { dot, finiteDifference, gradientError, maxAbs, relativeError, rng } from "./array.js";
import {
  type CrossEntropyOptions,
  linearCrossEntropy,
  tokenLogProbs,
  tokenLogProbsBackward,
} from "./loss.js";

const [rows, dim, vocab] = [5, 3, 7];
const hidden = rng(1).normals(rows * dim);
const weight = rng(2).normals(vocab * dim);
const targets = [1, -100, 6, 0, -100];

describe("linear cross-entropy", () => {
  it.each<[string, Partial<CrossEntropyOptions>]>([
    ["plain", {}],
    ["label smoothing", { labelSmoothing: 0.1 }],
    ["z-loss", { zLoss: 0.01 }],
    ["soft cap", { softCap: 2 }],
    ["everything", { labelSmoothing: 0.2, zLoss: 0.02, softCap: 3, normaliser: 11, factor: 0.4 }],
  ])("has the gradient of finite differences: %s", (_name, extra) => {
    const options = { dim, vocab, ...extra };
    const { dhidden, dweight } = linearCrossEntropy(hidden, weight, targets, options);
    const byHidden = finiteDifference((v) => linearCrossEntropy(v, weight, targets, options).loss, hidden);
    const byWeight = finiteDifference((v) => linearCrossEntropy(hidden, v, targets, options).loss, weight);
    expect(relativeError(dhidden, byHidden)).toBeLessThan(1e-8);
    expect(relativeError(dweight, byWeight)).toBeLessThan(1e-8);
  });

  it("is ln V for equal logits and ignores what is to be ignored", () => {
    const flat = linearCrossEntropy(new Float64Array(rows * dim), weight, targets, { dim, vocab });
    expect(flat.loss).toBeCloseTo(Math.log(vocab), 14);
    expect(flat.count).toBe(3);
    expect(flat.rowLoss[1]).toBe(0);
    const none = linearCrossEntropy(hidden, weight, [9, 9, 9, 9, 9], { dim, vocab, ignoreIndex: 9 });
    expect(none.loss).toBe(0);
    expect(maxAbs(none.dhidden) + maxAbs(none.dweight)).toBe(0);
    expect(linearCrossEntropy([], weight, [], { dim, vocab }).loss).toBe(0);
  });

  it("adds up: halves with the whole's normaliser give the whole", () => {
    const options = { dim, vocab, normaliser: 3 };
    const first = linearCrossEntropy(hidden.slice(0, 6), weight, targets.slice(0, 2), options).loss;
    const rest = linearCrossEntropy(hidden.slice(6), weight, targets.slice(2), options).loss;
    expect(first + rest).toBeCloseTo(linearCrossEntropy(hidden, weight, targets, { dim, vocab }).loss, 14);
  });
});

describe("token log-probabilities", () => {
  it.each([1, 0.7, 2])("have the gradient of finite differences at temperature %d", (temperature) => {
    const options = { dim, vocab, temperature };
    const dlogProbs = rng(3).normals(rows);
    const dentropy = rng(4).normals(rows);
    const value = (h: Float64Array, w: Float64Array): number => {
      const { logProbs, entropy } = tokenLogProbs(h, w, targets, options);
      return dot(logProbs, dlogProbs) + dot(entropy, dentropy);
    };
    const { dhidden, dweight } = tokenLogProbsBackward(hidden, weight, targets, dlogProbs, dentropy, options);
    expect(
      relativeError(
        dhidden,
        finiteDifference((v) => value(v, weight), hidden),
      ),
    ).toBeLessThan(1e-8);
    expect(
      relativeError(
        dweight,
        finiteDifference((v) => value(hidden, v), weight),
      ),
    ).toBeLessThan(1e-8);
  });

  it("agree with the cross-entropy and have the entropy of the uniform distribution", () => {
    const { logProbs } = tokenLogProbs(hidden, weight, targets, { dim, vocab });
    const { rowLoss } = linearCrossEntropy(hidden, weight, targets, { dim, vocab });
    expect(
      relativeError(
        logProbs,
        rowLoss.map((loss) => -loss),
      ),
    ).toBeLessThan(1e-15);
    const flat = tokenLogProbs(new Float64Array(dim), weight, [2], { dim, vocab });
    expect(flat.entropy[0]).toBeCloseTo(Math.log(vocab), 14);
    const zero = new Float64Array(rows);
    const dlogProbs = rng(5).normals(rows);
    const { dhidden } = tokenLogProbsBackward(hidden, weight, targets, dlogProbs, zero, { dim, vocab });
    const forward = (v: Float64Array): Float64Array =>
      tokenLogProbs(v, weight, targets, { dim, vocab }).logProbs;
    expect(gradientError(forward, hidden, dlogProbs, dhidden)).toBeLessThan(1e-8);
  });
});
