import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { NativeError } from "../../lib/errors.js";
import { buildAddon, buildCommands } from "../../lib/native/build.js";
import { loadAddon } from "../../lib/native/locate.js";

describe("buildCommands", () => {
  it("runs cmake-js where it is installed", () => {
    const { configure, compile } = buildCommands("/p", {
      cmakeJs: "/p/cmake-js",
      ninja: true,
      jobs: 3,
      cuda: true,
      simt: true,
    });
    const where = ["--directory", "/p", "--out", join("/p", "build", "cmake")];
    where.push("--CDANNEAL_CUDA=ON", "--CDANNEAL_SIMT=ON");
    expect(configure).toEqual([process.execPath, "/p/cmake-js", "configure", ...where]);
    expect(compile).toEqual([process.execPath, "/p/cmake-js", "build", ...where, "--parallel", "3"]);
  });

  it("runs cmake elsewhere, with Ninja where it is there", () => {
    const plain = buildCommands("/p", { ninja: false, jobs: 2, cuda: false, simt: false });
    const out = join("/p", "build", "cmake");
    expect(plain.configure).toEqual([
      "cmake",
      "-S",
      "/p",
      "-B",
      out,
      "-G",
      "Unix Makefiles",
      "-DANNEAL_CUDA=OFF",
      "-DANNEAL_SIMT=OFF",
    ]);
    expect(plain.compile).toEqual(["cmake", "--build", out, "--parallel", "2"]);
    expect(buildCommands("/p", { ninja: true, jobs: 2, cuda: false, simt: false }).configure).toContain(
      "Ninja",
    );
    // Not asked for and not refused: an nvcc that does not work must not fail the build.
    expect(buildCommands("/p", { ninja: true, jobs: 2, simt: false }).configure).toContain(
      "-DANNEAL_CUDA=AUTO",
    );
  });
});

describe("buildAddon", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "anneal-build-"));
    writeFileSync(join(root, "package.json"), "{}");
  });
  afterEach(() => rmSync(root, { recursive: true }));

  it("says that sources are missing", async () => {
    await expect(buildAddon({ root })).rejects.toThrow(NativeError);
    await expect(buildAddon({ root })).rejects.toThrow(/CMakeLists.txt is missing/);
  });

  it("hands on the lines of CMake and puts the last ones into the error", async () => {
    writeFileSync(
      join(root, "CMakeLists.txt"),
      'cmake_minimum_required(VERSION 3.20)\nmessage(FATAL_ERROR "broken on purpose")',
    );
    const lines: string[] = [];
    await expect(buildAddon({ root, onLine: (line) => lines.push(line) })).rejects.toThrow(
      /broken on purpose/,
    );
    expect(lines.join("\n")).toContain("broken on purpose");
  });

  it("starts over when the cache belongs to another folder, and builds an addon that loads", async () => {
    mkdirSync(join(root, "build/cmake"), { recursive: true });
    writeFileSync(join(root, "build/cmake/CMakeCache.txt"), "CMAKE_HOME_DIRECTORY:INTERNAL=/elsewhere\n");
    writeFileSync(
      join(root, "addon.c"),
      "void* napi_register_module_v1(void* env, void* exports) { (void)env; return exports; }\n",
    );
    writeFileSync(
      join(root, "CMakeLists.txt"),
      `cmake_minimum_required(VERSION 3.20)
project(x LANGUAGES C)
add_library(anneal MODULE addon.c)
set_target_properties(anneal PROPERTIES PREFIX "" SUFFIX .node LIBRARY_OUTPUT_DIRECTORY ${root}/build/Release)
`,
    );
    const lines: string[] = [];
    const result = await buildAddon({ root, onLine: (line) => lines.push(line) });
    expect(result.path).toBe(join(root, "build/Release/anneal.node"));
    expect(result.seconds).toBeGreaterThan(0);
    expect(lines).toContain("Configuring again without the old cache.");
    expect(loadAddon({ root, env: {} })).toEqual({});
  });

  it("does not accept an addon that does not load", async () => {
    mkdirSync(join(root, "build/Release"), { recursive: true });
    writeFileSync(join(root, "build/Release/anneal.node"), "damaged");
    writeFileSync(
      join(root, "CMakeLists.txt"),
      "cmake_minimum_required(VERSION 3.20)\nproject(x LANGUAGES NONE)\n",
    );
    await expect(buildAddon({ root })).rejects.toThrow(/was built but does not load/);
  });
});
