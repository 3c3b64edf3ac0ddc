/** Cases of several kernels in a row, through the library's operations: attention, and the way of tokens through a mixture of experts. */
import type { ComputeDtype } from "../../nn/module.js";
import { backward, noGrad } from "../../tensor/autograd.js";
import { attention, segmentsOf } from "../../tensor/ops/attention.js";
import { combineTokens, permuteTokens, route, sortByExpert } from "../../tensor/ops/moe.js";
import { normal } from "../../tensor/ops/random.js";
import { scope } from "../../tensor/scope.js";
import type { CaseSizes } from "../sizes.js";
import { bytesOf, type KernelCase, type PreparedCase, random, shapeText } from "./case.js";

const attentionShape = ({ rows, length, heads, head }: CaseSizes): string =>
  `${Math.ceil(rows / length)} of ${shapeText(length, heads, head)}, causal`;

/** Half of all pairs; the backward pass makes five products where the forward pass makes two. */
function attentionCase(sizes: CaseSizes, dtype: ComputeDtype, training: boolean): PreparedCase {
  const { rows, heads, head, length } = sizes;
  const make = () => {
    const x = random(dtype, rows, heads, head);
    x.requiresGrad = training;
    return x;
  };
  const [q, k, v] = [make(), make(), make()];
  const segments = segmentsOf(new Array<number>(Math.ceil(rows / length)).fill(length));
  const forward = () => attention(q, k, v, { segments });
  const dy = random(dtype, rows, heads, head);
  const both = () => {
    backward(forward(), { gradients: [dy] });
    for (const leaf of [q, k, v]) {
      leaf.grad?.dispose();
      leaf.grad = null;
    }
  };
  const arrays = training ? 12 : 4;
  return {
    shape: attentionShape(sizes),
    bytes: arrays * q.size * bytesOf(dtype),
    flops: ((training ? 7 : 2) * 2 * rows * length * heads * head) / 2,
    call: () => scope(training ? both : () => void noGrad(forward)),
  };
}

/** Scores, the choice of experts, sorting, and the two copies of rows; without the experts' own products. */
function mixtureCase(sizes: CaseSizes, dtype: ComputeDtype): PreparedCase {
  const { rows, experts, chosen, expertInputs: width } = sizes;
  const x = random(dtype, rows, width);
  const logits = random("f32", rows, experts);
  const bias = normal([experts], 0, 0.01);
  const options = {
    chosen,
    scoring: "sigmoid",
    groups: 1,
    groupsKept: 1,
    groupScore: "top2Sum",
    normalise: true,
    scaling: 2.5,
  } as const;
  const call = () => {
    const routing = route(logits, bias, options);
    const dispatch = sortByExpert(routing.ids, experts);
    combineTokens(permuteTokens(x, dispatch), routing.weights, dispatch);
  };
  return {
    shape: `${shapeText(rows, width)}, ${chosen} of ${experts} experts`,
    // Each chosen row is written once by the permutation and read once by the combination.
    bytes: (2 + 2 * chosen) * rows * width * bytesOf(dtype) + 4 * logits.size,
    call: () => scope(() => noGrad(call)),
  };
}

/** All of them. */
export const COMPOSED_CASES: readonly KernelCase[] = [
  {
    name: "attention",
    kernels: ["attentionForward"],
    make: (sizes, dtype) => attentionCase(sizes, dtype, false),
  },
  {
    name: "attention with backward",
    kernels: ["attentionForward", "attentionBackward"],
    make: (sizes, dtype) => attentionCase(sizes, dtype, true),
  },
  {
    name: "mixture of experts",
    kernels: ["routerForward", "moeSort", "moePermute", "moeCombineForward"],
    make: mixtureCase,
  },
];
