import { describe, expect, it } from "vitest";
import { finiteDifference, relativeError, rng } from "./array.js";
import { type BalanceOptions, balanceLoss, routerZLoss } from "./balance.js";
import { route, routerV3 } from "./moe.js";

const experts = 6;
const chosen = 2;
const logits = rng(1).normals(7 * experts);
const biased = routerV3({ experts, chosen, bias: rng(2).normals(experts) });

describe("balance loss", () => {
  it.each<[string, BalanceOptions]>([
    ["V3", { experts, chosen, scoring: "sigmoid", alpha: 0.5, cuSeqlens: [0, 3, 7] }],
    [
      "V3 with the actual choice",
      { experts, chosen, scoring: "sigmoid", alpha: 0.5, ids: route(logits, biased).ids },
    ],
    ["V2 per sequence", { experts, chosen, scoring: "softmax", alpha: 0.5, cuSeqlens: [0, 3, 3, 7] }],
    [
      "V2 over all tokens",
      { experts, chosen, scoring: "softmax", alpha: 0.5, ids: route(logits, biased).ids },
    ],
  ])("%s has the gradient of finite differences", (_name, options) => {
    const numeric = finiteDifference((v) => balanceLoss(v, options).loss, logits);
    expect(relativeError(balanceLoss(logits, options).dlogits, numeric)).toBeLessThan(1e-8);
  });

  it("is α at perfect balance", () => {
    const rotating = Float64Array.from({ length: experts * experts }, (_, i) =>
      i % experts === Math.floor(i / experts) || i % experts === (Math.floor(i / experts) + 1) % experts
        ? 1
        : -1,
    );
    for (const scoring of ["sigmoid", "softmax"] as const) {
      const { loss, fractions } = balanceLoss(rotating, { experts, chosen, scoring, alpha: 0.3 });
      expect(loss).toBeCloseTo(0.3, 14);
      expect(relativeError(fractions, new Float64Array(experts).fill(1))).toBeLessThan(1e-15);
    }
  });

  it("averages over the sequences that have tokens", () => {
    const options = { experts, chosen, scoring: "sigmoid", alpha: 1 } as const;
    const alone = [logits.slice(0, 3 * experts), logits.slice(3 * experts)].map(
      (part) => balanceLoss(part, options).loss,
    );
    const packed = balanceLoss(logits, { ...options, cuSeqlens: [0, 3, 3, 7] });
    expect(packed.loss).toBeCloseTo((alone[0] + alone[1]) / 2, 14);
    expect(balanceLoss([], { ...options, cuSeqlens: [0, 0] }).loss).toBe(0);
  });
});

describe("router z-loss", () => {
  it("has the gradient of finite differences", () => {
    const numeric = finiteDifference((v) => routerZLoss(v, experts, 0.1).loss, logits);
    expect(relativeError(routerZLoss(logits, experts, 0.1).dlogits, numeric)).toBeLessThan(1e-8);
    expect(routerZLoss(new Float64Array(4), 4, 1).loss).toBeCloseTo(Math.log(4) ** 2, 14);
  });
});
