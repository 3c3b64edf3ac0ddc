/**
 * Oracle of mixture-of-experts routing and dispatch: the routers of DeepSeek-V2 (softmax) and V3 (sigmoid with a
 * selection bias), the stable permutation of token rows by expert, their weighted recombination, the bias update.
 * T tokens, E experts, K chosen. Ties go to the lowest index; chosen experts are listed in ascending order.
 */
import { logistic, type Values } from "./array.js";
import { softmax, softmaxBackward } from "./reduce.js";

/** How a router chooses. */
export interface RouterOptions {
  /** E. */
  experts: number;
  /** K. */
  chosen: number;
  /** "softmax" over the experts (V2) or an independent "sigmoid" of each (V3). */
  scoring: "softmax" | "sigmoid";
  /** [E] added to the scores for the choice only. */
  bias?: Values;
  /** Groups of E / groups consecutive experts. Default 1. */
  groups?: number;
  /** Groups that stay. Default all. */
  groupsKept?: number;
  /** A group's score: its largest choice score (V2) or the sum of its two largest (V3). */
  groupScore?: "max" | "top2";
  /** Divide the chosen weights by their sum + 1e-20. Default false. */
  normalise?: boolean;
  /** Factor of the weights, applied last. Default 1. */
  scaling?: number;
}

/** What a router returns. scores: [T, E]; ids, weights: [T, K]. */
export interface Routing {
  scores: Float64Array;
  ids: Int32Array;
  weights: Float64Array;
}

/** Router settings as DeepSeek-V2 names them: "greedy", or "group_limited_greedy" with groups scored by maximum. */
export function routerV2(
  method: "greedy" | "group_limited_greedy",
  options: Omit<RouterOptions, "scoring" | "groupScore" | "bias">,
): RouterOptions {
  const grouping = method === "greedy" ? { groups: 1, groupsKept: 1 } : {};
  return { ...options, ...grouping, scoring: "softmax", groupScore: "max" };
}

/** Router settings of DeepSeek-V3 ("noaux_tc"). */
export function routerV3(options: Omit<RouterOptions, "scoring" | "groupScore">): RouterOptions {
  return { normalise: true, ...options, scoring: "sigmoid", groupScore: "top2" };
}

/** Indices of the `count` largest values, the lower index first on ties, returned in ascending index order. */
export function topIndices(values: Values, count: number): number[] {
  const order = Array.from({ length: values.length }, (_, i) => i);
  order.sort((a, b) => values[b] - values[a] || a - b);
  return order.slice(0, count).sort((a, b) => a - b);
}

/** s = softmax or sigmoid of the logits: [T, E]. */
export function routerScores(logits: Values, experts: number, scoring: "softmax" | "sigmoid"): Float64Array {
  return scoring === "softmax"
    ? softmax(logits, [logits.length / experts, experts], 1)
    : Float64Array.from(logits, logistic);
}

/** Gradient of the logits from the gradient of the scores. */
export function routerScoresBackward(
  scores: Values,
  dscores: Values,
  experts: number,
  scoring: "softmax" | "sigmoid",
): Float64Array {
  return scoring === "softmax"
    ? softmaxBackward(scores, dscores, [scores.length / experts, experts], 1)
    : Float64Array.from(scores, (s, i) => dscores[i] * s * (1 - s));
}

/** The experts of one token from its choice scores (score + bias). */
function choose(choice: Float64Array, options: RouterOptions): number[] {
  const { chosen, groups = 1, groupsKept = groups, groupScore = "max" } = options;
  const size = choice.length / groups;
  const groupScores = Float64Array.from({ length: groups }, (_, g) => {
    const descending = choice.slice(g * size, (g + 1) * size).sort((a, b) => b - a);
    return descending[0] + (groupScore === "top2" && size > 1 ? descending[1] : 0);
  });
  const kept = new Set(topIndices(groupScores, groupsKept));
  return topIndices(
    choice.map((score, e) => (kept.has(Math.floor(e / size)) ? score : -Infinity)),
    chosen,
  );
}

/** Chooses K experts for every token. logits: [T, E]. */
export function route(logits: Values, options: RouterOptions): Routing {
  const { experts, chosen, scoring, bias, normalise = false, scaling = 1 } = options;
  const tokens = logits.length / experts;
  const scores = routerScores(logits, experts, scoring);
  const ids = new Int32Array(tokens * chosen);
  const weights = new Float64Array(tokens * chosen);
  for (let t = 0; t < tokens; t++) {
    const row = scores.subarray(t * experts, (t + 1) * experts);
    const picks = choose(
      row.map((score, e) => score + (bias ? bias[e] : 0)),
      options,
    );
    const total = normalise ? picks.reduce((sum, e) => sum + row[e], 0) + 1e-20 : 1;
    picks.forEach((e, k) => {
      ids[t * chosen + k] = e;
      weights[t * chosen + k] = (row[e] / total) * scaling;
    });
  }
  return { scores, ids, weights };
}

/**
 * Gradient of the logits from dweights: [T, K], the choice held fixed. With Z = Σ s of the chosen:
 * ds = scaling·(dw − Σ dw·s/Z)/Z when normalised, else scaling·dw; then through softmax or sigmoid.
 */
export function routeBackward(routing: Routing, dweights: Values, options: RouterOptions): Float64Array {
  const { experts, chosen, scoring, normalise = false, scaling = 1 } = options;
  const dscores = new Float64Array(routing.scores.length);
  for (let t = 0; t < routing.ids.length / chosen; t++) {
    const at = Array.from({ length: chosen }, (_, k) => t * chosen + k);
    const score = at.map((i) => routing.scores[t * experts + routing.ids[i]]);
    const total = normalise ? score.reduce((sum, s) => sum + s, 0) + 1e-20 : 1;
    const mean = normalise ? at.reduce((sum, i, k) => sum + (dweights[i] * score[k]) / total, 0) : 0;
    for (const i of at) dscores[t * experts + routing.ids[i]] = (scaling * (dweights[i] - mean)) / total;
  }
  return routerScoresBackward(routing.scores, dscores, experts, scoring);
}

/** Rows r = t·K + k sorted by expert, in row order within an expert. */
export interface Permutation {
  /** [E] rows of each expert. */
  counts: Int32Array;
  /** [E + 1] exclusive prefix sums of the counts. */
  offsets: Int32Array;
  /** [T·K] the row that stands at sorted place j. */
  order: Int32Array;
  /** [T·K] the sorted place of row r. */
  inverse: Int32Array;
}

/** Stable counting sort of the chosen ids. */
export function permutation(ids: Values, experts: number): Permutation {
  const counts = new Int32Array(experts);
  const offsets = new Int32Array(experts + 1);
  for (let r = 0; r < ids.length; r++) counts[ids[r]] += 1;
  for (let e = 0; e < experts; e++) offsets[e + 1] = offsets[e] + counts[e];
  const order = new Int32Array(ids.length);
  const inverse = new Int32Array(ids.length);
  const next = offsets.slice();
  for (let r = 0; r < ids.length; r++) {
    const place = next[ids[r]]++;
    order[place] = r;
    inverse[r] = place;
  }
  return { counts, offsets, order, inverse };
}

/** y[j] = x[⌊order[j]/K⌋]: every token's row once per chosen expert. x: [T, dim] → [T·K, dim]. */
export function permuteRows(x: Values, order: Values, chosen: number, dim: number): Float64Array {
  const y = new Float64Array(order.length * dim);
  for (let j = 0; j < order.length; j++) {
    const token = Math.floor(order[j] / chosen);
    for (let d = 0; d < dim; d++) y[j * dim + d] = x[token * dim + d];
  }
  return y;
}

/** dx of `permuteRows`: the rows of a token summed in order of k. dy: [T·K, dim] → [T, dim]. */
export function permuteRowsBackward(dy: Values, inverse: Values, chosen: number, dim: number): Float64Array {
  const ones = new Float64Array(inverse.length).fill(1);
  return combineRows(dy, ones, inverse, chosen, dim);
}

/** y[t] = addend[t] + Σₖ weights[t, k]·x[inverse[t·K + k]]. x: [T·K, dim] → [T, dim]. */
export function combineRows(
  x: Values,
  weights: Values,
  inverse: Values,
  chosen: number,
  dim: number,
  addend?: Values,
): Float64Array {
  const y = new Float64Array((inverse.length / chosen) * dim);
  if (addend) y.set(addend);
  for (let r = 0; r < inverse.length; r++) {
    const token = Math.floor(r / chosen);
    for (let d = 0; d < dim; d++) y[token * dim + d] += weights[r] * x[inverse[r] * dim + d];
  }
  return y;
}

/** Gradients of `combineRows`: dx[inverse[r]] = w[r]·dy[t], dweights[r] = x[inverse[r]]·dy[t]; the addend's is dy. */
export function combineRowsBackward(
  x: Values,
  weights: Values,
  inverse: Values,
  dy: Values,
  chosen: number,
  dim: number,
): { dx: Float64Array; dweights: Float64Array } {
  const dx = new Float64Array(x.length);
  const dweights = new Float64Array(weights.length);
  for (let r = 0; r < inverse.length; r++) {
    const token = Math.floor(r / chosen);
    for (let d = 0; d < dim; d++) {
      dx[inverse[r] * dim + d] = weights[r] * dy[token * dim + d];
      dweights[r] += x[inverse[r] * dim + d] * dy[token * dim + d];
    }
  }
  return { dx, dweights };
}

/** b[e] + rate·sign(mean(counts) − counts[e]), with sign(0) = 0 (DeepSeek-V3, auxiliary-loss-free balancing). */
export function updateRouterBias(bias: Values, counts: Values, rate: number): Float64Array {
  const mean = Array.from(counts).reduce((sum, count) => sum + count, 0) / counts.length;
  return Float64Array.from(bias, (b, e) => b + rate * Math.sign(mean - counts[e]));
}
