/** How a time is divided between steps and evaluations. */
import { describe, expect, it } from "vitest";
import { divideTime } from "../../lib/train/step-budget.js";

describe("divideTime", () => {
  it("gives a tenth to evaluations and the rest to steps", () => {
    // 10 evaluations × 6 batches × 0.2 s = 12 s of 120 s; 108 s / 0.1 s
    expect(divideTime(120, { step: 0.1, evaluation: 0.2 }, 10)).toEqual({ steps: 1080, evalBatches: 6 });
  });

  it("keeps the number of batches that is asked for", () => {
    expect(divideTime(120, { step: 0.1, evaluation: 0.2 }, 10, 20)).toEqual({ steps: 800, evalBatches: 20 });
  });

  it("takes at least one step and one batch, and no more than 200 batches", () => {
    expect(divideTime(0, { step: 1, evaluation: 1 }, 10)).toEqual({ steps: 1, evalBatches: 1 });
    expect(divideTime(100, { step: 0.5, evaluation: 0 }, 10)).toEqual({ steps: 200, evalBatches: 200 });
  });
});
