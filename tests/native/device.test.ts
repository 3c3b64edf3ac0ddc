import { execFile } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { DeviceError, KernelError, OutOfMemoryError } from "../../lib/errors.js";
import { addon } from "../../lib/native/addon.js";
import {
  elapsed,
  mark,
  memory,
  parseDevice,
  releaseMark,
  setMemoryLimit,
  synchronize,
  trimMemory,
} from "../../lib/native/device.js";
import { backendLibrary, locateAddon, PACKAGE_ROOT } from "../../lib/native/locate.js";
import { zeros } from "../../lib/tensor/ops/create.js";
import { embedding } from "../../lib/tensor/ops/embedding.js";
import { empty, tensor } from "../../lib/tensor/tensor.js";

const run = promisify(execFile);
const INDEX = join(PACKAGE_ROOT, "dist/index.js");

/** Output of a script that has the package's exports, in a process of its own. */
async function script(body: string, env: Record<string, string>): Promise<string> {
  const source = `import * as anneal from ${JSON.stringify(INDEX)};\nimport { readFileSync } from "node:fs";\n${body}`;
  const { ANNEAL_DEVICE: _, ...rest } = process.env;
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", source], {
    env: { ...rest, ...env },
  });
  return stdout.trim();
}

describe("device names", () => {
  it("are checked, with a suggestion", () => {
    expect(() => parseDevice("cud")).toThrow(/Unknown device "cud"; there are cpu, cuda, simt.*"cuda"/);
  });
});

describe("backends", () => {
  it("are not opened for the CPU", async () => {
    const maps = await script(
      `const t = anneal.zeros([4]); await t.data(); console.log(readFileSync("/proc/self/maps", "utf8").match(/anneal\\S*$/gm).join(" "))`,
      { ANNEAL_DEVICE: "cpu" },
    );
    expect(maps).toContain("anneal.node");
    expect(maps).not.toContain("libanneal_");
  });

  it("that are missing are an error with the command that makes them", async () => {
    const folder = mkdtempSync(join(tmpdir(), "anneal-device-"));
    try {
      copyFileSync(locateAddon().path as string, join(folder, "anneal.node"));
      const env = { ANNEAL_ADDON: join(folder, "anneal.node") };
      const message = (device: string) =>
        script(
          `try { anneal.zeros([1], { device: "${device}" }) } catch (e) { console.log(e.name, e.message) }`,
          env,
        );
      expect(await message("cuda")).toMatch(/^DeviceError.*libanneal_cuda\.so.*anneal build --cuda on/);
      expect(await message("simt")).toMatch(/^DeviceError.*libanneal_simt\.so.*anneal build --simt/);
      writeFileSync(join(folder, "libanneal_simt.so"), "not a library");
      expect(await message("simt")).toMatch(
        /^DeviceError Device "simt" cannot be used: the library does not load/,
      );
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("that cannot give memory say why, and do not call it want of memory", async () => {
    const folder = mkdtempSync(join(tmpdir(), "anneal-broken-"));
    try {
      copyFileSync(locateAddon().path as string, join(folder, "anneal.node"));
      const source = join(PACKAGE_ROOT, "tests/native/broken_backend.cc");
      const out = join(folder, "libanneal_cuda.so");
      await run("g++", [
        "-std=c++20",
        "-shared",
        "-fPIC",
        "-I",
        join(PACKAGE_ROOT, "native"),
        source,
        "-o",
        out,
      ]);
      const message = await script(
        `try { anneal.zeros([1], { device: "cuda" }) } catch (e) { console.log(e.name, e.message) }`,
        { ANNEAL_ADDON: join(folder, "anneal.node") },
      );
      expect(message).toBe(
        "DeviceError no memory from cuda: kernel fill failed on the GPU: an illegal memory access was encountered",
      );
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("describe what they find without opening it", () => {
    const { devices } = addon().probe(backendLibrary("simt", locateAddon().path as string));
    expect(devices).toHaveLength(1);
    expect(devices[0].processors).toBeGreaterThan(1);
  });
});

describe.each(["cpu", "simt"] as const)("a device's memory and clock: %s", (device) => {
  it("keeps to its limit; the error says what was asked and what is in use", () => {
    const kept = zeros([1000], { device });
    setMemoryLimit(memory(device).reserved + 100_000, device);
    try {
      expect(() => zeros([2 ** 20], { device })).toThrow(OutOfMemoryError);
      expect(() => zeros([2 ** 20], { device })).toThrow(
        device === "cpu"
          ? /out of memory on cpu: 4194304 bytes were asked for, \d+ bytes are in use by \d+ buffers/
          : /out of memory on simt: 4194304 bytes .* are free, .* workspace, and .* belong to the driver/,
      );
      zeros([10], { device }).dispose();
    } finally {
      setMemoryLimit(0, device);
      kept.dispose();
      trimMemory(device);
    }
  });

  it("goes back to where it was", async () => {
    await synchronize(device);
    const before = memory(device);
    for (let i = 0; i < 5; i++) zeros([100 + i], { device }).dispose();
    await synchronize(device);
    expect(memory(device)).toMatchObject({ live: before.live, buffers: before.buffers });
  });

  it("reads its clock in order", async () => {
    const a = mark(device);
    const t = zeros([100_000], { device });
    const b = mark(device);
    const c = mark(device);
    const seconds = await Promise.all([elapsed(a, b), elapsed(b, c), elapsed(a, c)]);
    expect(seconds[0]).toBeGreaterThan(0);
    expect(seconds[1]).toBeGreaterThanOrEqual(0);
    expect(seconds[2]).toBeCloseTo(seconds[0] + seconds[1], 9);
    for (const point of [a, b, c]) releaseMark(point);
    await expect(elapsed(a, b)).rejects.toThrow(/released/);
    t.dispose();
  });

  it("reports a kernel's failure at the next read, once, and works on", async () => {
    const weight = tensor(new Float32Array(12).fill(1), { shape: [4, 3], device });
    const ids = tensor(Int32Array.from([0, 7, 9]), { device });
    const out = embedding(ids, weight);
    const later = empty([2], { device });
    const failure = await out.data().then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(KernelError);
    expect((failure as KernelError).message).toMatch(/embeddingForward.*7.*position 1.*4/);
    expect((failure as KernelError).details.kernel).toBe("embeddingForward");
    later.write(Float32Array.from([1, 2]));
    expect([...(await later.data())]).toEqual([1, 2]);
    for (const t of [weight, ids, out, later]) t.dispose();
  });

  it("refuses tensors of another device", () => {
    const other = device === "cpu" ? "simt" : "cpu";
    const weight = zeros([4, 3], { device });
    const ids = tensor(Int32Array.from([0]), { device: other });
    expect(() => embedding(ids, weight)).toThrow(DeviceError);
    weight.dispose();
    ids.dispose();
  });
});
