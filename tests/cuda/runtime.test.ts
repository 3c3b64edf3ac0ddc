import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findNvcc } from "../../lib/native/build.js";
import { PACKAGE_ROOT } from "../../lib/native/locate.js";
import { builtFile, CUDA_SOURCES } from "./built.js";

/** Objects of the backend's host side, which the build left; the kernels are replaced by those of fake/program.cu. */
const HOST = ["backend.cu", "errors.cu", "fault.cc", "graph.cu", "memory.cu", "runtime.cu", "transfer.cu"];

const resources = builtFile("libanneal_cuda.resources");
const nvcc = findNvcc();
const ready = resources !== undefined && nvcc !== undefined;

let folder = "";

/** Runs one scenario of fake/program.cu and gives its lines. */
function scenario(name: string, env: Record<string, string> = {}): string[] {
  const program = spawnSync(join(folder, "program"), [name], {
    env: { ...process.env, ANNEAL_CUDA_BLOCKING: "", ...env },
    encoding: "utf8",
  });
  expect(program.status, program.stdout + program.stderr).toBe(0);
  const lines = program.stdout.trimEnd().split("\n");
  expect(lines.pop()).toBe("done");
  return lines;
}

/**
 * The host side of the CUDA backend over a stand-in of CUDA's runtime library (fake/cudart.h): copies that must not
 * wait, staging memory that must not be reused too early, and errors that must name their kernel.
 */
describe("CUDA runtime layer", () => {
  beforeAll(() => {
    if (!ready) {
      return;
    }
    folder = mkdtempSync(join(tmpdir(), "anneal-runtime-"));
    const objects = [
      ...readFileSync(resources, "utf8").matchAll(/^object (.*\/anneal_cuda\.dir\/(?:\.\/)?(.*)\.o)$/gm),
    ];
    const host = objects.filter(([, , file]) => HOST.includes(file)).map(([, path]) => path);
    expect(host).toHaveLength(HOST.length);
    // Families of kernels that the program does not define have none.
    const table = readFileSync(join(CUDA_SOURCES, "kernels", "table.h"), "utf8");
    const families = [...table.matchAll(/^void (register\w+)\(Backend& table\);/gm)].map(
      ([, name]) => `__attribute__((weak)) void ${name}(Backend&) {}`,
    );
    const stubs = join(folder, "families.cc");
    families.push('const char* gemmLibrary() { return "none"; }');
    writeFileSync(stubs, `#include "core/backend.h"\nnamespace anneal::cuda {\n${families.join("\n")}\n}\n`);
    const fake = fileURLToPath(new URL("fake", import.meta.url));
    const include = ["-I", join(PACKAGE_ROOT, "native"), "-I", fake];
    const flags = ["-std=c++20", "-O1", "--cudart", "none", "--expt-relaxed-constexpr", "-arch=sm_80"];
    const sources = [join(fake, "program.cu"), join(fake, "cudart.cc"), stubs];
    const out = ["-o", join(folder, "program")];
    execFileSync(nvcc, [...flags, ...include, ...sources, ...host, ...out, "-lpthread"], {
      stdio: "inherit",
    });
  }, 240_000);

  afterAll(() => {
    if (folder !== "") {
      rmSync(folder, { recursive: true });
    }
  });

  it("describes devices, and says why there is none", () => {
    if (!ready) {
      return;
    }
    expect(scenario("describe", { CUDA_VISIBLE_DEVICES: "3" })).toEqual([
      "count 1",
      "name 127, 132 processors, capability 90, driver 13000, shared 232448",
      "GPU 1 does not exist; expected 0 to 0",
      "An old GPU has compute capability 7.5; expected 8.0 or later (A100, RTX 30 and newer)",
      'count 0: the NVIDIA driver sees no GPU; CUDA_VISIBLE_DEVICES is "3"',
      expect.stringMatching(
        /^count 0: the NVIDIA driver is too old: it supports CUDA 12\.4, this library was built with CUDA \d+\.\d and needs a driver for CUDA \d+\.0 or later$/,
      ),
      "count 0: no NVIDIA driver is installed: libcuda.so.1 was not found",
    ]);
  });

  it("copies any size both ways while sources change and reads end late", () => {
    if (!ready) {
      return;
    }
    expect(scenario("copy")).toEqual([expect.stringMatching(/^rounds \d{3}$/), "alive 0"]);
  });

  it("does not make the executor wait for small copies and reads", () => {
    if (!ready) {
      return;
    }
    expect(scenario("ahead")).toEqual(["queued", "alive 0"]);
  });

  it("tells the next read of bad data, and only that one", () => {
    if (!ready) {
      return;
    }
    expect(scenario("fault")).toEqual([
      "read 1 kernel 0: fill: index 12 at position 7 is outside [0, 10)",
      "read 0 kernel -1: ",
      "read 1 kernel 0: fill: index 12 at position 7 is outside [0, 10)",
      "alive 0",
    ]);
  });

  const ILLEGAL = "failed on the GPU: an illegal memory access was encountered (cudaErrorIllegalAddress)";

  it("names the kernel that broke the device where only one can have done it", () => {
    if (!ready) {
      return;
    }
    const message = `kernel cast ${ILLEGAL}; this process can no longer use the GPU`;
    const lines = scenario("crash");
    expect(lines).toContain(`read 1 kernel 1: ${message}`);
    expect(lines).toContain(`allocate 1: ${message}`);
    expect(lines.at(-2)).toBe(`launch 1: ${message}`);
    // The same with several kernels queued, each followed by a synchronisation.
    expect(scenario("crash-several", { ANNEAL_CUDA_BLOCKING: "1" })).toContain(`read 1 kernel 1: ${message}`);
  });

  it("names all kernels that can have broken the device, and how to find the one", () => {
    if (!ready) {
      return;
    }
    const line = scenario("crash-several").find((text) => text.startsWith("read 1"));
    expect(line).toMatch(
      /^read 1 kernel -1: one of (cast, axpy|cast, axpy, unary) queued since the last read /,
    );
    expect(line).toContain(`${ILLEGAL}; set ANNEAL_CUDA_BLOCKING=1 to name it exactly`);
  });

  it("gives null where memory ends, and keeps one workspace that only grows", () => {
    if (!ready) {
      return;
    }
    expect(scenario("memory")).toEqual([
      'too much 1, message "", last error 0',
      "workspace 102 MiB, all accounted for 1",
      "workspace 1: softmax: out of memory: needs a workspace of 1026.0 MiB, 512.0 MiB of 1024.0 MiB are free on A GPU",
      "given back 1",
      "alive 0",
    ]);
  });

  it("says what was wrong with a launch, and measures time", () => {
    if (!ready) {
      return;
    }
    expect(scenario("launch")).toEqual([
      "attribute calls 1",
      "shared 1: reduce: needs 300000 bytes of shared memory a block; A GPU gives 232448",
      "image 1: axpy: this library holds code for sm_80, sm_90a and PTX of compute_90; A GPU has compute capability 9.0: text of the error (cudaErrorNoKernelImageForDevice)",
      "shape 1: axpy: launch of 3×2×1 blocks of 32×1×1 threads with 64 bytes of shared memory: text of the error (cudaErrorOther)",
      "missing 1",
      "read 0 kernel -1: ",
      "elapsed 1",
      "alive 0",
    ]);
  });

  it("launches captured calls as often as asked, and captures anew where the workspace moved", () => {
    if (!ready) {
      return;
    }
    const good = "read 0 kernel -1: ";
    expect(scenario("graph")).toEqual([
      good,
      "captured, ran 0",
      good,
      "launched twice, ran 6",
      good,
      "moved 2, ran 0",
      "read 1 kernel 0: fill: index 12 at position 7 is outside [0, 10)",
      "bad data, ran 1",
      "read 1 kernel 0: fill: index 12 at position 7 is outside [0, 10)",
      "again, ran 1",
      "workspace 1: softmax: needs a workspace of 200.0 MiB while a graph is captured, 102.0 MiB are there; what is captured must have run before with the same shapes",
      good,
      "dropped, ran 1",
      "alive 0",
    ]);
  });

  it("names the kernels of a graph that can have broken the device", () => {
    if (!ready) {
      return;
    }
    const lines = scenario("graph-crash");
    expect(lines).toContainEqual(
      expect.stringMatching(
        /^read 1 kernel -1: one of cast, axpy queued since the last read failed on the GPU/,
      ),
    );
    expect(lines).toContain("launch 1, capture 1");
    expect(lines.at(-1)).toMatch(/^alive/);
  });

  it("declines to capture where every kernel is to be waited for", () => {
    if (!ready) {
      return;
    }
    expect(scenario("graph-blocking", { ANNEAL_CUDA_BLOCKING: "1" })).toEqual(["capture 2", "alive 0"]);
  });
});
