/**
 * Oracle of fused attention over packed sequences, forward and backward, with the T×T matrix spelled out.
 * Source of the backward by recomputation from the log-sum-exp: FlashAttention-2 (Dao 2023).
 */
import { logSumExp, type Values } from "./array.js";

/** What attends to what. q: [Tq, H, Dqk], k: [Tk, G, Dqk], v: [Tk, G, Dv]; query head h uses key head ⌊h·G/H⌋. */
export interface AttentionInput {
  q: Values;
  k: Values;
  v: Values;
  /** H. */
  heads: number;
  /** G, a divisor of H. */
  keyHeads: number;
  /** Dqk. */
  headDim: number;
  /** Dv; Dqk by default. */
  valueDim?: number;
  /** [segments + 1] prefix sums of query lengths. */
  cuSeqlensQ: Values;
  /** [segments + 1] prefix sums of key lengths; those of the queries by default. */
  cuSeqlensK?: Values;
  /** [segments] key lengths; then cuSeqlensK only gives the starts, and keys may lie apart (caches). */
  keyLengths?: Values;
  /** Keys in pages of a pool: key j of segment s is row `table[s·columns + ⌊j/size⌋]·size + j mod size`. Needs keyLengths; cuSeqlensK is not used then. */
  pages?: { table: Values; columns: number; size: number };
  /** Query t of a segment stands at p = t + (Sk − Sq) and sees keys ≤ p. Default true. */
  causal?: boolean;
  /** W > 0: only keys > p − W are seen, so W of them in the causal case. Default 0, no limit. */
  window?: number;
  /** Default 1/√Dqk. */
  scale?: number;
  /** c > 0: scores become c·tanh(score/c) before the mask. Default 0, off. */
  softCap?: number;
}

/** Sizes and options with the defaults filled in. */
function settings(input: AttentionInput) {
  const { heads, keyHeads, headDim, valueDim = headDim, cuSeqlensQ, cuSeqlensK = cuSeqlensQ } = input;
  const { causal = true, window = 0, scale = 1 / Math.sqrt(headDim), softCap = 0 } = input;
  return { heads, keyHeads, headDim, valueDim, cuSeqlensQ, cuSeqlensK, causal, window, scale, softCap };
}

/** One query row of one head: the keys it sees and the score of each. */
interface Row {
  /** Index of the query in [Tq, H]. */
  queryAt: number;
  /** Index of its log-sum-exp in [H, Tq]. */
  lseAt: number;
  /** Index of each seen key in [Tk, G]. */
  keysAt: number[];
  /** Score of each seen key after scale and soft cap. */
  scores: number[];
}

/** All query rows in order of segment, position and head. */
function* rows(input: AttentionInput): Generator<Row> {
  const s = settings(input);
  const queries = input.q.length / (s.heads * s.headDim);
  for (let segment = 0; segment + 1 < s.cuSeqlensQ.length; segment++) {
    const q0 = s.cuSeqlensQ[segment];
    const k0 = s.cuSeqlensK[segment];
    const queryLength = s.cuSeqlensQ[segment + 1] - q0;
    const keyLength = input.keyLengths ? input.keyLengths[segment] : s.cuSeqlensK[segment + 1] - k0;
    const { pages } = input;
    const keyRow = (key: number): number => {
      if (pages === undefined) return k0 + key;
      const page = pages.table[segment * pages.columns + Math.floor(key / pages.size)];
      return page * pages.size + (key % pages.size);
    };
    for (let t = 0; t < queryLength; t++) {
      const position = t + keyLength - queryLength;
      for (let head = 0; head < s.heads; head++) {
        const keyHead = Math.floor((head * s.keyHeads) / s.heads);
        const queryAt = (q0 + t) * s.heads + head;
        const row: Row = { queryAt, lseAt: head * queries + q0 + t, keysAt: [], scores: [] };
        for (let key = 0; key < keyLength; key++) {
          if (s.causal && key > position) continue;
          if (s.window > 0 && key <= position - s.window) continue;
          const keyAt = keyRow(key) * s.keyHeads + keyHead;
          let score = 0;
          for (let d = 0; d < s.headDim; d++)
            score += input.q[queryAt * s.headDim + d] * input.k[keyAt * s.headDim + d];
          score *= s.scale;
          row.keysAt.push(keyAt);
          row.scores.push(s.softCap > 0 ? s.softCap * Math.tanh(score / s.softCap) : score);
        }
        yield row;
      }
    }
  }
}

/**
 * o = softmax(scores)·v: [Tq, H, Dv], and lse = logsumexp(scores): [H, Tq].
 * A row that sees no key has o = 0 and lse = +∞, so that exp(score − lse) is 0. Rows outside every segment stay 0.
 */
export function attention(input: AttentionInput): { o: Float64Array; lse: Float64Array } {
  const { heads, headDim, valueDim } = settings(input);
  const queries = input.q.length / (heads * headDim);
  const o = new Float64Array(queries * heads * valueDim);
  const lse = new Float64Array(queries * heads);
  for (const { queryAt, lseAt, keysAt, scores } of rows(input)) {
    lse[lseAt] = keysAt.length > 0 ? logSumExp(scores) : Infinity;
    keysAt.forEach((keyAt, j) => {
      const probability = Math.exp(scores[j] - lse[lseAt]);
      for (let d = 0; d < valueDim; d++)
        o[queryAt * valueDim + d] += probability * input.v[keyAt * valueDim + d];
    });
  }
  return { o, lse };
}

/**
 * Gradients of `attention` for do: [Tq, H, Dv]. With D = Σ do·o: dS = P·(do·v − D), times 1 − (score/c)² under a
 * soft cap; dq = scale·dS·k, dk = scale·dSᵀ·q, dv = Pᵀ·do; a shared key head sums over its query heads.
 */
export function attentionBackward(
  input: AttentionInput,
  dOut: Values,
): { dq: Float64Array; dk: Float64Array; dv: Float64Array } {
  const { headDim, valueDim, scale, softCap } = settings(input);
  const { o, lse } = attention(input);
  const dq = new Float64Array(input.q.length);
  const dk = new Float64Array(input.k.length);
  const dv = new Float64Array(input.v.length);
  for (const { queryAt, lseAt, keysAt, scores } of rows(input)) {
    let delta = 0;
    for (let d = 0; d < valueDim; d++) delta += dOut[queryAt * valueDim + d] * o[queryAt * valueDim + d];
    keysAt.forEach((keyAt, j) => {
      const probability = Math.exp(scores[j] - lse[lseAt]);
      let dProbability = 0;
      for (let d = 0; d < valueDim; d++) {
        dProbability += dOut[queryAt * valueDim + d] * input.v[keyAt * valueDim + d];
        dv[keyAt * valueDim + d] += probability * dOut[queryAt * valueDim + d];
      }
      let dScore = probability * (dProbability - delta) * scale;
      if (softCap > 0) dScore *= 1 - (scores[j] / softCap) ** 2;
      for (let d = 0; d < headDim; d++) {
        dq[queryAt * headDim + d] += dScore * input.k[keyAt * headDim + d];
        dk[keyAt * headDim + d] += dScore * input.q[queryAt * headDim + d];
      }
    });
  }
  return { dq, dk, dv };
}
