/**
 * Oracle of drawing the next token from one row of logits. Order: temperature → top-k → top-p → min-p, as in
 * Hugging Face's generation; then the inverse of the cumulative distribution in ascending id order.
 */
import type { Values } from "./array.js";
import { argmaxOf, softmaxOf } from "./reduce.js";

/** Options of `sample`. */
export interface SampleOptions {
  /** τ: logits are divided by it; 0 takes the largest logit, the lowest id on ties. Default 1. */
  temperature?: number;
  /** Keep logits ≥ the k-th largest, so ties with it all stay. Default 0, off. */
  topK?: number;
  /**
   * In descending order (lower id first on ties) a token goes when the probability that precedes it is ≥ p; the
   * probabilities are those among the tokens that top-k left. The first always stays. Default 1, off.
   */
  topP?: number;
  /** Keep tokens with probability ≥ minP·(the largest). Default 0, off. */
  minP?: number;
}

/** Probabilities [V] after all filters; dropped tokens have 0. With temperature 0, all on the largest logit. */
export function filteredProbabilities(logits: Values, options: SampleOptions = {}): Float64Array {
  const { temperature = 1, topK = 0, topP = 1, minP = 0 } = options;
  if (temperature === 0) {
    const greedy = new Float64Array(logits.length);
    greedy[argmaxOf(logits)] = 1;
    return greedy;
  }
  let z = Float64Array.from(logits, (value) => value / temperature);
  if (topK > 0 && topK < z.length) {
    const least = z.slice().sort((a, b) => b - a)[topK - 1];
    z = z.map((value) => (value >= least ? value : -Infinity));
  }
  if (topP < 1) {
    const probability = softmaxOf(z);
    const order = Array.from(probability.keys()).sort((a, b) => probability[b] - probability[a] || a - b);
    let preceding = 0;
    order.forEach((id, rank) => {
      if (rank > 0 && preceding >= topP) z[id] = -Infinity;
      preceding += probability[id];
    });
  }
  if (minP > 0) {
    const probability = softmaxOf(z);
    const least = minP * Math.max(...probability);
    z = z.map((value, id) => (probability[id] >= least ? value : -Infinity));
  }
  return softmaxOf(z);
}

/** The first id in ascending order whose cumulative kept probability exceeds `uniform` (in [0, 1)) of the total. */
export function sample(logits: Values, uniform: number, options: SampleOptions = {}): number {
  const probability = filteredProbabilities(logits, options);
  const total = probability.reduce((sum, p) => sum + p, 0);
  let cumulative = 0;
  let last = 0;
  for (let id = 0; id < probability.length; id++) {
    if (probability[id] === 0) continue;
    last = id;
    cumulative += probability[id];
    if (cumulative > uniform * total) return id;
  }
  return last;
}

/** ln softmax(logits/τ) of one id over the whole vocabulary; τ = 0 takes the raw logits. */
export function sampledLogProb(logits: Values, id: number, temperature = 1): number {
  const scaled = Float64Array.from(logits, (value) => value / (temperature === 0 ? 1 : temperature));
  const largest = scaled[argmaxOf(scaled)];
  return scaled[id] - largest - Math.log(scaled.reduce((sum, z) => sum + Math.exp(z - largest), 0));
}
