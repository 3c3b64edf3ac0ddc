/** What calling costs in JavaScript: one kernel call, and one whole operation with its result tensor and its entry on the tape. */
import { synchronize } from "../native/device.js";
import { measureDispatch } from "../native/measure.js";
import { ones } from "../tensor/ops/create.js";
import { add } from "../tensor/ops/elementwise.js";
import { scope } from "../tensor/scope.js";
import { median } from "./timing.js";

/** The result of `benchDispatch`. */
export interface DispatchMeasurement {
  /** Queueing one kernel, in nanoseconds; median of the rounds. */
  nanosecondsPerCall: number;
  /** The same in the fastest round. */
  fastestRound: number;
  /** One `add` of two values with gradients recorded, result made and freed, in nanoseconds. */
  nanosecondsPerOperation: number;
  rounds: number;
}

const OPERATIONS = 1000;

/** Measures on the default device. */
export async function benchDispatch(rounds = 25): Promise<DispatchMeasurement> {
  const call = await measureDispatch(rounds);
  const times: number[] = [];
  await scope(async () => {
    const a = ones([1], { requiresGrad: true });
    const b = ones([1]);
    for (let round = -2; round < rounds; round++) {
      await synchronize();
      const start = performance.now();
      scope(() => {
        for (let i = 0; i < OPERATIONS; i++) add(a, b);
      });
      if (round >= 0) times.push(((performance.now() - start) * 1e6) / OPERATIONS);
    }
  });
  return {
    nanosecondsPerCall: call.nanoseconds,
    fastestRound: Math.min(...call.rounds),
    nanosecondsPerOperation: median(times),
    rounds,
  };
}
