/** Gradients of the fused operations against central differences; their kernels meet the oracle in tests/native. */
import { describe, it } from "vitest";
import * as anneal from "../../lib/tensor/index.js";
import { manualSeed, type Tensor, tensor } from "../../lib/tensor/index.js";
import { upload } from "../native/harness.js";
import { expectGradients, type Input } from "./gradients.js";

const of = (...shape: number[]): Input => ({ shape });
const ids = (...values: number[]): Tensor => upload(values, "i32");

describe("matrix products", () => {
  it("linear", () => {
    expectGradients((x, w, b) => anneal.linear(x, w, b), [of(2, 3, 5), of(4, 5), of(4)]);
    expectGradients((x, w) => anneal.linear(x, w), [of(7, 5), of(3, 5)]);
    expectGradients((x, w, b) => anneal.linear(x, w, b, { inOut: true }), [of(3, 5), of(5, 4), of(4)]);
    expectGradients((x, w) => anneal.linear(x.tanh(), w.mul(2), w.sum(1)), [of(3, 5), of(4, 5)]);
    expectGradients((x, w) => anneal.linearF32(x, w), [of(3, 5), of(4, 5)]);
  });

  it.each([
    [false, false],
    [true, false],
    [false, true],
    [true, true],
  ])("matmul, transA %s, transB %s", (transA, transB) => {
    const a = transA ? [5, 3] : [3, 5];
    const b = transB ? [4, 5] : [5, 4];
    const options = { transA, transB };
    expectGradients((x, y) => anneal.matmul(x, y, options), [of(...a), of(...b)]);
    expectGradients((x, y) => anneal.matmul(x, y, options), [of(2, 3, ...a), of(2, 3, ...b)]);
    expectGradients((x, y) => anneal.matmul(x, y, options), [of(3, ...a), of(...b)]);
    expectGradients((x, y) => anneal.matmul(x, y, options), [of(...a), of(3, ...b)]);
    expectGradients((x, y) => anneal.matmul(x.tanh(), y.mul(2), options), [of(2, ...a), of(...b)]);
  });

  it("groupedLinear, one expert without rows", () => {
    expectGradients((x, w) => anneal.groupedLinear(x, w, ids(0, 2, 2, 7)), [of(7, 3), of(3, 4, 3)]);
  });
});

describe("look-up, norms, activations", () => {
  it("embedding, an id several times", () => {
    expectGradients((w) => anneal.embedding(ids(3, 0, 3, 3).reshape([2, 2]), w), [of(5, 3)]);
    expectGradients((w) => anneal.embedding(ids(1, 1), w.tanh()), [of(2, 3)]);
  });

  it("rmsNorm and layerNorm", () => {
    expectGradients((x, w) => anneal.rmsNorm(x, w, 1e-5), [of(2, 3, 7), of(7)]);
    expectGradients((x, w, b) => anneal.layerNorm(x, w, b, 1e-5), [of(4, 7), of(7), of(7)]);
    expectGradients((x, w) => anneal.layerNorm(x, w, null, 1e-5), [of(4, 7), of(7)]);
  });

  it("norms of a sum, with gradients from both outputs, one, or the other", () => {
    const inputs = [of(4, 7), of(4, 7), of(7)];
    const rms = (x: Tensor, r: Tensor, w: Tensor) => anneal.addRmsNorm(x, r, w, 1e-5);
    const layer = (x: Tensor, r: Tensor, w: Tensor) => anneal.addLayerNorm(x, r, w, w.mul(2), 1e-5);
    for (const norm of [rms, layer]) {
      expectGradients((x, r, w) => Object.values(norm(x, r, w)), inputs);
      expectGradients((x, r, w) => norm(x, r, w).y.mul(1.5), inputs);
      expectGradients((x, r, w) => norm(x, r, w).sum.mul(1.5), inputs);
      expectGradients((x, w) => Object.values(norm(x, x, w)), [of(4, 7), of(7)]);
      expectGradients(
        (x, r, w) => Object.values(norm(x, r, w)),
        [{ ...of(4, 7), differentiable: false }, of(4, 7), of(7)],
      );
    }
  });

  it("norms with fixed weights or a shared one", () => {
    const fixed = { ...of(7), differentiable: false };
    expectGradients((x, w) => anneal.rmsNorm(x, w, 1e-5), [of(4, 7), fixed]);
    expectGradients((x, w, b) => anneal.layerNorm(x, w, b, 1e-5), [of(4, 7), fixed, of(7)]);
    expectGradients((x, w) => anneal.layerNorm(anneal.rmsNorm(x, w, 1e-5), w, null, 1e-5), [of(4, 7), of(7)]);
  });

  it.each(["silu", "gelu", "geluTanh"] as const)("gated with %s", (activation) => {
    expectGradients((g, u) => anneal.gated(g, u, activation), [of(3, 5), of(3, 5)]);
    expectGradients((x) => anneal.gated(x, x, activation), [of(3, 5)]);
    expectGradients((x) => anneal.gatedPacked(x, activation), [of(3, 10)]);
  });

  it("dropout, drawn again with the same numbers", () => {
    expectGradients(
      (x) => {
        manualSeed(5);
        return anneal.dropout(anneal.dropout(x, 0.3), 0.5);
      },
      [of(8, 9)],
    );
  });
});

describe("rotary embedding", () => {
  const angles = Float32Array.from({ length: 10 * 2 }, (_, i) => (i >> 1) * (i % 2 === 0 ? 1 : 0.1));
  const table = () => ({
    cos: tensor(angles.map(Math.cos), { shape: [10, 2] }),
    sin: tensor(angles.map(Math.sin), { shape: [10, 2] }),
  });

  it.each([
    {},
    { offset: 2 },
    { inputInterleaved: true },
    { inputInterleaved: true, outputInterleaved: false, offset: 1 },
  ])("%o", (options) => {
    expectGradients((x) => anneal.rope(x, ids(0, 3, 9), table(), options), [of(3, 2, 6)]);
    expectGradients(
      (x) => {
        const y = anneal.rope(x.mul(2), ids(0, 3, 9), table(), {
          ...options,
          inPlace: options.outputInterleaved === undefined,
        });
        return [y, y.mul(3)];
      },
      [of(3, 2, 6)],
    );
  });
});

describe("attention", () => {
  const inputs = [of(7, 4, 6), of(7, 2, 6), of(7, 2, 5)];

  it.each([{}, { causal: false }, { window: 2 }, { softcap: 2 }, { scale: 0.3 }])(
    "over packed segments, grouped heads, another value size, %o",
    (options) => {
      expectGradients(
        (q, k, v) => anneal.attention(q, k, v, { segments: anneal.segmentsOf([3, 0, 4]), ...options }),
        inputs,
      );
    },
  );

  it("on a fused projection, and on one tensor three times", () => {
    expectGradients((x) => anneal.attentionPacked(x, 2, { segments: anneal.segmentsOf([5]) }), [of(5, 24)]);
    expectGradients((x) => anneal.attention(x, x, x, { segments: anneal.segmentsOf([2, 3]) }), [of(5, 2, 4)]);
  });

  it("with key channels that all heads share, keys and values in one tensor", () => {
    const heads = 3;
    expectGradients(
      (q, kv, shared) => {
        const part = { tensor: kv, heads, row: heads * 7, head: 7 };
        return anneal.attentionParts(
          {
            q: { tensor: q, heads, size: 6, row: heads * 6, head: 6 },
            k: { ...part, size: 4 },
            v: { ...part, size: 3, offset: 4 },
            kShared: { tensor: shared, size: 2 },
          },
          { segments: anneal.segmentsOf([4, 2]) },
        );
      },
      [of(6, heads, 6), of(6, heads * 7), of(6, 2)],
    );
  });
});

describe("mixture of experts", () => {
  // Far enough apart that no step of the differences changes the choice.
  const logits = { shape: [5, 6], values: Array.from({ length: 30 }, (_, i) => (((i * 7) % 30) - 15) / 10) };
  const options = { chosen: 2, groups: 3, groupsKept: 2, scaling: 1.5 };

  it.each([
    { scoring: "sigmoid", normalise: true },
    { scoring: "sigmoid", normalise: false },
    { scoring: "softmax", normalise: false },
    { scoring: "softmax", normalise: true },
  ] as const)("route, %o", (choice) => {
    expectGradients((x) => anneal.route(x, null, { ...options, ...choice }).weights, [logits]);
    const bias = (): Tensor => tensor([0.3, 0, -0.3, 0, 0.5, 0]);
    expectGradients((x) => anneal.route(x, bias(), { ...options, ...choice }).weights, [logits]);
  });

  it.each([
    { scoring: "sigmoid", counting: "topScores" },
    { scoring: "softmax", counting: "chosen" },
  ] as const)("balanceLoss, %o", (choice) => {
    const x = { shape: [6, 6], values: Array.from({ length: 36 }, (_, i) => (((i * 11) % 36) - 18) / 10) };
    expectGradients(
      (l) =>
        anneal.balanceLoss(l, anneal.route(l, null, { ...options, ...choice }), {
          sequences: 2,
          alpha: 0.5,
          ...choice,
        }),
      [x],
    );
  });

  it("permuteTokens and combineTokens, with and without an addend", () => {
    const dispatch = () => anneal.sortByExpert(ids(2, 4, 0, 2, 1, 2).reshape([3, 2]), 5);
    expectGradients((x) => anneal.permuteTokens(x, dispatch()), [of(3, 4)]);
    expectGradients((x, w) => anneal.combineTokens(x, w, dispatch()), [of(6, 4), of(3, 2)]);
    expectGradients((x, w, a) => anneal.combineTokens(x, w, dispatch(), a), [of(6, 4), of(3, 2), of(3, 4)]);
  });
});

describe("losses fused with the projection", () => {
  const inputs = [of(6, 4), of(9, 4)];
  const targets = () => ids(0, 8, -100, 3, 3, 1);

  it.each([
    {},
    { labelSmoothing: 0.1 },
    { zLoss: 0.05 },
    { softcap: 3 },
    { factor: 0.25, normaliser: 3 },
    { labelSmoothing: 0.1, zLoss: 0.01, softcap: 5, chunkRows: 2 },
  ])("linearCrossEntropy, %o", (options) => {
    expectGradients((h, w) => anneal.linearCrossEntropy(h, w, targets(), options).loss, inputs);
    expectGradients(
      (h, w) => anneal.linearCrossEntropy(h.tanh(), w.mul(2), targets(), options).loss.mul(3),
      inputs,
    );
  });

  it("linearCrossEntropy with one side fixed", () => {
    const fixed = (shape: Input): Input => ({ ...shape, differentiable: false });
    expectGradients((h, w) => anneal.linearCrossEntropy(h, w, targets()).loss, [of(6, 4), fixed(of(9, 4))]);
    expectGradients((h, w) => anneal.linearCrossEntropy(h, w, targets()).loss, [fixed(of(6, 4)), of(9, 4)]);
  });

  it("tokenLogProbs: both outputs, and each alone", () => {
    for (const options of [{}, { temperature: 0.7, chunkRows: 2 }]) {
      expectGradients((h, w) => Object.values(anneal.tokenLogProbs(h, w, targets(), options)), inputs);
      expectGradients((h, w) => anneal.tokenLogProbs(h, w, targets(), options).logProbs.mul(2), inputs);
      expectGradients((h, w) => anneal.tokenLogProbs(h, w, targets(), options).entropy.mul(2), inputs);
      expectGradients(
        (h, w) => anneal.tokenLogProbs(h, w, targets(), options).entropy,
        [of(6, 4), { ...of(9, 4), differentiable: false }],
      );
    }
  });
});
