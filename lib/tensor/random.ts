/** The random state of the library: one Philox seed and a counter of draws. The same seed gives the same numbers on every device. */

import { CaptureError, ConfigError } from "../errors.js";
import type { Tensor } from "./tensor.js";

/** Seed and number of draws so far; save both to go on exactly. */
export interface RandomState {
  /** Integer in [0, 2⁵³). */
  seed: number;
  /** Offset of the next draw: every random operation takes one. */
  offset: number;
}

let state: RandomState = { seed: 0, offset: 0 };

/** Starts the sequence of random numbers anew from a seed (an integer in [0, 2⁵³)). */
export function manualSeed(seed: number): void {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new ConfigError(`A seed must be an integer from 0 to 2^53 − 1, got ${seed}.`, { seed });
  }
  state = { seed, offset: 0 };
}

/** The state as it is now. */
export function randomState(): RandomState {
  return { ...state };
}

/** Goes back, or forward, to a state. */
export function setRandomState(next: RandomState): void {
  state = { ...next };
}

/** The state for one draw. */
export interface Draw extends RandomState {
  /** While a body is captured: i64 [1] on the device, which a replay sets to the offset at which its draws begin; `offset` counts from there. */
  counter: Tensor | null;
}

let counter: Tensor | null = null;

/** @internal The state for one draw; the next one gets another offset. */
export function nextDraw(): Draw {
  return { seed: state.seed, offset: state.offset++, counter };
}

/** @internal The same for an operation that cannot be captured. */
export function nextPlainDraw(operation: string): RandomState {
  if (counter !== null) {
    throw new CaptureError(
      `${operation}() cannot be captured: every replay would draw the same numbers. Draw before the recording, into a tensor that the body reads.`,
      { operation },
    );
  }
  return nextDraw();
}

/** @internal Runs `body`, inside of `countDraws`, without the counter. */
export function drawPlainly<T>(body: () => T): T {
  const outer = counter;
  counter = null;
  try {
    return body();
  } finally {
    counter = outer;
  }
}

/** @internal Runs `body` with draws that count from a counter on the device; returns how many there were. The state stays as it is. */
export function countDraws(on: Tensor, body: () => void): number {
  const before = state;
  const outer = counter;
  state = { seed: before.seed, offset: 0 };
  counter = on;
  try {
    body();
    return state.offset;
  } finally {
    state = before;
    counter = outer;
  }
}
