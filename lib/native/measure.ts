/** Measures what one kernel call costs in JavaScript: the time to queue it, without the kernel itself. */

import { type DeviceName, defaultDevice, deviceId, synchronize } from "./device.js";
import { DTYPE_CODE } from "./dtype.js";
import { callKernel } from "./kernels.js";

/** Calls per round: fewer than the queue holds, so that queueing never waits. */
const CALLS = 4000;

/** Result of `measureDispatch`. */
export interface DispatchCost {
  /** Median over the rounds of the time of one kernel call, in nanoseconds. */
  nanoseconds: number;
  /** The same for every round, in order. */
  rounds: number[];
  /** Calls per round. */
  calls: number;
}

/** Time to queue one kernel from JavaScript: a `fill` of nothing, 4,000 calls a round, the queue empty before each round. */
export async function measureDispatch(
  rounds = 25,
  device: DeviceName = defaultDevice(),
): Promise<DispatchCost> {
  const id = deviceId(device);
  const results: number[] = [];
  // Two rounds in advance let the compiler of the JavaScript engine settle.
  for (let round = -2; round < rounds; round++) {
    await synchronize(device);
    const start = process.hrtime.bigint();
    for (let i = 0; i < CALLS; i++) callKernel(id, "fill", 0, 0, DTYPE_CODE.f32, 0);
    const elapsed = Number(process.hrtime.bigint() - start);
    if (round >= 0) results.push(elapsed / CALLS);
  }
  await synchronize(device);
  const sorted = [...results].sort((a, b) => a - b);
  return { nanoseconds: sorted[sorted.length >> 1], rounds: results, calls: CALLS };
}
