/**
 * A short fuzzing of every reader of outside bytes: libFuzzer starts from the inputs checked in under corpus/ and has a few
 * seconds for each. For longer: `node tests/fuzz/fuzz.mjs --seconds 600`.
 */
import { describe, expect, it } from "vitest";
import { findClang } from "./build.mjs";
import { fuzz, TARGETS } from "./fuzz.mjs";
import { instrument } from "./instrument.mjs";

const SECONDS = Number(process.env.ANNEAL_FUZZ_SECONDS ?? 4);
const clang = findClang();
if (clang === undefined) console.log("Readers are not fuzzed: this machine has no clang with libFuzzer.");

describe.runIf(clang !== undefined)("fuzzing", () => {
  it.each(TARGETS)(
    "%s finds nothing",
    async (name) => {
      const { runs, failed, output } = await fuzz(name, clang as NonNullable<typeof clang>, {
        seconds: SECONDS,
        seed: 1,
      });
      expect(failed, output.slice(-4000)).toBe(false);
      // Fewer would mean that the target does not do its work.
      expect(runs).toBeGreaterThan(100);
      console.log(`${name}: ${runs} runs`);
    },
    300_000,
  );
});

describe("counters in JavaScript", () => {
  it("change nothing and see every branch", () => {
    const source = `
      function pick(a) {
        if (a > 2) { return a ? "x" : "y"; } else { a += 1; }
        switch (a) { case 1: a = 7; break; default: a = a || 9; }
        return [1, 2].map((n) => n && { n, a });
      }
      [pick(3), pick(0), pick(-1)];`;
    const reached = new Set<number>();
    const { code, next } = instrument(source, 5);
    const run = (text: string) =>
      new Function("__reached", `return eval(${JSON.stringify(text)})`)((n: number) => reached.add(n));
    expect(run(code)).toEqual(run(source));
    expect(Math.min(...reached)).toBe(5);
    // All but the branch for a falsy a above 2.
    expect(reached.size).toBe(next - 5 - 1);
  });
});
