import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { PACKAGE_ROOT } from "../../lib/native/locate.js";
import { builtFile } from "./built.js";
import { dependencies, deviceCode, exportedSymbols } from "./library.js";

const path = builtFile("libanneal_cuda.so");

/** What every Linux has; before glibc 2.34 it came in more pieces. */
const SYSTEM = /^(lib(c|m|dl|rt|pthread)\.so\.\d+|ld-linux-[\w-]+\.so\.\d+)$/;

describe("libanneal_cuda.so", () => {
  it("needs nothing but the C library", () => {
    if (path === undefined) {
      return;
    }
    expect(dependencies(path).filter((name) => !SYSTEM.test(name))).toEqual([]);
  });

  it("exports the backend and nothing else", () => {
    if (path === undefined) {
      return;
    }
    expect(exportedSymbols(path)).toEqual(["annealBackend"]);
  });

  it("holds code for Ampere, for Hopper and for what follows", () => {
    if (path === undefined) {
      return;
    }
    const code = deviceCode(path);
    expect(code).toHaveLength(3);
    expect(code).toContainEqual({ kind: "cubin", architecture: 80 });
    expect(code).toContainEqual({ kind: "cubin", architecture: 90 });
    expect(code).toContainEqual({ kind: "ptx", architecture: 90 });
  });

  it("says why there is no GPU instead of crashing", () => {
    if (path === undefined) {
      return;
    }
    const folder = mkdtempSync(join(tmpdir(), "anneal-probe-"));
    try {
      const program = join(folder, "probe");
      const source = fileURLToPath(new URL("probe.cc", import.meta.url));
      const include = ["-I", join(PACKAGE_ROOT, "native")];
      execFileSync("c++", ["-std=c++20", ...include, source, "-o", program, "-ldl"], { stdio: "inherit" });
      const env = { ...process.env, CUDA_VISIBLE_DEVICES: "-1" };
      const { status, stdout } = spawnSync(program, [path], { env, encoding: "utf8" });
      const reason =
        /^(no NVIDIA driver is installed: libcuda\.so\.1 was not found|the NVIDIA driver (sees no GPU; CUDA_VISIBLE_DEVICES is "-1"|is too old: .*))$/;
      const lines = stdout.trimEnd().split("\n");
      expect(lines[0]).toBe("abi 0 kernels 0 name cuda");
      expect(lines[1]).toMatch(/^count 0: /);
      const text = lines[1].slice("count 0: ".length);
      expect(text).toMatch(reason);
      // A short buffer receives what fits, no buffer is legal.
      expect(lines[2]).toBe("little 0 7, none 0");
      expect(lines.slice(3)).toEqual([`describe 1: ${text}`, `open 1: ${text}`, "untouched 1", "done"]);
      expect(status).toBe(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
