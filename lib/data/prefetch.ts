/** Keeps the next batches ready while a step runs, so that loading never holds it up. */
import { checkInteger } from "./options.js";

export interface PrefetchOptions {
  /** The first step that is not wanted any more. Default: no end. */
  end?: number;
  /** Ends the iteration early. */
  signal?: AbortSignal;
}

/**
 * Batches of steps `start`, `start + 1`, … in order, with up to `depth` of them being loaded ahead. An error surfaces at
 * the step it belongs to.
 * @param batches anything that gives the batch of a step
 * @param depth batches loaded ahead, at least 1; 2 suffices where a batch loads faster than a step runs
 */
export async function* prefetch<Batch>(
  batches: { batchAt(step: number): Promise<Batch> },
  start = 0,
  depth = 2,
  options: PrefetchOptions = {},
): AsyncGenerator<Batch, void, void> {
  checkInteger("start", start, 0);
  checkInteger("depth", depth, 1);
  const { end = Number.POSITIVE_INFINITY, signal } = options;
  const ready: Promise<Batch>[] = [];
  const load = (step: number) => {
    const batch = Promise.resolve().then(() => batches.batchAt(step));
    // A consumer that stops early never awaits the rest: their failures are no one's then.
    batch.catch(() => undefined);
    ready.push(batch);
  };
  let next = start;
  for (let step = start; step < end; step++) {
    signal?.throwIfAborted();
    while (next < end && next < step + depth) load(next++);
    const batch = await (ready.shift() as Promise<Batch>);
    // The place that became free is filled before the consumer starts its step.
    if (next < end && next <= step + depth) load(next++);
    yield batch;
  }
}
