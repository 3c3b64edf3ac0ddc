import { describe, expect, it } from "vitest";
import { relativeError } from "./array.js";
import {
  type AdamState,
  adamStep,
  clipFactor,
  constantSchedule,
  cosineSchedule,
  globalNorm,
  type SgdState,
  sgdStep,
  wsdSchedule,
} from "./optim.js";

describe("optimizers", () => {
  it("AdamW's first step is the learning rate in the gradient's direction, after the decay", () => {
    const state: AdamState = {
      parameter: Float64Array.of(1, -2),
      firstMoment: new Float64Array(2),
      secondMoment: new Float64Array(2),
    };
    const next = adamStep(state, [3, -0.01], { lr: 0.1, weightDecay: 0.5, step: 1, eps: 0 });
    expect(relativeError(next.parameter, [0.95 - 0.1, -1.9 + 0.1])).toBeLessThan(1e-15);
    expect(relativeError(next.firstMoment, [0.3, -0.001])).toBeLessThan(1e-15);
    expect(relativeError(next.secondMoment, [0.009, 1e-7])).toBeLessThan(1e-15);
    expect(Array.from(state.parameter)).toEqual([1, -2]);
  });

  it("Adam takes the decay through the gradient", () => {
    const zeros = { firstMoment: new Float64Array(1), secondMoment: new Float64Array(1) };
    const next = adamStep({ parameter: Float64Array.of(2), ...zeros }, [0], {
      lr: 0.1,
      weightDecay: 0.5,
      step: 1,
      l2: true,
    });
    expect(next.firstMoment[0]).toBeCloseTo(0.1, 15);
    expect(next.parameter[0]).toBeCloseTo(1.9, 8);
  });

  it("SGD copies the first gradient undamped and then mixes", () => {
    const options = { lr: 1, momentum: 0.5, dampening: 0.25 };
    let state: SgdState = { parameter: Float64Array.of(0), buffer: new Float64Array(1) };
    state = sgdStep(state, [4], { ...options, step: 1 });
    expect(state).toEqual({ parameter: Float64Array.of(-4), buffer: Float64Array.of(4) });
    state = sgdStep(state, [4], { ...options, step: 2 });
    expect(state).toEqual({ parameter: Float64Array.of(-9), buffer: Float64Array.of(5) });
    const nesterov = sgdStep(state, [1], { lr: 1, momentum: 0.5, nesterov: true, step: 3 });
    expect(nesterov).toEqual({
      parameter: Float64Array.of(-9 - 1 - 0.5 * 3.5),
      buffer: Float64Array.of(3.5),
    });
  });
});

describe("clipping", () => {
  it("takes one norm over all gradients", () => {
    expect(globalNorm([[3], [], [0, 4]])).toBe(5);
    expect(clipFactor(5, 1)).toBeCloseTo(0.2, 6);
    expect(clipFactor(0.5, 1)).toBe(1);
    expect(clipFactor(5, 0)).toBe(1);
    expect(clipFactor(Number.NaN, 1)).toBe(-1);
    expect(clipFactor(Infinity, 0)).toBe(-1);
  });
});

describe("schedules", () => {
  const options = { warmupSteps: 4, totalSteps: 12, minRatio: 0.1 };

  it("warm up from exactly zero, wsd from its minimum", () => {
    for (const schedule of [constantSchedule, cosineSchedule]) {
      expect([0, 1, 2, 3].map((step) => schedule(step, { ...options, decaySteps: 2 }))).toEqual([
        0, 0.25, 0.5, 0.75,
      ]);
      expect(schedule(4, { ...options, decaySteps: 2 })).toBe(1);
    }
    expect([0, 2, 4].map((step) => wsdSchedule(step, { ...options, decaySteps: 2 }))).toEqual([0.1, 0.55, 1]);
    expect(constantSchedule(0)).toBe(1);
  });

  it("fall as they say and stay at the bottom", () => {
    expect(cosineSchedule(8, options)).toBeCloseTo(0.55, 14);
    expect(cosineSchedule(12, options)).toBeCloseTo(0.1, 14);
    expect(cosineSchedule(99, options)).toBeCloseTo(0.1, 14);
    const wsd = { ...options, decaySteps: 4 };
    expect([7, 8, 10, 12, 99].map((step) => wsdSchedule(step, wsd))).toEqual([1, 1, 0.55, 0.1, 0.1]);
    expect(wsdSchedule(10, { ...wsd, decayShape: "cosine" })).toBeCloseTo(0.55, 14);
    expect(wsdSchedule(9, { ...wsd, decayShape: "sqrt" })).toBeCloseTo(0.55, 14);
  });
});
