/** The kernel benchmark: its list of cases, floors, sizes and tables, and that every case runs. How fast they are is measured elsewhere. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fasterRates, standing } from "../../lib/bench/floors.js";
import { KERNEL_CASES } from "../../lib/bench/kernel-cases.js";
import { benchKernels, type KernelMeasurement } from "../../lib/bench/kernels.js";
import { parseCacheSize } from "../../lib/bench/machine.js";
import { markdownPath } from "../../lib/bench/record.js";
import { kernelReport, kernelTable, showRate, showSeconds, table } from "../../lib/bench/report.js";
import { setsFor, sizesFor } from "../../lib/bench/sizes.js";
import { median, summarise } from "../../lib/bench/timing.js";
import { memory } from "../../lib/native/device.js";
import { KERNEL_NAMES } from "../../lib/native/kernels.js";
import { anneal } from "../cli/spawn.js";

const TINY = sizesFor("simt", 0);
const QUICK = { samples: 1, sampleMilliseconds: 0.01, peerModes: [], sizes: TINY };

describe("the list of cases", () => {
  it("has a case for every kernel that training steps call", () => {
    const covered = new Set(KERNEL_CASES.flatMap(({ kernels }) => kernels));
    // Small kernels between the large ones of a mixture of experts, over as many numbers as there are experts.
    const small = [
      "routerBackward",
      "balanceLossForward",
      "balanceLossBackward",
      "moeCombineBackward",
      "moeBiasUpdate",
    ];
    expect(KERNEL_NAMES.filter((name) => !covered.has(name))).toEqual(small);
  });

  it("names each case once, after the kernel that it calls where there is one", () => {
    const names = KERNEL_CASES.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { name, kernels } of KERNEL_CASES) {
      for (const kernel of kernels) expect(KERNEL_NAMES).toContain(kernel);
      if (kernels.length === 1 && name !== "attention") expect(name.split(" ")[0]).toBe(kernels[0]);
    }
  });

  it("is what PyTorch's script knows, apart from what PyTorch does not have", () => {
    const script = readFileSync(new URL("../../bench/peers/torch_kernels.py", import.meta.url), "utf8");
    const absent = KERNEL_CASES.map(({ name }) => name).filter((name) => !script.includes(`"${name}"`));
    expect(absent).toEqual(["adamw bf16 moments", "adamw stochastic rounding", "mixture of experts"]);
  });
});

describe("floors", () => {
  const rates = { copy: 4e12, product: { f32: 5e13, bf16: 8e14 } };

  it("of a kernel bound by memory is its bytes at the rate of a copy", () => {
    const { bound, floorSeconds, rate, share } = standing({ bytes: 4e9 }, "bf16", rates, 2e-3);
    expect(bound).toBe("bytes");
    expect(floorSeconds).toBeCloseTo(1e-3, 12);
    expect(rate).toBeCloseTo(2e12, 0);
    expect(share).toBeCloseTo(0.5, 12);
  });

  it("of a product is its operations at the rate of a large one of the same dtype", () => {
    const work = { bytes: 1e8, flops: 8e11 };
    expect(standing(work, "bf16", rates, 2e-3)).toMatchObject({ bound: "flops", rate: 4e14, share: 0.5 });
    expect(standing(work, "f32", rates, 32e-3).share).toBeCloseTo(0.5, 12);
  });

  it("come from the best rates that were seen", () => {
    const later = { copy: 3e12, product: { f32: 6e13, bf16: 7e14 } };
    expect(fasterRates(rates, later)).toEqual({ copy: 4e12, product: { f32: 6e13, bf16: 8e14 } });
  });

  it("is the longer of the two", () => {
    expect(standing({ bytes: 4e9, flops: 8e10 }, "bf16", rates, 1e-3)).toMatchObject({
      bound: "bytes",
      share: 1,
    });
  });
});

describe("sizes", () => {
  it("of the optimizer fit into a quarter of the memory", () => {
    const gibibyte = 2 ** 30;
    expect(sizesFor("cuda", 140 * gibibyte).parameters).toBe(2 ** 30);
    expect(sizesFor("cuda", 24 * gibibyte).parameters).toBe(2 ** 28);
    expect(sizesFor("cpu", 24 * gibibyte).parameters).toBe(2 ** 24);
    expect(sizesFor("cpu", 1).parameters).toBe(2 ** 20);
  });

  it("agree with each other on every device", () => {
    for (const device of ["cuda", "cpu", "simt"] as const) {
      const { heads, head, width, rows, length } = sizesFor(device, 2 ** 37);
      expect(heads * head).toBe(width);
      expect(rows % length).toBe(0);
    }
  });

  it("sets of tensors pass the cache twice, within a quarter of the memory", () => {
    expect(setsFor(300, 100, 1e6)).toBe(1);
    expect(setsFor(30, 100, 1e6)).toBe(7);
    expect(setsFor(30, 100, 480)).toBe(4);
    expect(setsFor(1, 1e9, 1e12)).toBe(64);
    expect(setsFor(0, 0, 0)).toBe(1);
  });

  it("of caches are read as Linux writes them", () => {
    expect(["48K", "266240K\n", "2M", "512", "none"].map(parseCacheSize)).toEqual([
      49152, 272629760, 2097152, 512, 0,
    ]);
  });
});

describe("figures", () => {
  it("median, spread, times and rates", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(summarise([2, 1, 4])).toEqual({ seconds: 2, spread: 1.5 });
    expect(showSeconds(1.234)).toBe("1.23 s");
    expect(showSeconds(0.0123)).toBe("12.3 ms");
    expect(showSeconds(1.5e-5)).toBe("15.0 µs");
    expect(showRate(4.321e12, "bytes")).toBe("4321 GB/s");
    expect(showRate(7.777e14, "flops")).toBe("778 TFLOP/s");
    expect(showRate(4.24e10, "flops")).toBe("42.4 GFLOP/s");
    expect(markdownPath("a/b.json")).toBe("a/b.md");
    expect(markdownPath("a/b")).toBe("a/b.md");
  });

  it("stand under each other in a table", () => {
    expect(
      table(
        ["name", "n"],
        [
          ["a", "1"],
          ["long name", "1000"],
        ],
        new Set([1]),
      ),
    ).toEqual([
      "| name      |    n |",
      "| --------- | ---: |",
      "| a         |    1 |",
      "| long name | 1000 |",
    ]);
  });

  it("PyTorch has columns only where it ran, and says where it failed", () => {
    const result: KernelMeasurement = {
      name: "softmax",
      shape: "8×8",
      dtype: "f32",
      sets: 1,
      seconds: 1e-3,
      spread: 0.01,
      bound: "bytes",
      floorSeconds: 5e-4,
      rate: 1e9,
      share: 0.5,
    };
    expect(kernelTable({ kernels: [result] })[0]).not.toContain("PyTorch");
    const beside = { ...result, pytorch: { eager: 3e-3, errors: { compiled: "no compiler" } } };
    const [head, , ...lines] = kernelTable({ kernels: [result, beside] });
    expect(head).toMatch(/PyTorch eager \| ratio \| PyTorch compiled \| ratio \|$/);
    expect(lines[0]).toMatch(/50 \| +– \| +– \| +– \| +– \|$/);
    expect(lines[1]).toMatch(/50 \| +3.00 ms \| +3.00 \| +failed \| +– \|$/);
  });
});

describe("benchKernels", () => {
  it("runs every case in both dtypes and frees what it made", async () => {
    // The first run also makes what operations keep for the next time.
    await benchKernels(QUICK);
    const before = memory().live;
    const result = await benchKernels(QUICK);
    expect(memory().live).toBe(before);
    expect(result.skipped).toEqual([]);
    expect(result.kernels.length).toBe(2 * KERNEL_CASES.length);
    for (const { seconds, share, rate } of result.kernels) expect(seconds * share * rate).toBeGreaterThan(0);
    expect(kernelReport(result).length).toBe(result.kernels.length + 6);
  });

  it("refuses a filter that names nothing", async () => {
    await expect(benchKernels({ filter: "atention" })).rejects.toThrow('Did you mean "attention"?');
  });
});

describe("anneal bench kernels", () => {
  it("runs on the interpreter of GPU kernels, and keeps what it is told to keep", async () => {
    const folder = mkdtempSync(join(tmpdir(), "anneal-bench-"));
    try {
      const file = join(folder, "kept", "result.json");
      const options = "--samples 1 --sample-milliseconds 0.01 --dtype bf16 --filter rmsNorm --json".split(
        " ",
      );
      const { status, stdout } = await anneal([
        "bench",
        "kernels",
        "--device",
        "simt",
        "--out",
        file,
        ...options,
      ]);
      expect(status).toBe(0);
      const result = JSON.parse(stdout);
      expect(result.machine.device).toBe("simt");
      expect(result.kernels.map(({ name }: { name: string }) => name)).toEqual([
        "rmsNormForward",
        "rmsNormForward residual",
        "rmsNormBackward",
      ]);
      const kept = JSON.parse(readFileSync(file, "utf8"));
      expect(kept.result).toEqual(result);
      expect(kept.versions.node).toBe(process.version);
      expect(Date.parse(kept.date)).toBeLessThanOrEqual(Date.now());
      expect(readFileSync(markdownPath(file), "utf8")).toContain("| rmsNormBackward");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
