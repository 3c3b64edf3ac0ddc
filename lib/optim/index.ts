/**
 * Room `optim`: optimizers, clipping by the global gradient norm, and learning-rate schedules. A step is one kernel call over
 * a table of all parameters; nothing is read back. It knows tensors by name, not models.
 */

export { Adam, type AdamOptions, AdamW, type AdamWOptions } from "./adam.js";
export { type ClipResult, clipGradNorm } from "./clip.js";
export { createOptimizer, OPTIMIZERS, type OptimizerConfig, type OptimizerName } from "./create.js";
export {
  type DecayRule,
  type NamedState,
  Optimizer,
  type OptimizerState,
  type ParameterGroup,
  type ParameterSource,
} from "./optimizer.js";
export {
  parseSchedule,
  SCHEDULES,
  type Schedule,
  type ScheduleName,
  type ScheduleOptions,
  type WarmupStart,
} from "./schedules.js";
export { SGD, type SGDOptions } from "./sgd.js";
