import { describe, expect, it } from "vitest";
import { ConfigError, ShapeError } from "../../lib/errors.js";
import { manualSeed, normal, randomState, sampleTokens, scope, zeros } from "../../lib/tensor/index.js";
import { download, expectClose, FLOATS, rounded, upload } from "../native/harness.js";
import { rng } from "../reference/array.js";
import { randomBlock, uniformOf } from "../reference/random.js";
import { sample, sampledLogProb } from "../reference/sample.js";

const ROWS = 9;
const VOCAB = 37;

describe.each(FLOATS)("sampleTokens from %s logits", (dtype) => {
  it.each([
    {},
    { temperature: 0 },
    { temperature: 0.7 },
    { topK: 5 },
    { topP: 0.6 },
    { minP: 0.1 },
    { temperature: 1.3, topK: 20, topP: 0.9, minP: 0.02 },
  ])("draws the oracle's tokens with %o", (options) => {
    scope(() => {
      const values = rounded(rng(1).normals(ROWS * VOCAB, 2), dtype);
      const { ids, logProbs } = sampleTokens(upload(values, dtype, [3, 3, VOCAB]), {
        ...options,
        seed: 11,
        offset: 5,
      });
      expect(ids.shape).toEqual([3, 3]);
      const rows = Array.from({ length: ROWS }, (_, row) => values.subarray(row * VOCAB, (row + 1) * VOCAB));
      const expected = rows.map((row, i) => sample(row, uniformOf(randomBlock(11, 5, i)[0]), options));
      expect([...ids.dataSync()]).toEqual(expected);
      const temperature = "temperature" in options ? options.temperature : 1;
      expectClose(
        download(logProbs),
        rows.map((row, i) => sampledLogProb(row, expected[i], temperature)),
        1e-5,
      );
    });
  });
});

describe("sampleTokens", () => {
  it("takes the library's random state and moves it on", () => {
    scope(() => {
      const logits = normal([64, 50]);
      manualSeed(3);
      const first = [...sampleTokens(logits).ids.dataSync()];
      expect(randomState().offset).toBe(1);
      const second = [...sampleTokens(logits).ids.dataSync()];
      manualSeed(3);
      expect([...sampleTokens(logits).ids.dataSync()]).toEqual(first);
      expect(second).not.toEqual(first);
    });
  });

  it("reports wrong options by name", () => {
    scope(() => {
      const logits = zeros([2, 5]);
      expect(() => sampleTokens(logits, { temprature: 1 } as never)).toThrow(
        'unknown option "temprature". Did you mean "temperature"?',
      );
      expect(() => sampleTokens(logits, { temperature: -1 })).toThrow(
        "sampleTokens: temperature must be a number from 0, got -1.",
      );
      expect(() => sampleTokens(logits, { topP: 0 })).toThrow(ConfigError);
      expect(() => sampleTokens(logits, { topK: 1.5 })).toThrow(ConfigError);
      expect(() => sampleTokens(zeros([2, 0]))).toThrow(ShapeError);
    });
  });
});
