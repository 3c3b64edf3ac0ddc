/**
 * Room bench: how fast things run on this machine. Full training steps (step.ts), single kernels beside what the device can do at
 * most (kernels.ts), and the cost of one kernel call from JavaScript (dispatch.ts). This file holds the clock that they share.
 */
import { elapsed, type Mark, mark, releaseMark } from "../native/device.js";

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

/** What one call takes, in seconds. */
export interface Timing {
  /** Median of the samples. */
  seconds: number;
  /** Slowest less fastest sample, divided by the median. */
  spread: number;
}

/** The median of samples and how far they lie apart. */
export function summarise(samples: readonly number[]): Timing {
  const seconds = median(samples);
  return { seconds, spread: (Math.max(...samples) - Math.min(...samples)) / seconds };
}

/**
 * Milliseconds of work queued before the first mark of a sample, so that the device is busy when its clock starts and the first launches do not show.
 * Longer calls hide them themselves.
 */
const LEAD = 1;

/**
 * Times calls that queue work on the default device, by marks on its stream. The calls take turns: give several with memory of their own, so that none
 * finds its data in a cache. A first round and the calibration do not count.
 */
export async function timeQueued(
  calls: readonly (() => void)[],
  options: TimingOptions = {},
): Promise<Timing> {
  const { sampleMilliseconds = 20, samples = 5, signal } = options;
  let next = 0;
  const queue = (count: number): void => {
    for (let i = 0; i < count; i++) calls[next++ % calls.length]();
  };
  const sample = async (repetitions: number, lead: number): Promise<number> => {
    signal?.throwIfAborted();
    const marks: Mark[] = [];
    try {
      queue(lead);
      marks.push(mark());
      queue(repetitions);
      marks.push(mark());
      return (await elapsed(marks[0], marks[1])) / repetitions;
    } finally {
      marks.forEach(releaseMark);
    }
  };
  let repetitions = 1;
  let lead = 0;
  // Each of them once: memory that nobody has touched is slow the first time.
  await sample(calls.length, lead);
  for (;;) {
    const each = (await sample(repetitions, lead)) * 1000;
    const milliseconds = each * repetitions;
    lead = Math.min(repetitions, Math.floor(LEAD / Math.max(each, 1e-3)));
    if (milliseconds >= sampleMilliseconds) break;
    // At most ten times more at once: a first sample that is much too short says little about the next.
    const factor = Math.min(10, (1.2 * sampleMilliseconds) / Math.max(milliseconds, 1e-3));
    repetitions = Math.max(repetitions + 1, Math.ceil(repetitions * factor));
  }
  const times: number[] = [];
  for (let i = 0; i < samples; i++) times.push(await sample(repetitions, lead));
  return summarise(times);
}
