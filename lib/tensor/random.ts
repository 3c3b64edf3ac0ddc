/** The random state of the library: one Philox seed and a counter of draws. The same seed gives the same numbers on every device. */

import { ConfigError } from "../errors.js";

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

/** @internal The state for one draw; the next one gets another offset. */
export function nextDraw(): RandomState {
  return { seed: state.seed, offset: state.offset++ };
}
