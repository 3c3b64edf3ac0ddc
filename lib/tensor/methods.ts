/**
 * Operations as methods of Tensor, by their names in PyTorch: `x.add(y)`, `x.sum(-1)`, `loss.backward()`. Importing this file (the room's index
 * does) installs them; each is the function of the same name with the tensor as its first argument.
 */

import { type BackwardOptions, backward } from "./autograd.js";
import * as compareOps from "./ops/compare.js";
import * as elementwise from "./ops/elementwise.js";
import * as gatherOps from "./ops/gather.js";
import { matmul } from "./ops/linear.js";
import * as reduceOps from "./ops/reduce.js";
import * as shapeOps from "./ops/shape.js";
import { logSoftmax, softmax } from "./ops/softmax.js";
import { Tensor } from "./tensor.js";

const {
  neg,
  exp,
  log,
  sqrt,
  rsqrt,
  tanh,
  sigmoid,
  relu,
  silu,
  gelu,
  geluTanh,
  abs,
  square,
  reciprocal,
  sin,
  cos,
} = elementwise;
const {
  softplus,
  logSigmoid,
  erf,
  clamp,
  addScalar,
  mulScalar,
  add,
  sub,
  mul,
  div,
  pow,
  minimum,
  maximum,
  cast,
} = elementwise;
const { eq, ne, lt, le, gt, ge, logicalAnd, logicalOr, logicalNot } = compareOps;
const { sum, mean, max, min, prod, argmax, argmin, logSumExp, variance, cumsum } = reduceOps;
const { reshape, flatten, squeeze, unsqueeze, permute, transpose, slice, split, broadcastTo, expand, pad } =
  shapeOps;
const { gather, scatterAdd, indexSelect } = gatherOps;

const METHODS = {
  neg,
  exp,
  log,
  sqrt,
  rsqrt,
  tanh,
  sigmoid,
  relu,
  silu,
  gelu,
  geluTanh,
  abs,
  square,
  reciprocal,
  sin,
  cos,
  softplus,
  logSigmoid,
  erf,
  clamp,
  addScalar,
  mulScalar,
  add,
  sub,
  mul,
  div,
  pow,
  minimum,
  maximum,
  cast,
  to: cast,
  eq,
  ne,
  lt,
  le,
  gt,
  ge,
  logicalAnd,
  logicalOr,
  logicalNot,
  sum,
  mean,
  max,
  min,
  prod,
  argmax,
  argmin,
  logSumExp,
  variance,
  cumsum,
  reshape,
  flatten,
  squeeze,
  unsqueeze,
  permute,
  transpose,
  slice,
  split,
  broadcastTo,
  expand,
  pad,
  gather,
  scatterAdd,
  indexSelect,
  matmul,
  softmax,
  logSoftmax,
  backward: (root: Tensor, options?: BackwardOptions): void => backward(root, options),
};

/** A function without its first argument. */
type Method<F> = F extends (x: Tensor, ...rest: infer Rest) => infer Result
  ? (...rest: Rest) => Result
  : never;

/** The operations that every tensor has as methods. */
export type TensorMethods = { [Name in keyof typeof METHODS]: Method<(typeof METHODS)[Name]> };

declare module "./tensor.js" {
  interface Tensor extends TensorMethods {}
}

for (const [name, operation] of Object.entries(METHODS) as [
  string,
  (x: Tensor, ...rest: unknown[]) => unknown,
][]) {
  Object.defineProperty(Tensor.prototype, name, {
    value(this: Tensor, ...rest: unknown[]) {
      return operation(this, ...rest);
    },
    configurable: true,
    writable: true,
  });
}
