/** Losses fused with the output projection, against the oracle and, chunk by chunk, against themselves. */
import { describe, expect, it } from "vitest";
import { defaultDevice } from "../../lib/native/device.js";
import { cosineDifference, rng } from "../reference/array.js";
import {
  type CrossEntropyOptions,
  linearCrossEntropy,
  tokenLogProbs,
  tokenLogProbsBackward,
} from "../reference/loss.js";
import {
  call,
  download,
  errorOf,
  expectClose,
  FLOATS,
  type Float,
  poisoned,
  quick,
  repeatable,
  rounded,
  upload,
} from "./harness.js";

const IGNORE = -100;
/** f32 gradients carry the rounding of the logits' exponentials; bf16 hidden gradients one more rounding of their own. */
const F32_GRADIENT = 1e-5;
const HIDDEN_GRADIENT: Record<Float, number> = { f32: F32_GRADIENT, bf16: 4e-3 };
/** Tensor cores take the gradient of the logits in the dtype of the weight; the CPU keeps it in f32. */
const ROUNDED_LOGITS = defaultDevice() !== "cpu";
const WEIGHT_GRADIENT: Record<Float, number> = {
  f32: F32_GRADIENT,
  bf16: ROUNDED_LOGITS ? 4e-3 : F32_GRADIENT,
};

interface Case extends Omit<CrossEntropyOptions, "dim" | "vocab" | "ignoreIndex"> {
  rows: number;
  dim: number;
  vocab: number;
  beta?: number;
  chunkRows?: number;
  /** Which rows count. Default: four of five. */
  counts?: (row: number) => boolean;
}

function makeData(options: Case, dtype: Float) {
  const { rows, dim, vocab } = options;
  const random = rng(rows * 1009 + dim * 31 + vocab);
  const counts = options.counts ?? ((row: number) => row % 5 !== 3);
  const targets = random.integers(rows, vocab).map((target, row) => (counts(row) ? target : IGNORE));
  return {
    random,
    targets,
    hidden: rounded(random.normals(rows * dim), dtype),
    weight: rounded(random.normals(vocab * dim, 1 / Math.sqrt(dim)), dtype),
    before: random.normals(vocab * dim, 0.01).map(Math.fround),
  };
}

/** Runs linearCrossEntropy with gradients: [loss, rowLoss, count, dhidden, dweight]. */
function runCrossEntropy(options: Case, dtype: Float): Float64Array[] {
  const { rows, dim, vocab, beta = 0, labelSmoothing = 0, zLoss = 0, softCap = 0, factor = 1 } = options;
  const data = makeData(options, dtype);
  const inputs = [upload(data.hidden, dtype), upload(data.weight, dtype), upload(data.targets, "i32")];
  const scalars = [
    rows,
    dim,
    vocab,
    IGNORE,
    labelSmoothing,
    zLoss,
    softCap,
    factor,
    beta,
    options.normaliser ?? 0,
  ];
  const results = repeatable(() => {
    const dweight = beta === 0 ? poisoned(vocab * dim) : upload(data.before);
    const outputs = [poisoned(1), poisoned(rows), poisoned(1), poisoned(rows * dim, dtype), dweight];
    call("linearCrossEntropy", ...inputs, ...outputs, ...scalars, options.chunkRows ?? 0, dtype);
    return outputs;
  });
  const [alone] = repeatable(() => {
    const loss = poisoned(1);
    call(
      "linearCrossEntropy",
      ...inputs,
      loss,
      null,
      null,
      null,
      null,
      ...scalars,
      options.chunkRows ?? 0,
      dtype,
    );
    return [loss];
  });
  expect(alone[0], "the loss without gradients is the same").toBe(results[0][0]);
  for (const t of inputs) t.dispose();
  return results;
}

function checkCrossEntropy(options: Case, dtype: Float): void {
  const { beta = 0 } = options;
  const { hidden, weight, targets, before } = makeData(options, dtype);
  const reference = linearCrossEntropy(hidden, weight, targets, { ...options, ignoreIndex: IGNORE });
  const [loss, rowLoss, count, dhidden, dweight] = runCrossEntropy(options, dtype);
  expect(Math.abs(loss[0] - reference.loss)).toBeLessThanOrEqual(
    2e-6 * Math.max(1, Math.abs(reference.loss)),
  );
  expectClose(rowLoss, reference.rowLoss, 2e-6, "row losses");
  expect(count[0]).toBe(reference.count);
  expectClose(dhidden, reference.dhidden, HIDDEN_GRADIENT[dtype], "gradient of hidden");
  const wanted = reference.dweight.map((value, i) => value + (beta === 0 ? 0 : beta * before[i]));
  expectClose(dweight, wanted, WEIGHT_GRADIENT[dtype], "gradient of the weight");
  expect(cosineDifference(dweight, wanted)).toBeLessThan(WEIGHT_GRADIENT[dtype] ** 2);
}

describe.each(FLOATS)("linearCrossEntropy %s", (dtype) => {
  it.each([
    [1, 1, 2],
    [3, 5, 7],
    [17, 31, 65],
    [64, 48, 257],
    [40, 129, 1031],
  ])("%i rows, width %i, vocabulary %i", (rows, dim, vocab) => {
    checkCrossEntropy({ rows, dim, vocab }, dtype);
  });

  const base = { rows: 37, dim: 24, vocab: 301 };
  it("label smoothing", () => checkCrossEntropy({ ...base, labelSmoothing: 0.1 }, dtype));
  it("z-loss", () => checkCrossEntropy({ ...base, zLoss: 1e-2 }, dtype));
  it("soft cap", () => checkCrossEntropy({ ...base, softCap: 1.5 }, dtype));
  it("all of them, with factor, normaliser and beta", () => {
    const all = { labelSmoothing: 0.2, zLoss: 1e-3, softCap: 2, factor: 3, normaliser: 11, beta: 0.5 };
    checkCrossEntropy({ ...base, ...all }, dtype);
    checkCrossEntropy({ ...base, ...all, chunkRows: 4, beta: 1 }, dtype);
  });

  it.each([1, 2, 7, 36, 100])("chunks of %i rows give the same up to rounding", (chunkRows) => {
    // The interpreter of GPU kernels takes most of a second for a chunk.
    const options = { ...base, rows: quick(base.rows, 9) };
    const whole = runCrossEntropy(options, dtype);
    const chunked = runCrossEntropy({ ...options, chunkRows }, dtype);
    for (const [i, values] of chunked.entries()) {
      expect(errorOf(values, whole[i])).toBeLessThan(i === 3 && dtype === "bf16" ? 4e-3 : 1e-6);
    }
  });

  it("rows that count in one run, and rows that do not at either end", () => {
    checkCrossEntropy({ ...base, counts: (row) => row >= 9 && row < 20 }, dtype);
    checkCrossEntropy({ ...base, counts: (row) => row === 36, chunkRows: 2 }, dtype);
    checkCrossEntropy({ ...base, counts: () => true }, dtype);
  });

  it("when all rows are ignored, the loss and the gradients are 0 and beta still applies", () => {
    for (const beta of [0, 0.5]) {
      const options = { ...base, counts: () => false, beta };
      const [loss, rowLoss, count, dhidden, dweight] = runCrossEntropy(options, dtype);
      expect(loss[0]).toBe(0);
      expect(count[0]).toBe(0);
      expect(rowLoss.every((value) => value === 0)).toBe(true);
      expect(dhidden.every((value) => value === 0)).toBe(true);
      const { before } = makeData(options, dtype);
      expectClose(
        dweight,
        before.map((value) => beta * value),
        1e-7,
      );
    }
  });

  it("no rows", () => {
    const [loss, , count, , dweight] = runCrossEntropy({ ...base, rows: 0 }, dtype);
    expect(loss[0]).toBe(0);
    expect(count[0]).toBe(0);
    expect(dweight.every((value) => value === 0)).toBe(true);
  });

  it("an ignored row of NaN does not reach loss or gradients", () => {
    const options = { ...base, counts: (row: number) => row !== 5 };
    const { hidden, weight, targets } = makeData(options, dtype);
    hidden.fill(Number.NaN, 5 * base.dim, 6 * base.dim);
    const inputs = [upload(hidden, dtype), upload(weight, dtype), upload(targets, "i32")];
    const outputs = [
      poisoned(1),
      poisoned(base.rows),
      poisoned(1),
      poisoned(hidden.length, dtype),
      poisoned(weight.length),
    ];
    call(
      "linearCrossEntropy",
      ...inputs,
      ...outputs,
      base.rows,
      base.dim,
      base.vocab,
      IGNORE,
      0,
      0,
      0,
      1,
      0,
      0,
      0,
      dtype,
    );
    for (const output of outputs) expect(download(output).every(Number.isFinite)).toBe(true);
    for (const t of [...inputs, ...outputs]) t.dispose();
  });

  it("large logits stay finite", () => {
    const { dim, vocab } = base;
    const hidden = new Float32Array(dim).fill(30);
    const weight = Float32Array.from({ length: vocab * dim }, (_, i) => (i < dim ? 1 : -1));
    const inputs = [upload(hidden, dtype), upload(weight, dtype), upload([1], "i32")];
    const outputs = [poisoned(1), poisoned(1), poisoned(1), poisoned(dim, dtype), poisoned(vocab * dim)];
    call("linearCrossEntropy", ...inputs, ...outputs, 1, dim, vocab, IGNORE, 0, 0, 0, 1, 0, 0, 0, dtype);
    expect(download(outputs[0])[0]).toBe(60 * dim);
    expect(download(outputs[3])[0]).toBe(2);
    for (const t of [...inputs, ...outputs]) t.dispose();
  });
});

describe.each(FLOATS)("tokenLogProbs %s", (dtype) => {
  const cases: (Case & { temperature: number; withEntropy?: boolean })[] = [
    { rows: 1, dim: 1, vocab: 2, temperature: 1, counts: () => true },
    { rows: 23, dim: 17, vocab: 65, temperature: 1 },
    { rows: 23, dim: 17, vocab: 65, temperature: 1, withEntropy: false },
    { rows: 41, dim: 33, vocab: 515, temperature: 0.7, chunkRows: 6, beta: 1 },
    { rows: 12, dim: 8, vocab: 40, temperature: 2, counts: () => false, beta: 0.5 },
    { rows: 0, dim: 8, vocab: 40, temperature: 1 },
  ];
  it.each(cases)("$rows rows, width $dim, vocabulary $vocab, temperature $temperature", (options) => {
    const { rows, dim, vocab, temperature, beta = 0, chunkRows = 0, withEntropy = true } = options;
    const { random, targets, hidden, weight, before } = makeData(options, dtype);
    const dlogp = rounded(random.normals(rows), "f32");
    const dentropy = rounded(withEntropy ? random.normals(rows) : new Float64Array(rows), "f32");
    const oracle = { dim, vocab, ignoreIndex: IGNORE, temperature };
    const reference = tokenLogProbs(hidden, weight, targets, oracle);
    const gradient = tokenLogProbsBackward(hidden, weight, targets, dlogp, dentropy, oracle);
    const inputs = [upload(hidden, dtype), upload(weight, dtype), upload(targets, "i32")];
    const sizes = [rows, dim, vocab, IGNORE, temperature];

    const [logp, lse, entropy] = repeatable(() => {
      const outputs = [poisoned(rows), poisoned(rows), poisoned(rows)];
      call(
        "tokenLogProbsForward",
        ...inputs,
        outputs[0],
        withEntropy ? outputs[2] : null,
        outputs[1],
        ...sizes,
        chunkRows,
        dtype,
      );
      return withEntropy ? outputs : outputs.slice(0, 2);
    });
    expectClose(logp, reference.logProbs, 2e-6, "log-probabilities");
    expectClose(lse, reference.lse, 2e-6, "log-sum-exp");
    if (withEntropy) expectClose(entropy, reference.entropy, 2e-6, "entropy");

    const saved = [
      upload(lse),
      withEntropy ? upload(entropy) : null,
      upload(dlogp),
      withEntropy ? upload(dentropy) : null,
    ];
    const [dhidden, dweight] = repeatable(() => {
      const outputs = [poisoned(rows * dim, dtype), beta === 0 ? poisoned(vocab * dim) : upload(before)];
      call("tokenLogProbsBackward", ...inputs, ...saved, ...outputs, ...sizes, beta, chunkRows, dtype);
      return outputs;
    });
    expectClose(dhidden, gradient.dhidden, HIDDEN_GRADIENT[dtype], "gradient of hidden");
    const wanted = gradient.dweight.map((value, i) => value + (beta === 0 ? 0 : beta * before[i]));
    expectClose(dweight, wanted, WEIGHT_GRADIENT[dtype], "gradient of the weight");
    for (const t of [...inputs, ...saved]) t?.dispose();
  });
});

it("a row of more logits than the shared memory of a GPU's block holds", () => {
  const options = { rows: 1, dim: 1, vocab: 60001, softCap: 3, counts: () => true };
  const { hidden, weight, targets } = makeData(options, "bf16");
  const reference = linearCrossEntropy(hidden, weight, targets, { ...options, ignoreIndex: IGNORE });
  const inputs = [upload(hidden, "bf16"), upload(weight, "bf16"), upload(targets, "i32")];
  const [loss, dhidden, dweight] = [poisoned(1), poisoned(1, "bf16"), poisoned(options.vocab)];
  const sizes = [options.rows, options.dim, options.vocab, IGNORE];
  const scalars = [0, 0, options.softCap, 1, 0, 0, 0];
  call("linearCrossEntropy", ...inputs, loss, null, null, dhidden, dweight, ...sizes, ...scalars, "bf16");
  expectClose(download(loss), [reference.loss], 2e-6, "loss");
  expectClose(download(dhidden), reference.dhidden, HIDDEN_GRADIENT.bf16, "gradient of hidden");
  expectClose(download(dweight), reference.dweight, WEIGHT_GRADIENT.bf16, "gradient of the weight");
  for (const t of [...inputs, loss, dhidden, dweight]) t.dispose();
});

describe("targets", () => {
  it.each([7, -1, -100])("refuses target %i of a vocabulary of 7 when −7 is the ignored index", (target) => {
    const tensors = [
      upload(new Float32Array(4)),
      upload(new Float32Array(14)),
      upload([target, 3], "i32"),
      poisoned(1),
    ];
    const [hidden, weight, targets, loss] = tensors;
    expect(() => {
      call(
        "linearCrossEntropy",
        hidden,
        weight,
        targets,
        loss,
        null,
        null,
        null,
        null,
        2,
        2,
        7,
        -7,
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        "f32",
      );
      download(loss);
    }).toThrow(new RegExp(`target ${target} of row 0`));
    for (const t of tensors) t.dispose();
  });
});
