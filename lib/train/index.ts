/**
 * Room `train`: the trainer — steps, accumulation, evaluation, checkpoints, exact resume, metrics — as an async iterator of events, and its
 * parts for those who write a loop of their own. It trains any CausalLM on anything that gives the batch of a step.
 */

export { type BatchRows, inputFromBatch, type TokenRows } from "./batch-input.js";
export { type EvaluateOptions, type Evaluation, evaluate } from "./evaluate.js";
export type {
  CheckpointEvent,
  DoneEvent,
  EvalEvent,
  InfoEvent,
  SampleEvent,
  StepEvent,
  TrainerEvent,
  WarningEvent,
} from "./events.js";
export { type Interruption, onInterrupt } from "./interrupt.js";
export { chooseModel, type FitOptions, fitConfig, type ModelChoice } from "./model-choice.js";
export type { SampleContext, TrainerOptions, TrainingBatches, TrainingSchedule } from "./options.js";
export { measurePeakFlops } from "./peak.js";
export { type ExportEvent, type PretrainEvent, pretrain, type ReadyEvent } from "./pretrain.js";
export type { PretrainOptions, PretrainSettings } from "./pretrain-settings.js";
export { formatDuration, formatRate, Pace, progressLine } from "./progress.js";
export { type SampleSettings, textSampler } from "./sampler.js";
export { Trainer } from "./trainer.js";
