/** Drawing tokens: the same id as the oracle for the same Philox word, under every filter. */
import { describe, expect, it } from "vitest";
import { rng } from "../reference/array.js";
import { randomBlock, uniformOf } from "../reference/random.js";
import { filteredProbabilities, type SampleOptions, sample, sampledLogProb } from "../reference/sample.js";
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

function run(
  logits: ArrayLike<number>,
  rows: number,
  dtype: Float,
  options: SampleOptions,
  seed = 3,
  offset = 5,
): { ids: Float64Array; logp: Float64Array } {
  const { temperature = 1, topK = 0, topP = 1, minP = 0 } = options;
  const x = upload(logits, dtype);
  const [ids, logp] = repeatable(() => {
    const outputs = [poisoned(rows, "i32"), poisoned(rows)];
    call(
      "sample",
      x,
      ...outputs,
      rows,
      rows === 0 ? 1 : logits.length / rows,
      dtype,
      temperature,
      topK,
      topP,
      minP,
      seed,
      offset,
    );
    return outputs;
  });
  x.dispose();
  return { ids, logp };
}

const OPTIONS: readonly SampleOptions[] = [
  {},
  { temperature: 0 },
  { temperature: 0.7 },
  { temperature: 2.5 },
  { topK: 1 },
  { topK: 5 },
  { topK: 10_000 },
  { topP: 0.9 },
  { topP: 0.01 },
  { minP: 0.1 },
  { temperature: 0.8, topK: 40, topP: 0.95, minP: 0.02 },
];

describe.each(FLOATS)("sample %s", (dtype) => {
  it.each([
    [0, 1],
    [1, 1],
    [3, 2],
    [17, 65],
    [40, 1000],
    [2, 20_011],
  ])("%i rows of %i", (rows, vocab) => {
    const logits = rounded(rng(rows + vocab).normals(rows * vocab, 3), dtype);
    for (const options of OPTIONS) {
      const { ids, logp } = run(logits, rows, dtype, options);
      const expected = new Float64Array(rows);
      const expectedLogp = new Float64Array(rows);
      for (let r = 0; r < rows; r++) {
        const row = logits.subarray(r * vocab, (r + 1) * vocab);
        expected[r] = sample(row, uniformOf(randomBlock(3, 5, r)[0]), options);
        expectedLogp[r] = sampledLogProb(row, expected[r], options.temperature);
      }
      expect(ids, JSON.stringify(options)).toEqual(expected);
      expectClose(logp, expectedLogp, 1e-6, "logp");
    }
  });

  it("keeps ties in order of id", () => {
    const tied = [1, 3, 3, 2, 3, -Infinity];
    expect(run(tied, 1, dtype, { temperature: 0 }).ids[0]).toBe(1);
    for (let seed = 0; seed < 20; seed++) {
      const u = uniformOf(randomBlock(seed, 5, 0)[0]);
      for (const options of [{ topK: 2 }, { topP: 0.3 }, { topP: 0.5 }, { minP: 0.9 }]) {
        expect(run(tied, 1, dtype, options, seed).ids[0], JSON.stringify(options)).toBe(
          sample(tied, u, options),
        );
      }
    }
  });
});

describe("sampling", () => {
  it("draws in proportion to the kept probabilities", () => {
    const logits = [0, 1, 2, -1];
    const options = { temperature: 1.3, topK: 3 };
    const rows = quick(20_000, 1000);
    const { ids } = run(
      Float64Array.from({ length: rows * 4 }, (_, i) => logits[i % 4]),
      rows,
      "f32",
      options,
    );
    const counts = [0, 0, 0, 0];
    for (const id of ids) counts[id] += 1 / rows;
    filteredProbabilities(logits, options).forEach((p, id) => {
      expect(counts[id]).toBeCloseTo(p, quick(1.7, 1.2));
    });
    expect(counts[3]).toBe(0);
  });

  it("does without log-probabilities", () => {
    const [x, ids] = [upload([1, 5, 2]), poisoned(1, "i32")];
    call("sample", x, ids, null, 1, 3, "f32", 0, 0, 1, 0, 0, 0);
    expect(download(ids)[0]).toBe(1);
  });

  it("refuses logits that are not finite, an empty vocabulary and a negative temperature", () => {
    expect(() => run([0, 1, Number.NaN, 0], 2, "f32", {})).toThrow(/row 1/);
    expect(() => run([-Infinity, -Infinity], 1, "f32", {})).toThrow(/row 0/);
    expect(() => run([], 1, "f32", {})).toThrow(/empty/);
    expect(() => run([1], 1, "f32", { temperature: -1 })).toThrow(/temperature/);
  });
});
