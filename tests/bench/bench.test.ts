/** The benchmarks run and say plausible things; how fast they are is measured elsewhere. */
import { describe, expect, it } from "vitest";
import { benchDispatch } from "../../lib/bench/dispatch.js";
import { KERNEL_CASES } from "../../lib/bench/kernel-cases.js";
import { benchKernels } from "../../lib/bench/kernels.js";
import { dispatchReport, kernelLine, machineLine, showSeconds, stepReport } from "../../lib/bench/report.js";
import { benchStep } from "../../lib/bench/step.js";
import { median } from "../../lib/bench/timing.js";
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

describe("benchKernels", () => {
  it("times what the filter names, against the machine's limits", async () => {
    const seen: string[] = [];
    const { machine, kernels } = await benchKernels({
      filter: "rmsnorm",
      dtypes: ["f32"],
      samples: 1,
      sampleMilliseconds: 1,
      onResult: (result) => seen.push(kernelLine(result)),
    });
    expect(kernels.map(({ name }) => name)).toEqual(["rmsNorm", "rmsNorm+backward", "addRmsNorm"]);
    for (const { rate, share } of kernels) expect(rate * share).toBeGreaterThan(0);
    expect(seen.length).toBe(3);
    expect(machineLine(machine)).toContain("GFLOP/s");
  });

  it("refuses a filter that names nothing", async () => {
    await expect(benchKernels({ filter: "atention" })).rejects.toThrow('Did you mean "attention"?');
  });

  it("covers every family that a training step uses", () => {
    for (const name of [
      "linear",
      "attention",
      "rmsNorm",
      "rope",
      "embedding",
      "mixture",
      "groupedLinear",
      "swiglu",
    ]) {
      expect(Object.keys(KERNEL_CASES)).toContain(name);
    }
  });
});

describe("benchDispatch", () => {
  it("measures a call and an operation", async () => {
    const result = await benchDispatch(5);
    expect(result.nanosecondsPerCall).toBeGreaterThan(0);
    expect(result.nanosecondsPerOperation).toBeGreaterThan(result.nanosecondsPerCall);
    expect(dispatchReport(result).length).toBe(2);
  });
});

describe("figures", () => {
  it("median and times", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(showSeconds(1.234)).toBe("1.23 s");
    expect(showSeconds(0.0123)).toBe("12.3 ms");
    expect(showSeconds(1.5e-5)).toBe("15.0 µs");
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
