/** Tensors, scopes, gradients and operations: the public face of this room. Importing it also gives Tensor its methods. */

import "./methods.js";

export {
  type BackwardFunction,
  type BackwardOptions,
  backward,
  type GradientSink,
  isGradEnabled,
  needsGrad,
  noGrad,
  record,
} from "./autograd.js";
export { capture, isCapturing, Recording } from "./capture.js";
export { checkpoint, isRecomputing } from "./checkpoint.js";
export type { TensorMethods } from "./methods.js";
export { type GateActivation, gated, gatedPacked, parseActivation } from "./ops/activation.js";
export {
  type AttentionInputs,
  type AttentionOptions,
  attention,
  attentionPacked,
  attentionParts,
  type HeadPart,
  type Segments,
  segmentsOf,
} from "./ops/attention.js";
export type { Axes } from "./ops/axes.js";
export { eq, ge, gt, le, logicalAnd, logicalNot, logicalOr, lt, ne } from "./ops/compare.js";
export { arange, eye, full, ones, onesLike, zeros, zerosLike } from "./ops/create.js";
export { crossEntropy, type LogitsCrossEntropyOptions } from "./ops/cross-entropy.js";
export {
  abs,
  add,
  addScalar,
  cast,
  clamp,
  cos,
  div,
  erf,
  exp,
  gelu,
  geluTanh,
  log,
  logSigmoid,
  maximum,
  minimum,
  mul,
  mulScalar,
  neg,
  type Operand,
  pow,
  reciprocal,
  relu,
  rsqrt,
  sigmoid,
  silu,
  sin,
  softplus,
  sqrt,
  square,
  sub,
  tanh,
  where,
} from "./ops/elementwise.js";
export { embedding } from "./ops/embedding.js";
export { gather, indexSelect, oneHot, scatterAdd } from "./ops/gather.js";
export {
  groupedLinear,
  type LinearOptions,
  linear,
  linearF32,
  type MatmulOptions,
  matmul,
} from "./ops/linear.js";
export {
  type CrossEntropyOptions,
  type CrossEntropyResult,
  linearCrossEntropy,
  type TokenLogProbs,
  type TokenLogProbsOptions,
  tokenLogProbs,
} from "./ops/loss.js";
export {
  type BalanceLossOptions,
  balanceLoss,
  combineTokens,
  type Dispatch,
  permuteTokens,
  type RouterOptions,
  type Routing,
  route,
  sortByExpert,
  updateRouterBias,
} from "./ops/moe.js";
export { addLayerNorm, addRmsNorm, layerNorm, type NormWithResidual, rmsNorm } from "./ops/norm.js";
export { bernoulli, dropout, normal, truncatedNormal, uniform } from "./ops/random.js";
export {
  argmax,
  argmin,
  type CumsumOptions,
  cumsum,
  logSumExp,
  max,
  mean,
  min,
  prod,
  type ReduceOptions,
  sum,
  type VarianceOptions,
  variance,
} from "./ops/reduce.js";
export { type RopeOptions, type RotaryTable, rope } from "./ops/rope.js";
export { type Sampled, type SampleOptions, sampleTokens } from "./ops/sample.js";
export {
  broadcastTo,
  concat,
  expand,
  flatten,
  pad,
  permute,
  reshape,
  slice,
  split,
  squeeze,
  stack,
  transpose,
  unsqueeze,
} from "./ops/shape.js";
export { logSoftmax, softmax } from "./ops/softmax.js";
export { manualSeed, type RandomState, randomState, setRandomState } from "./random.js";
export { dispose, keep, scope, type TensorContainer } from "./scope.js";
export {
  empty,
  type NestedNumbers,
  type Shape,
  Tensor,
  type TensorData,
  type TensorOptions,
  tensor,
} from "./tensor.js";
