/**
 * Oracle of the losses that are fused with the output projection: linear cross-entropy (ignore index, label
 * smoothing, z-loss, soft cap) and token log-probabilities with entropy, each with gradients of hidden and weight.
 * N rows, D hidden, V vocabulary.
 */
import { logSumExp, type Values } from "./array.js";
import { linear, linearBackward } from "./matmul.js";
import { softmaxOf } from "./reduce.js";

/** Options of `linearCrossEntropy`. */
export interface CrossEntropyOptions {
  /** D. */
  dim: number;
  /** V. */
  vocab: number;
  /** Target of rows that do not count. Default −100. */
  ignoreIndex?: number;
  /** ε: share of the target spread evenly over all V classes. Default 0. */
  labelSmoothing?: number;
  /** ζ, factor of lse². Default 0. */
  zLoss?: number;
  /** c > 0: z becomes c·tanh(z/c). Default 0, off. */
  softCap?: number;
  /** What the sum is divided by; > 0 replaces the number of rows that count. */
  normaliser?: number;
  /** Factor of the loss and, with it, of the gradients. Default 1. */
  factor?: number;
}

/** Loss and gradients; rowLoss: [N], before division and factor, 0 where ignored. */
export interface CrossEntropyResult {
  loss: number;
  rowLoss: Float64Array;
  count: number;
  dhidden: Float64Array;
  dweight: Float64Array;
}

/** z = hidden·weightᵀ (soft-capped), one array per row. */
function logitRows(
  hidden: Values,
  weight: Values,
  dim: number,
  vocab: number,
  softCap: number,
): Float64Array[] {
  const logits = linear(hidden, weight, dim, vocab).map((z) =>
    softCap > 0 ? softCap * Math.tanh(z / softCap) : z,
  );
  return Array.from({ length: hidden.length / dim }, (_, row) =>
    logits.subarray(row * vocab, (row + 1) * vocab),
  );
}

/**
 * Per row l = lse − (1−ε)·z_y − ε·mean z + ζ·lse²; loss = factor·Σ l / n, 0 when no row counts.
 * dz = factor/n·(softmax(z)·(1 + 2ζ·lse) − (1−ε)·onehot(y) − ε/V)·(1 − (z/c)²), dhidden = dz·weight, dweight = dzᵀ·hidden.
 * hidden: [N, D], weight: [V, D], targets: [N].
 */
export function linearCrossEntropy(
  hidden: Values,
  weight: Values,
  targets: Values,
  options: CrossEntropyOptions,
): CrossEntropyResult {
  const {
    dim,
    vocab,
    ignoreIndex = -100,
    labelSmoothing: eps = 0,
    zLoss = 0,
    softCap = 0,
    factor = 1,
  } = options;
  const rows = logitRows(hidden, weight, dim, vocab, softCap);
  const counts = rows.map((_, row) => targets[row] !== ignoreIndex);
  const count = counts.filter(Boolean).length;
  const divisor = (options.normaliser ?? 0) > 0 ? (options.normaliser as number) : Math.max(count, 1);
  const rowLoss = new Float64Array(rows.length);
  const dlogits = new Float64Array(rows.length * vocab);
  rows.forEach((z, row) => {
    if (!counts[row]) return;
    const target = targets[row];
    const lse = logSumExp(z);
    const mean = z.reduce((sum, value) => sum + value, 0) / vocab;
    rowLoss[row] = lse - (1 - eps) * z[target] - eps * mean + zLoss * lse * lse;
    softmaxOf(z).forEach((p, j) => {
      const wanted = (j === target ? 1 - eps : 0) + eps / vocab;
      const cap = softCap > 0 ? 1 - (z[j] / softCap) ** 2 : 1;
      dlogits[row * vocab + j] = (factor / divisor) * (p * (1 + 2 * zLoss * lse) - wanted) * cap;
    });
  });
  const loss = (factor * rowLoss.reduce((sum, value) => sum + value, 0)) / divisor;
  const { dx: dhidden, dw: dweight } = linearBackward(hidden, weight, dlogits, dim, vocab);
  return { loss, rowLoss, count, dhidden, dweight };
}

/** Options of `tokenLogProbs`. */
export interface LogProbOptions {
  /** D. */
  dim: number;
  /** V. */
  vocab: number;
  /** Target of rows that do not count; they give 0 and get no gradient. Default −100. */
  ignoreIndex?: number;
  /** τ: the distribution is softmax(z/τ). Default 1. */
  temperature?: number;
}

/** logProb[t] = ln p_y and entropy[t] = −Σ p·ln p of p = softmax(z/τ); lse of z/τ. All [N]. */
export function tokenLogProbs(
  hidden: Values,
  weight: Values,
  targets: Values,
  options: LogProbOptions,
): { logProbs: Float64Array; entropy: Float64Array; lse: Float64Array } {
  const { dim, vocab, ignoreIndex = -100, temperature = 1 } = options;
  const rows = logitRows(hidden, weight, dim, vocab, 0);
  const logProbs = new Float64Array(rows.length);
  const entropy = new Float64Array(rows.length);
  const lse = new Float64Array(rows.length);
  rows.forEach((logits, row) => {
    if (targets[row] === ignoreIndex) return;
    const z = logits.map((value) => value / temperature);
    lse[row] = logSumExp(z);
    logProbs[row] = z[targets[row]] - lse[row];
    entropy[row] = lse[row] - softmaxOf(z).reduce((sum, p, j) => sum + p * z[j], 0);
  });
  return { logProbs, entropy, lse };
}

/** dz = (dlogp·(onehot − p) − dentropy·p·(ln p + entropy))/τ, then dhidden = dz·weight and dweight = dzᵀ·hidden. */
export function tokenLogProbsBackward(
  hidden: Values,
  weight: Values,
  targets: Values,
  dlogProbs: Values,
  dentropy: Values,
  options: LogProbOptions,
): { dhidden: Float64Array; dweight: Float64Array } {
  const { dim, vocab, ignoreIndex = -100, temperature = 1 } = options;
  const { entropy, lse } = tokenLogProbs(hidden, weight, targets, options);
  const dlogits = new Float64Array((hidden.length / dim) * vocab);
  logitRows(hidden, weight, dim, vocab, 0).forEach((logits, row) => {
    if (targets[row] === ignoreIndex) return;
    logits.forEach((value, j) => {
      const logP = value / temperature - lse[row];
      const p = Math.exp(logP);
      const byLogProb = dlogProbs[row] * ((j === targets[row] ? 1 : 0) - p);
      dlogits[row * vocab + j] = (byLogProb - dentropy[row] * p * (logP + entropy[row])) / temperature;
    });
  });
  const { dx: dhidden, dw: dweight } = linearBackward(hidden, weight, dlogits, dim, vocab);
  return { dhidden, dweight };
}
