/** Progress as text. */

import { expect, it } from "vitest";
import type { StepEvent } from "../../lib/train/events.js";
import { formatDuration, formatRate, Pace, progressLine } from "../../lib/train/progress.js";

it("formats durations", () => {
  expect(
    [0, 59.4, 59.6, 61, 3599.6, 3600, 86_399, 86_400, 200_000, Number.NaN, -3].map(formatDuration),
  ).toEqual(["0s", "59s", "1m 00s", "1m 01s", "1h 00m", "1h 00m", "23h 59m", "1d 0h", "2d 7h", "?", "0s"]);
});

it("formats rates with three digits", () => {
  expect([0, 7.4, 999.4, 999.6, 1234, 99_960, 999_400, 1_234_567, 1e15, Number.NaN].map(formatRate)).toEqual([
    "0",
    "7",
    "999",
    "1.00k",
    "1.23k",
    "100k",
    "999k",
    "1.23M",
    "1000T",
    "?",
  ]);
});

it("smooths the time per step", () => {
  const pace = new Pace(4);
  expect(pace.secondsLeft(10)).toBeNaN();
  expect([pace.update(1), pace.update(3)]).toEqual([1, 2]);
  expect(pace.secondsLeft(10)).toBe(20);
  for (let i = 0; i < 100; i++) pace.update(0.5);
  expect(pace.secondsLeft(2)).toBeCloseTo(1, 6);
});

it("writes one line per step", () => {
  const event: StepEvent = {
    type: "step",
    step: 120,
    loss: 2.34567,
    lr: 1e-3,
    gradNorm: 0.5,
    tokens: 1,
    tokensPerSecond: 12_345,
    secondsPerStep: 0.1,
    mfu: 0.412,
    terms: {},
  };
  expect(progressLine(event, 2000, 192)).toBe(
    "step  120/2000 · loss 2.3457 · lr 1.0e-3 · 12.3k tokens/s · MFU 41 % · 3m 12s left",
  );
  expect(progressLine({ ...event, step: 2000, mfu: null }, 2000, 0)).toBe(
    "step 2000/2000 · loss 2.3457 · lr 1.0e-3 · 12.3k tokens/s",
  );
});
