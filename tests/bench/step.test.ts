/** Workloads, memory and peers of the step benchmark. */
import { afterEach, describe, expect, it } from "vitest";
import { stepComparison, stepDetails } from "../../lib/bench/report.js";
import { batchOf, benchStep, datasheetFlops } from "../../lib/bench/step.js";
import { benchStepPeers, llmcTokens, parseLlmc, torchWays } from "../../lib/bench/step-peers.js";
import { parseDeepseekConfig } from "../../lib/models/deepseek/config.js";
import { parseGpt2Config } from "../../lib/models/gpt2.js";
import { parseLlamaConfig } from "../../lib/models/llama.js";
import { preset } from "../../lib/models/presets.js";
import { MEMORY_CATEGORIES } from "../../lib/native/accounting.js";
import { setDefaultDevice } from "../../lib/native/device.js";

const SMALL = { workload: "char-gpt", batchSize: 4, sequenceLength: 24, steps: 2, warmup: 1 };

describe("benchStep", () => {
  it("splits the peak and counts FLOPs as PaLM does", async () => {
    const result = await benchStep(SMALL);
    const { memory, palmFlopsPerToken, palmMfu, peakFlops, tokensPerSecond, parameters } = result;
    expect(memory.total).toBe(MEMORY_CATEGORIES.reduce((sum, name) => sum + memory[name], 0));
    expect(memory.weights).toBe(4 * parameters);
    expect(memory.moments).toBe(8 * parameters);
    expect(memory.total - memory.workspace).toBe(result.peakBytes);
    // 4 layers of width 128; position embeddings are only looked up.
    expect(palmFlopsPerToken).toBe(6 * (parameters - 64 * 128) + 12 * 4 * 128 * 24);
    expect(palmMfu).toBeCloseTo((tokensPerSecond * palmFlopsPerToken) / peakFlops, 12);
    expect(result.datasheetFlops).toBeNull();
    expect(stepDetails(result).join()).toMatch(/Batch 4 x 24.*Peak memory \d+ MiB: weights/);
  });

  it("keeps less with checkpointing, and captures the same step", async () => {
    const plain = await benchStep({ ...SMALL, batchSize: 12, sequenceLength: 64 });
    const full = await benchStep({ ...SMALL, batchSize: 12, sequenceLength: 64, checkpointing: "full" });
    expect(full.memory.activations).toBeLessThan(plain.memory.activations);
    expect(full.loss).toBe(plain.loss);
    const captured = await benchStep({ ...SMALL, capture: true });
    expect(captured.memory.weights).toBe(4 * captured.parameters);
    expect(captured.memory.moments).toBe(8 * captured.parameters);
    expect(captured.memory.activations).toBeGreaterThan(0);
  });

  it("refuses rows longer than the model's positions", async () => {
    await expect(benchStep({ ...SMALL, sequenceLength: 65 })).rejects.toThrow("exceeds the 64 positions");
    await expect(benchStep({ ...SMALL, batchSize: 0 })).rejects.toThrow(
      "batchSize must be an integer from 1",
    );
  });
});

describe("benchStep on the interpreter", () => {
  afterEach(() => setDefaultDevice("cpu"));

  it("runs a toy step and splits its memory", { timeout: 240_000 }, async () => {
    setDefaultDevice("simt");
    const toy = { ...SMALL, batchSize: 1, sequenceLength: 4, steps: 1, warmup: 1 };
    const { memory, parameters, peakBytes, device } = await benchStep(toy);
    expect(device).toBe("simt");
    expect(memory.weights).toBe(4 * parameters);
    expect(memory.moments).toBe(8 * parameters);
    expect(memory.workspace).toBeGreaterThan(0);
    expect(memory.total - memory.workspace).toBe(peakBytes);
  });
});

describe("GPU workloads", () => {
  it("have the published sizes", () => {
    const sizes = (name: string) => {
      const { layers, heads, width } = parseGpt2Config(preset(name).config);
      return [layers, heads, width];
    };
    expect(sizes("gpt2-350m")).toEqual([24, 16, 1024]);
    expect(sizes("gpt2-1558m")).toEqual([48, 25, 1600]);
    expect(parseLlamaConfig(preset("llama-1b").config)).toMatchObject({
      headSize: 64,
      keyHeads: 8,
      tied: true,
    });
    const lite = parseDeepseekConfig(preset("deepseek-v2-lite-9l").config);
    expect(lite).toMatchObject({ layers: 9, experts: 64, sharedExperts: 2, queryRank: null, version: 2 });
    expect(lite.router).toMatchObject({ chosen: 6, groups: 1, scoring: "softmax", scaling: 1 });
  });

  it("take their GPU batch on a GPU, and the one that was asked for", () => {
    const workload = preset("gpt2-124m");
    expect(batchOf(workload, "cpu")).toEqual({ batchSize: 4, sequenceLength: 64 });
    expect(batchOf(workload, "cuda")).toEqual({ batchSize: 16, sequenceLength: 1024 });
    expect(batchOf(workload, "cuda", { batchSize: 64 })).toEqual({ batchSize: 64, sequenceLength: 1024 });
  });

  it("are compared with the datasheet on H100 and H200 only", () => {
    expect(datasheetFlops("NVIDIA H200", "bf16")).toBe(989.5e12);
    expect(datasheetFlops("NVIDIA H100 80GB HBM3", "bf16")).toBe(989.5e12);
    for (const name of ["NVIDIA H100 PCIe", "NVIDIA A100-SXM4-80GB"])
      expect(datasheetFlops(name, "bf16")).toBeNull();
    expect(datasheetFlops("NVIDIA H200", "f32")).toBeNull();
  });
});

describe("peers", () => {
  it("ask PyTorch for flash and cuDNN attention on CUDA, in both bf16 forms", () => {
    expect(torchWays("cuda", "bf16")).toHaveLength(8);
    expect(torchWays("cuda", "f32").map(({ attention }) => attention)).toEqual(["efficient", "efficient"]);
    expect(torchWays("cpu", "bf16")).toHaveLength(4);
  });

  it("read llm.c's output", () => {
    const line = (step: number, ms: number) =>
      `step ${String(step).padStart(4)}/4 | loss 10.9${step}0000 (+nanz)| norm 15.1234 (+nanz)| lr 4.29e-07 | ${ms} ms | 41.2% bf16 MFU | 150000 tok/s`;
    const output = [
      "device memory usage: 9876 MiB / 143771 MiB",
      line(1, 500),
      line(2, 110.5),
      line(3, 109),
      line(4, 112),
    ];
    expect(parseLlmc(output.join("\n"), 1)).toEqual({
      secondsPerStep: 0.1105,
      loss: 10.94,
      peakBytes: 9876 * 2 ** 20,
    });
    expect(parseLlmc("usage: …", 0).error).toContain("no line");
  });

  it("write tokens as llm.c reads them", () => {
    const file = llmcTokens(10, 50257);
    expect([...new Int32Array(file.buffer, 0, 3)]).toEqual([20240520, 1, 10]);
    const ids = new Uint16Array(file.buffer, 1024);
    expect(ids).toHaveLength(10);
    expect(Math.max(...ids)).toBeLessThan(50257);
  });

  it("say why there is no figure, and stand in one table", async () => {
    const before = process.env.ANNEAL_PYTHON;
    process.env.ANNEAL_PYTHON = "/nonexistent/python";
    const work = {
      workload: "char-gpt",
      dtype: "f32",
      device: "cpu",
      batchSize: 1,
      sequenceLength: 8,
    } as const;
    const peers = await benchStepPeers({ ...work, steps: 1, warmup: 0, threads: 1 });
    if (before === undefined) delete process.env.ANNEAL_PYTHON;
    else process.env.ANNEAL_PYTHON = before;
    expect(peers.map(({ error }) => error)).toEqual([
      expect.stringContaining("ENOENT"),
      expect.stringContaining("ENOENT"),
    ]);
    const result = await benchStep({ ...SMALL, steps: 1 });
    const twice = { name: "llm.c", secondsPerStep: 2 * result.secondsPerStep, tokensPerSecond: 1, loss: 1 };
    const lines = stepComparison(result, [...peers, twice]);
    expect(lines[2]).toMatch(/^\| anneal .* 1\.00 \|$/);
    expect(lines[3]).toMatch(/^\| llm\.c .* 2\.00 \|$/);
    expect(lines[4]).toContain("ENOENT");
    expect(await benchStepPeers({ ...work, device: "simt", steps: 1, warmup: 0, threads: 1 })).toHaveLength(
      1,
    );
  });
});
