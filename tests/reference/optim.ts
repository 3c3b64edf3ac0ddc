/**
 * Oracle of the optimizers (AdamW, Adam, SGD), of clipping by the global norm, and of the learning-rate schedules.
 * Steps are pure: they take the state and return the new one. Steps of an optimizer count from 1, of a schedule from 0.
 */
import type { Values } from "./array.js";

/** Parameter and moments. */
export interface AdamState {
  parameter: Float64Array;
  firstMoment: Float64Array;
  secondMoment: Float64Array;
}

/** Options of one Adam step. */
export interface AdamOptions {
  lr: number;
  beta1?: number;
  beta2?: number;
  eps?: number;
  weightDecay?: number;
  /** t, from 1. */
  step: number;
  /** Adam: decay is added to the gradient instead of shrinking the parameter. Default false (AdamW). */
  l2?: boolean;
  /** Multiplies the gradient first. Default 1. */
  clip?: number;
}

/**
 * AdamW (Loshchilov & Hutter 2019): θ ← θ(1 − ηλ); m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²;
 * θ −= η·(m/(1−β₁ᵗ))/(√(v/(1−β₂ᵗ)) + ε). With `l2` it is Adam: g ← g + λθ and no shrinking.
 */
export function adamStep(state: AdamState, gradient: Values, options: AdamOptions): AdamState {
  const { lr, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = 0, step, l2 = false, clip = 1 } = options;
  const next: AdamState = {
    parameter: state.parameter.slice(),
    firstMoment: state.firstMoment.slice(),
    secondMoment: state.secondMoment.slice(),
  };
  for (let i = 0; i < gradient.length; i++) {
    const theta = state.parameter[i];
    const g = clip * gradient[i] + (l2 ? weightDecay * theta : 0);
    const m = beta1 * state.firstMoment[i] + (1 - beta1) * g;
    const v = beta2 * state.secondMoment[i] + (1 - beta2) * g * g;
    const update = m / (1 - beta1 ** step) / (Math.sqrt(v / (1 - beta2 ** step)) + eps);
    next.parameter[i] = theta * (l2 ? 1 : 1 - lr * weightDecay) - lr * update;
    next.firstMoment[i] = m;
    next.secondMoment[i] = v;
  }
  return next;
}

/** Parameter and momentum buffer. */
export interface SgdState {
  parameter: Float64Array;
  buffer: Float64Array;
}

/** Options of one SGD step. */
export interface SgdOptions {
  lr: number;
  momentum?: number;
  dampening?: number;
  weightDecay?: number;
  nesterov?: boolean;
  /** From 1; the first step copies the gradient into the buffer undamped. */
  step: number;
  /** Multiplies the gradient first. Default 1. */
  clip?: number;
}

/** g ← g + λθ; b ← g at the first step, else μb + (1 − damp)g; θ −= η·b, or η·(g + μb) with Nesterov. */
export function sgdStep(state: SgdState, gradient: Values, options: SgdOptions): SgdState {
  const { lr, momentum = 0, dampening = 0, weightDecay = 0, nesterov = false, step, clip = 1 } = options;
  const next: SgdState = { parameter: state.parameter.slice(), buffer: state.buffer.slice() };
  for (let i = 0; i < gradient.length; i++) {
    const g = clip * gradient[i] + weightDecay * state.parameter[i];
    const buffer = step === 1 ? g : momentum * state.buffer[i] + (1 - dampening) * g;
    if (momentum !== 0) next.buffer[i] = buffer;
    const update = momentum === 0 ? g : nesterov ? g + momentum * buffer : buffer;
    next.parameter[i] = state.parameter[i] - lr * update;
  }
  return next;
}

/** √Σ g² over all gradients. */
export function globalNorm(gradients: readonly Values[]): number {
  return Math.sqrt(
    gradients.reduce((total, gradient) => Array.from(gradient).reduce((sum, g) => sum + g * g, total), 0),
  );
}

/** min(1, maxNorm/(norm + 1e-6)); 1 when maxNorm ≤ 0; −1 when the norm is not finite, which means: skip the step. */
export function clipFactor(norm: number, maxNorm: number): number {
  if (!Number.isFinite(norm)) return -1;
  return maxNorm <= 0 ? 1 : Math.min(1, maxNorm / (norm + 1e-6));
}

/** A schedule: multiplier of the peak learning rate at a step (from 0). */
export interface ScheduleOptions {
  /** W: the multiplier rises linearly as step/W, from exactly 0 (wsd: from minRatio). Default 0. */
  warmupSteps?: number;
  /** N, all steps. Needed by cosine and wsd. */
  totalSteps?: number;
  /** Multiplier at the end of the decay. Default 0. */
  minRatio?: number;
  /** wsd: length of the decay at the end. */
  decaySteps?: number;
  /** wsd: shape of the decay over its progress p: 1 − p, ½(1 + cos πp), or 1 − √p. Default "linear". */
  decayShape?: "linear" | "cosine" | "sqrt";
}

const cosineFall = (progress: number): number => 0.5 * (1 + Math.cos(Math.PI * progress));

/** Constant after the linear warm-up. */
export function constantSchedule(step: number, { warmupSteps = 0 }: ScheduleOptions = {}): number {
  return step < warmupSteps ? step / warmupSteps : 1;
}

/** Half a cosine from 1 to minRatio between W and N, minRatio after it. */
export function cosineSchedule(step: number, options: ScheduleOptions): number {
  const { warmupSteps = 0, totalSteps = 0, minRatio = 0 } = options;
  if (step < warmupSteps) return step / warmupSteps;
  const progress = Math.min((step - warmupSteps) / Math.max(totalSteps - warmupSteps, 1), 1);
  return minRatio + (1 - minRatio) * cosineFall(progress);
}

/**
 * Warm-up, stable at 1, then a decay to minRatio over the last `decaySteps` steps. As in Hugging Face's, the warm-up of
 * this schedule rises from minRatio instead of 0.
 */
export function wsdSchedule(step: number, options: ScheduleOptions): number {
  const { warmupSteps = 0, totalSteps = 0, minRatio = 0, decaySteps = 0, decayShape = "linear" } = options;
  if (step < warmupSteps) return minRatio + (1 - minRatio) * (step / warmupSteps);
  const start = totalSteps - decaySteps;
  if (step < start) return 1;
  const progress = Math.min((step - start) / Math.max(decaySteps, 1), 1);
  const fall = { linear: 1 - progress, cosine: cosineFall(progress), sqrt: 1 - Math.sqrt(progress) }[
    decayShape
  ];
  return minRatio + (1 - minRatio) * fall;
}
