/** Notices losses that are not finite or leave their range, and finds the tensor where it shows. */

import { DivergenceError } from "../errors.js";
import { noGrad } from "../tensor/autograd.js";
import { cast, mulScalar } from "../tensor/ops/elementwise.js";
import { gradientNorm, parameterTable } from "../tensor/ops/optimizer.js";
import { scope } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";

/** Losses whose median is the measure of a spike. */
const WINDOW = 64;
/** Fewer losses than this are no measure. */
const LEAST = 8;
/** A spike stands at least this many nats above the median, so that small losses may fluctuate by factors. */
const MARGIN = 1;

/** Follows the losses of a run. */
export class LossWatch {
  /** The last losses, oldest first; part of a checkpoint. */
  readonly recent: number[];

  constructor(
    private readonly factor: number,
    recent: readonly number[] = [],
  ) {
    this.recent = [...recent];
  }

  /** Takes the numbers of a step. Returns what is wrong with them, as the end of a sentence, or undefined. */
  check(loss: number, gradNorm: number): string | undefined {
    if (!Number.isFinite(loss)) return `the loss is ${loss}`;
    if (!Number.isFinite(gradNorm)) return `the norm of the gradients is ${gradNorm}`;
    const { recent, factor } = this;
    if (factor > 0 && recent.length >= LEAST) {
      const median = recent.toSorted((a, b) => a - b)[recent.length >> 1];
      if (loss > factor * median && loss > median + MARGIN) {
        return `the loss is ${loss.toFixed(4)}, more than ${factor} times the median ${median.toFixed(4)} of the last ${recent.length} steps`;
      }
    }
    recent.push(loss);
    if (recent.length > WINDOW) recent.shift();
    return undefined;
  }
}

/** Where a divergence shows. */
export interface Culprit {
  name: string;
  what: "parameter" | "gradient";
  /** Whether it holds values that are not finite; else it is the gradient of the largest norm. */
  finite: boolean;
}

function norm(tensor: Tensor, factor: number): Promise<number> {
  return scope(() =>
    noGrad(() => {
      const gradient = mulScalar(cast(tensor, "f32"), factor);
      return gradientNorm(parameterTable([{ parameter: gradient, gradient }]), 0).norm.item();
    }),
  );
}

/** Index of the first tensor with a value that is not finite, or −1. */
async function firstBroken(tensors: readonly Tensor[]): Promise<number> {
  // 0·x is 0 for every finite x, however large; norms themselves may overflow.
  return (await Promise.all(tensors.map((tensor) => norm(tensor, 0)))).findIndex((zero) => zero !== 0);
}

/**
 * Finds the first parameter, in the model's order, with values that are not finite; else the first gradient with such values; else the gradient of the
 * largest norm. `recompute` queues the failing step's forward and backward again.
 */
export async function findCulprit(
  parameters: readonly (readonly [string, Tensor])[],
  recompute: () => void,
): Promise<Culprit> {
  const broken = await firstBroken(parameters.map(([, tensor]) => tensor));
  if (broken >= 0) return { name: parameters[broken][0], what: "parameter", finite: false };
  recompute();
  const withGradient = parameters.filter(([, tensor]) => tensor.grad !== null);
  const gradients = withGradient.map(([, tensor]) => tensor.grad as Tensor);
  const first = await firstBroken(gradients);
  if (first >= 0) return { name: withGradient[first][0], what: "gradient", finite: false };
  const norms = await Promise.all(gradients.map((gradient) => norm(gradient, 1)));
  return { name: withGradient[norms.indexOf(Math.max(...norms))][0], what: "gradient", finite: true };
}

/** The error that ends a run. */
export function divergenceError(
  step: number,
  reason: string,
  numbers: { loss: number; gradNorm: number },
  culprit: Culprit,
  checkpoint: { step: number; path: string } | null,
): DivergenceError {
  const where = culprit.finite
    ? `The gradient of ${culprit.name} has the largest norm`
    : `The first tensor with values that are not finite is the ${culprit.what} ${culprit.name}`;
  const rescue =
    checkpoint === null
      ? "There is no checkpoint to go back to: start again with a smaller learning rate or a longer warm-up."
      : `The last good checkpoint is ${checkpoint.path} (step ${checkpoint.step}): resume from it with a smaller learning rate or a longer warm-up.`;
  return new DivergenceError(`Training diverged at step ${step}: ${reason}. ${where}. ${rescue}`, {
    step,
    ...numbers,
    tensor: culprit.name,
    kind: culprit.what,
    checkpoint: checkpoint?.path ?? null,
    checkpointStep: checkpoint?.step ?? null,
  });
}
