/**
 * Oracle of the losses that keep experts evenly used: the balance loss of DeepSeek-V3 (per sequence) and V2 (expert
 * level), and the router z-loss (Zoph et al. 2022), each with its gradient with respect to the router's logits.
 */
import { logSumExp, type Values } from "./array.js";
import { routerScores, routerScoresBackward, topIndices } from "./moe.js";
import { softmaxOf } from "./reduce.js";

/** How balance is measured. */
export interface BalanceOptions {
  /** E. */
  experts: number;
  /** K. */
  chosen: number;
  scoring: "softmax" | "sigmoid";
  /** Factor of the loss. */
  alpha: number;
  /** [sequences + 1] prefix sums of sequence lengths; one sequence of all tokens by default. Empty ones do not count. */
  cuSeqlens?: Values;
  /** [T, K] experts that were chosen; without it the K largest plain scores of each token count (V3's formula). */
  ids?: Values;
}

/** Loss, its gradient [T, E], and the fractions f [sequences, E] that were held constant. */
export interface BalanceResult {
  loss: number;
  dlogits: Float64Array;
  fractions: Float64Array;
}

/**
 * Per sequence: f_e = E/(K·T)·#{t : e chosen}, P_e = meanₜ p_te with p = s/Σs (sigmoid) or s (softmax), and
 * loss = α·Σ_e f_e·P_e; averaged over sequences. No gradient flows through f. V3 uses sigmoid scores and their plain
 * top K; V2 softmax scores and the actual choice, per sequence (`seq_aux`) or over all tokens.
 */
export function balanceLoss(logits: Values, options: BalanceOptions): BalanceResult {
  const { experts, chosen, scoring, alpha } = options;
  const ids = options.ids && Array.from(options.ids);
  const tokens = logits.length / experts;
  const cuSeqlens = Array.from(options.cuSeqlens ?? [0, tokens]);
  const scores = routerScores(logits, experts, scoring);
  const row = (t: number): Float64Array => scores.subarray(t * experts, (t + 1) * experts);
  const rowSum = (t: number): number => (scoring === "sigmoid" ? row(t).reduce((sum, s) => sum + s, 0) : 1);
  const sequences = cuSeqlens.length - 1;
  const counted = cuSeqlens.slice(1).filter((end, i) => end > cuSeqlens[i]).length;
  const fractions = new Float64Array(sequences * experts);
  const dscores = new Float64Array(scores.length);
  let loss = 0;
  for (let sequence = 0; sequence < sequences; sequence++) {
    const [first, end] = [cuSeqlens[sequence], cuSeqlens[sequence + 1]];
    const length = end - first;
    const f = fractions.subarray(sequence * experts, (sequence + 1) * experts);
    for (let t = first; t < end; t++) {
      const picks = ids ? ids.slice(t * chosen, (t + 1) * chosen) : topIndices(row(t), chosen);
      for (const e of picks) f[e] += experts / (chosen * length);
    }
    for (let t = first; t < end; t++) {
      const share = row(t).map((s) => s / rowSum(t));
      const weighted = share.reduce((sum, p, e) => sum + f[e] * p, 0);
      const factor = alpha / (length * counted);
      loss += factor * weighted;
      for (let e = 0; e < experts; e++) {
        const normalising = scoring === "sigmoid" ? (f[e] - weighted) / rowSum(t) : f[e];
        dscores[t * experts + e] = factor * normalising;
      }
    }
  }
  return { loss, dlogits: routerScoresBackward(scores, dscores, experts, scoring), fractions };
}

/** λ·meanₜ (logsumexp of the logits)² and its gradient 2λ·lse·softmax/T. */
export function routerZLoss(
  logits: Values,
  experts: number,
  lambda: number,
): { loss: number; dlogits: Float64Array } {
  const tokens = logits.length / experts;
  const dlogits = new Float64Array(logits.length);
  let loss = 0;
  for (let t = 0; t < tokens; t++) {
    const row = Float64Array.from({ length: experts }, (_, e) => logits[t * experts + e]);
    const lse = logSumExp(row);
    loss += (lambda * lse * lse) / tokens;
    softmaxOf(row).forEach((p, e) => {
      dlogits[t * experts + e] = (2 * lambda * lse * p) / tokens;
    });
  }
  return { loss, dlogits };
}
