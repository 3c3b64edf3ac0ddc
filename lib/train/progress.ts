/** Progress as text: pure functions that command lines share. */

import type { StepEvent } from "./events.js";

/** `4m 05s`, `12s`, `2h 03m`, `3d 4h`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const s = Math.max(0, Math.round(seconds));
  const pad = (n: number): string => String(n).padStart(2, "0");
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${pad(s % 60)}s`;
  if (s < 86_400) return `${Math.floor(s / 3600)}h ${pad(Math.floor((s % 3600) / 60))}m`;
  return `${Math.floor(s / 86_400)}d ${Math.floor((s % 86_400) / 3600)}h`;
}

/** `950`, `12.3k`, `4.56M`: three digits. */
export function formatRate(perSecond: number): string {
  if (!Number.isFinite(perSecond)) return "?";
  const units = ["", "k", "M", "G", "T"];
  let value = Math.abs(perSecond);
  let unit = 0;
  while (value >= 999.5 && unit + 1 < units.length) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 ? 0 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return `${perSecond < 0 ? "-" : ""}${value.toFixed(digits)}${units[unit]}`;
}

/** A smoothed time per step: the last steps count most, and the first ones are a plain mean. */
export class Pace {
  private steps = 0;
  private seconds = 0;

  /** @param span steps after which a measurement has lost most of its weight */
  constructor(private readonly span = 20) {}

  /** Takes the duration of one step and returns the smoothed one. */
  update(secondsPerStep: number): number {
    this.steps += 1;
    this.seconds += (secondsPerStep - this.seconds) / Math.min(this.steps, this.span);
    return this.seconds;
  }

  /** Seconds that `steps` more steps take; NaN before the first measurement. */
  secondsLeft(steps: number): number {
    return this.steps === 0 ? Number.NaN : steps * this.seconds;
  }
}

/**
 * One line of progress: `step 120/2000 · loss 2.3456 · lr 1.0e-3 · 12.3k tokens/s · MFU 41 % · 3m 12s left`.
 * @param secondsLeft from `Pace`
 */
export function progressLine(event: StepEvent, steps: number, secondsLeft: number): string {
  const parts = [
    `step ${String(event.step).padStart(String(steps).length)}/${steps}`,
    `loss ${event.loss.toFixed(4)}`,
    `lr ${event.lr.toExponential(1)}`,
    `${formatRate(event.tokensPerSecond)} tokens/s`,
  ];
  if (event.mfu !== null) parts.push(`MFU ${(100 * event.mfu).toFixed(0)} %`);
  if (event.step < steps) parts.push(`${formatDuration(secondsLeft)} left`);
  return parts.join(" · ");
}
