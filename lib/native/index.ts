/**
 * Room `native`: finds and loads the addon, mirrors what it exports in types, and offers devices and doctor. The only room that
 * talks to the addon; everything above it calls kernels through `callKernel`.
 */

export {
  inCategory,
  MEMORY_CATEGORIES,
  type MemoryCategory,
  type MemorySplit,
  type TensorCategory,
} from "./accounting.js";
export {
  type DeviceName,
  defaultDevice,
  getThreads,
  memory,
  memoryByCategory,
  parseDevice,
  resetPeakMemory,
  setDefaultDevice,
  setMemoryLimit,
  setThreads,
  synchronize,
  trimMemory,
} from "./device.js";
export { type DoctorReport, doctor, formatDoctor } from "./doctor.js";
export { type Dtype, parseDtype } from "./dtype.js";
export { measureDispatch } from "./measure.js";
