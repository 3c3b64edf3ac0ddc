/** Mixture-of-experts routing, balancing and dispatch. Counts and offsets stay on the device. */

import { needsGrad, record } from "../autograd.js";
import { isRecomputing } from "../checkpoint.js";
import type { Tensor } from "../tensor.js";
import { BALANCE_COUNTING, GROUP_SCORE, ROUTER_SCORING } from "./codes.js";
import { code, emptyLike, flag, optional, requireDtype, run, wrongShape } from "./kernel.js";

/** How experts are chosen; the fields follow the DeepSeek configurations. */
export interface RouterOptions {
  /** Experts per token. */
  chosen: number;
  /** `sigmoid` (V3) or `softmax` (V2). */
  scoring: "sigmoid" | "softmax";
  /** Groups of consecutive experts. Default 1. */
  groups?: number;
  /** Groups that stay. Default all. */
  groupsKept?: number;
  /** Score of a group: its largest choice score (V2) or the sum of its two largest (V3). Default top2Sum. */
  groupScore?: "max" | "top2Sum";
  /** Divide the weights by their sum. Default false. */
  normalise?: boolean;
  /** Factor of the weights. Default 1. */
  scaling?: number;
}

/** The router's decision. */
export interface Routing {
  /** Scores of all experts, f32 [tokens, experts]. */
  scores: Tensor;
  /** Chosen experts, ascending, i32 [tokens, chosen]. */
  ids: Tensor;
  /** Their weights, f32 [tokens, chosen]. */
  weights: Tensor;
}

/**
 * Chooses experts: logits f32 [tokens, experts], bias f32 [experts] or null (added for the choice only). Gradients flow from `weights` to the logits.
 */
export function route(logits: Tensor, bias: Tensor | null, options: RouterOptions): Routing {
  const {
    chosen,
    scoring,
    groups = 1,
    groupsKept = groups,
    groupScore = "top2Sum",
    normalise = false,
    scaling = 1,
  } = options;
  requireDtype("route", "logits", logits, "f32");
  if (logits.rank !== 2) wrongShape("route", "logits", "[tokens, experts]", logits.shape);
  const [tokens, experts] = logits.shape;
  if (bias !== null) {
    requireDtype("route", "bias", bias, "f32");
    if (bias.size !== experts) wrongShape("route", "bias", `[${experts}]`, bias.shape);
  }
  const scores = emptyLike(logits);
  const ids = emptyLike(logits, [tokens, chosen], "i32");
  const weights = emptyLike(logits, [tokens, chosen]);
  run(
    logits,
    "routerForward",
    logits.use(),
    optional(bias),
    scores.use(),
    ids.use(),
    weights.use(),
    tokens,
    experts,
    chosen,
    groups,
    groupsKept,
    ROUTER_SCORING[scoring],
    GROUP_SCORE[groupScore],
    flag(normalise),
    scaling,
  );
  record(
    "route",
    [logits],
    [weights],
    ([dweights], sink) => {
      if (dweights === null || !sink.wants(logits)) return;
      const dlogits = emptyLike(logits);
      run(
        logits,
        "routerBackward",
        scores.use(),
        ids.use(),
        dweights.use(),
        dlogits.use(),
        tokens,
        experts,
        chosen,
        ROUTER_SCORING[scoring],
        flag(normalise),
        scaling,
      );
      sink.give(logits, dlogits);
    },
    needsGrad(logits) ? [scores, ids] : [],
  );
  return { scores, ids, weights };
}

/** Options of `balanceLoss`. */
export interface BalanceLossOptions {
  /** Number of sequences; each has tokens/sequences tokens. */
  sequences: number;
  /** Factor of the loss. */
  alpha: number;
  /** Scores as the router made them. */
  scoring: "sigmoid" | "softmax";
  /** Count the experts that were chosen, or the best plain scores (DeepSeek-V3's formula). Default topScores. */
  counting?: "chosen" | "topScores";
}

/** Sequence-wise balance loss (DeepSeek-V3 report, eq. 17–20; V2's expert-level loss with `chosen`): a scalar whose gradient flows to the router's logits. */
export function balanceLoss(logits: Tensor, routing: Routing, options: BalanceLossOptions): Tensor {
  const { sequences, alpha, scoring, counting = "topScores" } = options;
  const [tokens, experts] = logits.shape;
  const chosen = routing.ids.shape[1];
  if (sequences < 1 || tokens % sequences !== 0)
    wrongShape("balanceLoss", "logits", `[multiple of ${sequences}, experts]`, logits.shape);
  const fractions = emptyLike(logits, [sequences, experts]);
  const workspace = emptyLike(logits, [sequences, experts]);
  const loss = emptyLike(logits, []);
  run(
    logits,
    "balanceLossForward",
    routing.scores.use(),
    routing.ids.use(),
    fractions.use(),
    loss.use(),
    workspace.use(),
    tokens,
    experts,
    chosen,
    sequences,
    ROUTER_SCORING[scoring],
    BALANCE_COUNTING[counting],
    alpha,
  );
  workspace.dispose();
  const scores = routing.scores.alias();
  record(
    "balanceLoss",
    [logits],
    [loss],
    ([dloss], sink) => {
      if (dloss === null || !sink.wants(logits)) return;
      const dlogits = emptyLike(logits);
      run(logits, "fill", dlogits.use(), dlogits.size, code(dlogits), 0);
      run(
        logits,
        "balanceLossBackward",
        scores.use(),
        fractions.use(),
        dloss.use(),
        dlogits.use(),
        tokens,
        experts,
        chosen,
        sequences,
        ROUTER_SCORING[scoring],
        alpha,
      );
      sink.give(logits, dlogits);
    },
    [fractions, scores],
  );
  return loss;
}

/** Rows of all chosen experts in order of expert. */
export interface Dispatch {
  /** Rows per expert, i32 [experts]. */
  counts: Tensor;
  /** Where each expert's rows begin, i32 [experts + 1]. */
  offsets: Tensor;
  /** Sorted row → flat choice t·chosen + k, i32 [tokens·chosen]. */
  order: Tensor;
  /** Flat choice → sorted row, i32 [tokens·chosen]. */
  inverse: Tensor;
}

/**
 * Sorts the choices by expert, stably. `totals` (i32 [experts] or null) has the counts added, except while a checkpointed part is computed again; tokens
 * where `counted` (i32 [tokens] or null) is negative are left out of them.
 */
export function sortByExpert(
  ids: Tensor,
  experts: number,
  totals: Tensor | null = null,
  counted: Tensor | null = null,
): Dispatch {
  requireDtype("sortByExpert", "ids", ids, "i32");
  const [tokens, chosen] = ids.shape;
  const counts = emptyLike(ids, [experts]);
  const offsets = emptyLike(ids, [experts + 1]);
  const order = emptyLike(ids, [tokens * chosen]);
  const inverse = emptyLike(ids, [tokens * chosen]);
  run(
    ids,
    "moeSort",
    ids.use(),
    counts.use(),
    offsets.use(),
    order.use(),
    inverse.use(),
    isRecomputing() ? 0 : optional(totals),
    optional(counted),
    tokens,
    experts,
    chosen,
  );
  return { counts, offsets, order, inverse };
}

/** x [tokens, width] → the rows of every choice in order of expert, [tokens·chosen, width]. */
export function permuteTokens(x: Tensor, dispatch: Dispatch): Tensor {
  requireDtype("permuteTokens", "x", x, "f32", "bf16");
  const [tokens, width] = x.shape;
  const rows = dispatch.order.size;
  const chosen = tokens === 0 ? 1 : rows / tokens;
  const y = emptyLike(x, [rows, width]);
  run(x, "moePermute", x.use(), dispatch.order.use(), y.use(), rows, chosen, width, code(x));
  record("permuteTokens", [x], [y], ([dy], sink) => {
    if (dy === null || !sink.wants(x)) return;
    const dx = emptyLike(x);
    run(
      x,
      "moeCombineForward",
      dy.use(),
      0,
      dispatch.inverse.use(),
      0,
      dx.use(),
      tokens,
      chosen,
      width,
      code(x),
    );
    sink.give(x, dx);
  });
  return y;
}

/** Σ_k weights[t, k]·x[row of choice (t, k)] + addend[t]: x [tokens·chosen, width], weights f32 [tokens, chosen], addend [tokens, width] or null. */
export function combineTokens(
  x: Tensor,
  weights: Tensor,
  dispatch: Dispatch,
  addend: Tensor | null = null,
): Tensor {
  requireDtype("combineTokens", "x", x, "f32", "bf16");
  requireDtype("combineTokens", "weights", weights, "f32");
  const [tokens, chosen] = weights.shape;
  const width = x.shape[1];
  if (x.shape[0] !== tokens * chosen)
    wrongShape("combineTokens", "x", `[${tokens * chosen}, width]`, x.shape);
  if (addend !== null && addend.size !== tokens * width)
    wrongShape("combineTokens", "addend", `[${tokens}, ${width}]`, addend.shape);
  const y = emptyLike(x, [tokens, width]);
  run(
    x,
    "moeCombineForward",
    x.use(),
    weights.use(),
    dispatch.inverse.use(),
    optional(addend),
    y.use(),
    tokens,
    chosen,
    width,
    code(x),
  );
  record("combineTokens", [x, weights, addend], [y], ([dy], sink) => {
    if (dy === null) return;
    const dx = emptyLike(x);
    const dweights = emptyLike(weights);
    run(
      x,
      "moeCombineBackward",
      dy.use(),
      x.use(),
      weights.use(),
      dispatch.inverse.use(),
      dx.use(),
      dweights.use(),
      tokens,
      chosen,
      width,
      code(x),
    );
    if (sink.wants(x)) sink.give(x, dx);
    else dx.dispose();
    if (sink.wants(weights)) sink.give(weights, dweights);
    else dweights.dispose();
    if (sink.wants(addend)) sink.give(addend, dy.alias());
  });
  return y;
}

/** bias += rate·sign(mean(totals) − totals), then totals = 0 (auxiliary-loss-free balancing, DeepSeek-V3 report §2.1.2). Not differentiable. */
export function updateRouterBias(bias: Tensor, totals: Tensor, rate: number): void {
  requireDtype("updateRouterBias", "bias", bias, "f32");
  requireDtype("updateRouterBias", "totals", totals, "i32");
  run(bias, "moeBiasUpdate", bias.use(), totals.use(), bias.size, rate);
}
