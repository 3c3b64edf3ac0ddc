/** Ctrl-C and SIGTERM as an AbortSignal, so that a run saves a checkpoint and ends cleanly. */

/** A signal that follows the process's interrupts until it is released. */
export interface Interruption {
  signal: AbortSignal;
  /** Which signal came; undefined while none did. */
  received(): NodeJS.Signals | undefined;
  /** Gives the process its own handling back. */
  release(): void;
}

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Aborts a signal at the first SIGINT or SIGTERM. A second one ends the process at once, as if nobody listened: checkpoints are atomic, so nothing is
 * lost but the steps since the last one.
 * @param notify called at the first one, for example to say that the step is being finished
 */
export function onInterrupt(notify?: (signal: NodeJS.Signals) => void): Interruption {
  const controller = new AbortController();
  let received: NodeJS.Signals | undefined;
  const release = (): void => {
    for (const name of SIGNALS) process.removeListener(name, handler);
  };
  const handler = (name: NodeJS.Signals): void => {
    if (received !== undefined) {
      release();
      process.kill(process.pid, name);
      return;
    }
    received = name;
    notify?.(name);
    controller.abort(new Error(`interrupted by ${name}`));
  };
  for (const name of SIGNALS) process.on(name, handler);
  return { signal: controller.signal, received: () => received, release };
}
