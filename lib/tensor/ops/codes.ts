/** Codes of operations that share a kernel: the mirror of the enums in native/core/kernels. */

/** UnaryOp of elementwise.h. */
export const UNARY_OPS = {
  neg: 0,
  exp: 1,
  log: 2,
  sqrt: 3,
  rsqrt: 4,
  tanh: 5,
  sigmoid: 6,
  relu: 7,
  silu: 8,
  gelu: 9,
  geluTanh: 10,
  abs: 11,
  square: 12,
  reciprocal: 13,
  sin: 14,
  cos: 15,
  softplus: 16,
  logSigmoid: 17,
  clamp: 18,
  affine: 19,
  powScalar: 20,
  erf: 21,
} as const;

/** BinaryOp of elementwise.h. */
export const BINARY_OPS = {
  add: 0,
  sub: 1,
  mul: 2,
  div: 3,
  pow: 4,
  minimum: 5,
  maximum: 6,
  equal: 7,
  notEqual: 8,
  less: 9,
  lessEqual: 10,
  greater: 11,
  greaterEqual: 12,
  logicalAnd: 13,
  logicalOr: 14,
} as const;

/** ReduceOp of reduce.h. */
export const REDUCE_OPS = {
  sum: 0,
  mean: 1,
  max: 2,
  min: 3,
  prod: 4,
  argMax: 5,
  argMin: 6,
  logSumExp: 7,
} as const;

/** RandomKind of random.h. */
export const RANDOM_KINDS = { uniform: 0, normal: 1, bernoulli: 2, truncatedNormal: 3 } as const;

/** RouterScoring and GroupScore of moe.h. */
export const ROUTER_SCORING = { sigmoid: 0, softmax: 1 } as const;
export const GROUP_SCORE = { max: 0, top2Sum: 1 } as const;

/** BalanceCounting of moe.h. */
export const BALANCE_COUNTING = { chosen: 0, topScores: 1 } as const;
