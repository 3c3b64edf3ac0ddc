/** The benchmarks run and say plausible things; how fast they are is measured elsewhere. */
import { describe, expect, it } from "vitest";
import { benchDispatch } from "../../lib/bench/dispatch.js";
import { dispatchReport, stepReport } from "../../lib/bench/report.js";
import { benchStep } from "../../lib/bench/step.js";
import { memory } from "../../lib/native/device.js";
import { anneal } from "../cli/spawn.js";

describe("benchStep", () => {
  it.each(["f32", "bf16"] as const)(
    "times a whole training step in %s and frees what it made",
    async (dtype) => {
      // The first run also makes what operations keep for the next time.
      await benchStep({ workload: "char-gpt", dtype, steps: 1, warmup: 0 });
      const before = memory().live;
      const result = await benchStep({ workload: "char-gpt", dtype, steps: 5, warmup: 1 });
      expect(memory().live).toBe(before);
      expect(result.tokensPerSecond).toBeCloseTo((12 * 64) / result.secondsPerStep, 6);
      expect(result.fastestStep).toBeLessThanOrEqual(result.secondsPerStep);
      // After six steps on one batch a little below ln 65.
      expect(result.loss).toBeGreaterThan(1);
      expect(result.loss).toBeLessThan(Math.log(65) * 1.02);
      expect(result.peakBytes).toBeGreaterThan(4 * result.parameters);
      expect(result.mfu).toBeGreaterThan(0);
      expect(stepReport(result).join()).toContain("tokens/s");
    },
  );

  it("names the workload that was probably meant", async () => {
    await expect(benchStep({ workload: "lama-15m" })).rejects.toThrow('Did you mean "llama-15m"?');
  });
});

describe("benchDispatch", () => {
  it("measures a call, a launch and an operation", async () => {
    const result = await benchDispatch({ rounds: 5, peer: false });
    expect(result.nanosecondsPerCall).toBeGreaterThan(0);
    expect(result.nanosecondsPerLaunch).toBeGreaterThan(0);
    expect(result.nanosecondsPerOperation).toBeGreaterThan(result.nanosecondsPerCall);
    expect(result.pytorch).toEqual({ absent: "not asked for" });
    expect(dispatchReport(result).join("\n")).toContain("PyTorch was left out: not asked for.");
  });

  it("stands beside PyTorch where that ran", () => {
    const lines = dispatchReport({
      device: "cpu",
      nanosecondsPerCall: 101,
      fastestRound: 99,
      nanosecondsPerLaunch: 202,
      nanosecondsPerOperation: 1003,
      rounds: 1,
      pytorch: { nanosecondsPerCall: 801, nanosecondsPerOperation: 4004, version: "2.0" },
    });
    expect(lines.join("\n")).toMatch(/costs 101 ns .*PyTorch eager 801 ns/);
    expect(lines.join("\n")).toMatch(/costs 1003 ns; PyTorch eager 4004 ns/);
  });
});

describe("anneal bench", () => {
  it("step --json has the fields that scripts read", async () => {
    const { status, stdout } = await anneal(
      "bench step --workload char-gpt --dtype f32 --steps 2 --warmup 1 --json".split(" "),
    );
    expect(status).toBe(0);
    const result = JSON.parse(stdout);
    for (const name of [
      "tokensPerSecond",
      "secondsPerStep",
      "peakBytes",
      "peakRss",
      "loss",
      "gflops",
      "mfu",
    ]) {
      expect(result[name]).toBeGreaterThan(0);
    }
  });

  it("says what may be measured", async () => {
    expect(await anneal(["bench"])).toMatchObject({ status: 2 });
    const { status, stderr } = await anneal(["bench", "kernel"]);
    expect(status).toBe(2);
    expect(stderr).toContain('Did you mean "kernels"?');
  });
});
