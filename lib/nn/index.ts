/**
 * Room `nn`: modules, the named trees of parameters that models are made of. Property names in snake case are the names of a checkpoint. It knows
 * tensors and operations, not models.
 */

export { Embedding, LayerNorm, Linear, type LinearConfig, RMSNorm } from "./layers.js";
export {
  buffer,
  type ComputeDtype,
  type Init,
  Module,
  parameter,
  type StateEntry,
  snakeCase,
} from "./module.js";
export {
  parseRope,
  ROPE_TYPES,
  type RopeFrequencies,
  type RopeScaling,
  RotaryCache,
  ropeFrequencies,
  rotaryTable,
  yarnMscale,
} from "./rotary.js";
