/** What a trainer tells while it runs. Steps count from 1: step k is the k-th update, and a checkpoint of step k holds k of them. */

/** One optimizer step has run. */
export interface StepEvent {
  type: "step";
  step: number;
  /** Cross-entropy of the next token before the update, in nats per token. */
  loss: number;
  /** Learning rate of the update. */
  lr: number;
  /** Norm of all gradients together, before clipping. */
  gradNorm: number;
  /** Tokens trained on so far. */
  tokens: number;
  tokensPerSecond: number;
  secondsPerStep: number;
  /** Share of the peak rate that the model's own arithmetic reached, from 0 to 1; null when it is not measured. */
  mfu: number | null;
  /** Other terms of the loss by name (`mtp1`, `balance`), weighted as they enter it. */
  terms: Record<string, number>;
}

/** The validation windows were measured. */
export interface EvalEvent {
  type: "eval";
  step: number;
  /** Nats per token. */
  loss: number;
  /** e^loss. */
  perplexity: number;
  /** NaN when the windows do not say how many bytes they stand for. */
  bitsPerByte: number;
  tokens: number;
  seconds: number;
  /** Whether no evaluation of this run was lower. */
  best: boolean;
}

/** The sampler wrote a text. */
export interface SampleEvent {
  type: "sample";
  step: number;
  text: string;
}

/** A checkpoint has reached the disk. */
export interface CheckpointEvent {
  type: "checkpoint";
  step: number;
  path: string;
  bytes: number;
  seconds: number;
}

/** Something that the user should know and that does not stop training, such as a damaged checkpoint that was passed over. */
export interface WarningEvent {
  type: "warning";
  step: number;
  message: string;
}

/** How the run goes about its work, where that may be of interest. */
export interface InfoEvent {
  type: "info";
  step: number;
  message: string;
}

/** The last event. */
export interface DoneEvent {
  type: "done";
  step: number;
  /** `finished`: all steps are done. `interrupted`: the signal was aborted; everything so far is saved. */
  reason: "finished" | "interrupted";
  /** The newest checkpoint; null in a run without a folder. */
  checkpoint: string | null;
}

export type TrainerEvent =
  | StepEvent
  | EvalEvent
  | SampleEvent
  | CheckpointEvent
  | WarningEvent
  | InfoEvent
  | DoneEvent;
