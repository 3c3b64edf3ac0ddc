/** The public interface of anneal: a list of what each room exports. */

export * from "./errors.js";
export * from "./native/device.js";
export { type Dtype, parseDtype } from "./native/dtype.js";
export { doctor, formatDoctor } from "./native/doctor.js";
export * from "./tensor/index.js";
export * from "./nn/layers.js";
export { buffer, type ComputeDtype, Module, parameter, type StateEntry } from "./nn/module.js";
export * from "./nn/rotary.js";
