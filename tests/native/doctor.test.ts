import { describe, expect, it } from "vitest";
import type { BackendProbe } from "../../lib/native/addon.js";
import { cpuFeatures, doctor, formatDoctor } from "../../lib/native/doctor.js";

const noAddon = { ANNEAL_ADDON: "/nowhere/anneal.node" };
const DRIVER = "/usr/lib/x86_64-linux-gnu/libcuda.so.1";

/** A `run` that answers only the programs given, and records what was run. */
function programs(answers: Record<string, string>) {
  const ran: string[] = [];
  const run = async (program: string) => {
    ran.push(program);
    if (answers[program] === undefined) {
      throw new Error("not found");
    }
    return answers[program];
  };
  return { ran, run };
}

describe("doctor", () => {
  it("reports this machine as text", async () => {
    const text = formatDoctor(await doctor());
    for (const name of ["anneal", "node", "memory", "addon", "cmake", "device cpu", "device cuda"]) {
      expect(text).toMatch(new RegExp(`^${name} `, "m"));
    }
  });

  it("says why the addon is not loaded and what then is missing", async () => {
    const report = await doctor({ env: noAddon });
    expect(report.addon).toMatchObject({ loaded: false, error: expect.stringContaining("ANNEAL_ADDON") });
    expect(report.devices[0]).toMatchObject({ name: "cpu", available: false });
    expect(formatDoctor(report)).toContain("/nowhere/anneal.node");
  });

  it("never looks for a GPU with ANNEAL_DEVICE=cpu", async () => {
    const looked: string[] = [];
    const look = (path: string) => looked.push(path) > 0;
    const probe = (library: string) => ({ reason: "", devices: looked.push(library) > 0 ? [] : [] });
    const { run } = programs({});
    const report = await doctor({ env: { ANNEAL_DEVICE: "cpu" }, run, exists: look, probe });
    expect(report.devices[1]).toEqual({
      name: "cuda",
      available: false,
      detail: "not looked for, because ANNEAL_DEVICE=cpu",
    });
    expect(looked).toEqual([]);
  });

  it("says without a CUDA backend whether compiling it would help", async () => {
    const cuda = async (driver: boolean) => {
      const exists = (path: string) => driver && path === DRIVER;
      return (await doctor({ env: noAddon, run: programs({}).run, exists })).devices[1];
    };
    expect(await cuda(false)).toMatchObject({
      available: false,
      detail: expect.stringContaining("no NVIDIA driver"),
    });
    expect(await cuda(true)).toMatchObject({
      available: false,
      detail: expect.stringMatching(
        /libcuda\.so\.1 is here, but the CUDA backend is not compiled.*anneal build/,
      ),
    });
  });

  it("asks the CUDA backend for its GPUs, and passes on its reason when there is none", async () => {
    const cuda = async (found: BackendProbe) => {
      const { ANNEAL_DEVICE: _, ...env } = process.env;
      return (await doctor({ env, run: programs({}).run, exists: () => true, probe: () => found }))
        .devices[1];
    };
    const reason = "no NVIDIA driver is installed";
    expect(await cuda({ reason, devices: [] })).toEqual({ name: "cuda", available: false, detail: reason });
    const gpu = {
      name: "GPU",
      memory: 80 * 2 ** 30,
      processors: 132,
      computeCapability: 90,
      driverVersion: 13010,
      l2Bytes: 50 * 2 ** 20,
      products: "own kernels",
    };
    expect(await cuda({ reason: "", devices: [gpu] })).toEqual({
      name: "cuda",
      available: true,
      detail:
        "GPU, 80.0 GiB, 132 multiprocessors, compute capability 9.0, driver for CUDA 13.1, matrix products by own kernels",
    });
  });

  it("reads tool versions from the line that has one", async () => {
    const { run } = programs({
      nvcc: "nvcc: NVIDIA compiler\nrelease 13.0, V13.0.88\n",
      cmake: "cmake version 3.25.1\n",
    });
    const { tools } = await doctor({ env: { ...noAddon, ANNEAL_DEVICE: "cpu" }, run });
    const version = (name: string) => tools.find((tool) => tool.name === name)?.version;
    expect(version("nvcc")).toBe("release 13.0, V13.0.88");
    expect(version("cmake")).toBe("cmake version 3.25.1");
    expect(version("g++")).toBeUndefined();
  });

  it("keeps the processor features that matter", () => {
    expect(cpuFeatures("model name\t: X\nflags\t\t: fpu avx2 fma avx512f avx512_bf16 rdrand\n")).toEqual([
      "avx2",
      "fma",
      "avx512f",
      "avx512_bf16",
    ]);
    expect(cpuFeatures("Features\t: fp asimd sve bf16\n")).toEqual(["asimd", "sve", "bf16"]);
    expect(cpuFeatures("")).toEqual([]);
  });
});
