/** Learning-rate schedules against the oracle's formulas, and their option checks. */

import { describe, expect, it } from "vitest";
import { ConfigError } from "../../lib/errors.js";
import { parseSchedule, type ScheduleOptions } from "../../lib/optim/index.js";
import { constantSchedule, cosineSchedule, wsdSchedule } from "../reference/optim.js";

const steps = Array.from({ length: 60 }, (_, step) => step);

describe("schedules", () => {
  it.each([
    ["constant", constantSchedule, { warmupSteps: 5 }],
    ["constant", constantSchedule, {}],
    ["cosine", cosineSchedule, { warmupSteps: 7, totalSteps: 40, minRatio: 0.1 }],
    ["cosine", cosineSchedule, { totalSteps: 50 }],
    ["wsd", wsdSchedule, { warmupSteps: 7, totalSteps: 40, decaySteps: 11 }],
    [
      "wsd",
      wsdSchedule,
      { warmupSteps: 3, totalSteps: 40, decaySteps: 20, minRatio: 0.1, decayShape: "cosine" },
    ],
    ["wsd", wsdSchedule, { totalSteps: 40, decaySteps: 9, minRatio: 0.05, decayShape: "sqrt" }],
  ] as [string, (step: number, options: ScheduleOptions) => number, ScheduleOptions][])(
    "%s equals the oracle",
    (name, oracle, options) => {
      const schedule = parseSchedule(name, options);
      for (const step of steps) expect(schedule(step)).toBeCloseTo(oracle(step, options), 14);
    },
  );

  it("linear falls straight from the peak to its minimum", () => {
    const schedule = parseSchedule("linear", { warmupSteps: 4, totalSteps: 12, minRatio: 0.2 });
    expect([0, 2, 4, 8, 12, 99].map(schedule)).toEqual(
      [0, 0.5, 1, 0.6, 0.2, 0.2].map((x) => expect.closeTo(x, 14)),
    );
  });

  it("begin their warm-up at zero, at one part, or as nanoGPT does", () => {
    const at = (warmupStart: "zero" | "one" | "between") =>
      [0, 1, 2, 3, 4].map(parseSchedule("constant", { warmupSteps: 4, warmupStart }));
    expect(at("zero")).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(at("one")).toEqual([0.25, 0.5, 0.75, 1, 1]);
    expect(at("between")).toEqual([0.2, 0.4, 0.6, 0.8, 1]);
  });

  it("wsd decays over the last fifth unless told otherwise", () => {
    const schedule = parseSchedule("wsd", { totalSteps: 100 });
    expect([79, 80, 90, 100].map(schedule)).toEqual([1, 1, 0.5, 0]);
  });

  it("name what is wrong and what was meant", () => {
    const message = (name: string, options: object): string => {
      try {
        parseSchedule(name, options);
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        return (error as Error).message;
      }
      throw new Error("expected an error");
    };
    expect(message("cosin", {})).toContain('"cosine"');
    expect(message("cosine", {})).toContain("totalSteps");
    expect(message("constant", { warmupstep: 3 })).toContain('"warmupSteps"');
    expect(message("constant", { warmupSteps: -1 })).toContain("warmupSteps");
    expect(message("cosine", { totalSteps: 3, minRatio: 2 })).toContain("minRatio");
    expect(message("wsd", { totalSteps: 10, warmupSteps: 8, decaySteps: 4 })).toContain(
      "more than totalSteps 10",
    );
    expect(message("wsd", { totalSteps: 10, decayShape: "square" })).toContain("decayShape");
  });
});
