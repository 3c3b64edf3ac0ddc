/**
 * Room bench: how fast things run on this machine. Full training steps (step.ts), single kernels beside what the machine can do at
 * most (kernels.ts), and the cost of one kernel call from JavaScript (dispatch.ts). This file holds the clock that they share.
 */
import { synchronize } from "../native/device.js";

/** The middle value; the mean of the two middle ones when their number is even. NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** How long a repeated measurement takes. */
export interface TimingOptions {
  /** Length of one sample, in milliseconds; the work is repeated until a sample is that long. Default 20. */
  sampleMilliseconds?: number;
  /** Number of samples, whose median counts. Default 5. */
  samples?: number;
  signal?: AbortSignal;
}

/**
 * Median time of one call of `body`, which queues work on the default device, in seconds. The queue is drained once per sample, so that the wait
 * for it is shared by many calls. The first call and the calibration do not count.
 */
export async function timeQueued(body: () => void, options: TimingOptions = {}): Promise<number> {
  const { sampleMilliseconds = 20, samples = 5, signal } = options;
  const sample = async (repetitions: number): Promise<number> => {
    signal?.throwIfAborted();
    const start = performance.now();
    for (let i = 0; i < repetitions; i++) body();
    await synchronize();
    return performance.now() - start;
  };
  await sample(1);
  let repetitions = 1;
  for (;;) {
    const milliseconds = await sample(repetitions);
    if (milliseconds >= sampleMilliseconds) break;
    // At most ten times more at once: a first sample that is much too short says little about the next.
    const factor = Math.min(10, (1.2 * sampleMilliseconds) / Math.max(milliseconds, 1e-3));
    repetitions = Math.max(repetitions + 1, Math.ceil(repetitions * factor));
  }
  const times: number[] = [];
  for (let i = 0; i < samples; i++) times.push((await sample(repetitions)) / repetitions);
  return median(times) / 1000;
}
