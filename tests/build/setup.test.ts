import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  buildNeeds,
  buildPercent,
  choosePackageManager,
  commandToPaste,
  compareVersions,
  countTests,
  describeNeeds,
  findOnPath,
  installCommands,
  listFiles,
  missingNeeds,
  modulesProblem,
  NEEDS,
  nodeProblem,
  packagesFor,
  parseVersion,
  permission,
  permissionMessage,
  stampOf,
  summaryLine,
} from "../../scripts/setup-lib.mjs";

describe("versions", () => {
  it("reads the first dotted number of a text", () => {
    expect(parseVersion("cmake version 3.25.1\n\nCMake suite")).toBe("3.25.1");
    expect(parseVersion("Debian clang-format version 14.0.6")).toBe("14.0.6");
    expect(parseVersion("no number")).toBeUndefined();
  });

  it.each([
    ["3.9", "3.20", -1],
    ["3.20", "3.20.0", 0],
    ["4.0", "3.99.9", 1],
    ["20.19.0", "20.19", 0],
  ])("compares %s with %s", (a, b, sign) => {
    expect(Math.sign(compareVersions(a, b))).toBe(sign);
  });

  it("asks for a newer Node only when it is too old", () => {
    expect(nodeProblem("20.19.0", ">=20.19")).toBeUndefined();
    expect(nodeProblem("22.1.0", ">=20.19")).toBeUndefined();
    expect(nodeProblem("18.20.4", ">=20.19")).toMatch(/Node 18\.20\.4 is too old.*20\.19 or newer/);
  });
});

describe("needs of a build", () => {
  const probe = (programs: string[], cmakeVersion?: string, files: string[] = [], env = {}) => ({
    env,
    has: (name: string) => programs.includes(name),
    exists: (path: string) => files.includes(path),
    cmakeVersion,
  });
  const libomp = "/opt/homebrew/opt/libomp/include/omp.h";

  it("include OpenMP only where the system's compiler lacks it", () => {
    expect(buildNeeds("linux")).toEqual(["compiler", "make", "cmake"]);
    expect(buildNeeds("darwin")).toEqual(["compiler", "make", "cmake", "openmp"]);
  });

  it("are all missing on a bare machine and none on a complete one", () => {
    expect(missingNeeds(probe([]), NEEDS)).toEqual(NEEDS);
    const complete = probe(["g++", "make", "clang-format", "clang++-19"], "3.20.0", [libomp]);
    expect(missingNeeds(complete, NEEDS)).toEqual([]);
  });

  it("take clang++ for g++, ninja for make, and $CXX for both compilers", () => {
    expect(missingNeeds(probe(["clang++", "ninja"]), ["compiler", "make"])).toEqual([]);
    expect(missingNeeds(probe([], undefined, [], { CXX: "/opt/bin/c++" }), ["compiler"])).toEqual([]);
  });

  it("count an old cmake as missing", () => {
    expect(missingNeeds(probe(["cmake"], "3.16.3"), ["cmake"])).toEqual(["cmake"]);
  });

  it("take libomp of either Homebrew prefix, and leave OpenMP to whoever sets $CXX", () => {
    const intel = probe([], undefined, ["/usr/local/opt/libomp/include/omp.h"]);
    expect(missingNeeds(intel, ["openmp"])).toEqual([]);
    expect(missingNeeds(probe([], undefined, [], { CXX: "g++-14" }), ["openmp"])).toEqual([]);
    expect(missingNeeds(probe(["clang++"]), ["openmp"])).toEqual(["openmp"]);
  });

  it("are named for a person", () => {
    expect(describeNeeds(["compiler", "make", "openmp"])).toBe(
      "a C++ compiler (g++ or clang++), make or ninja and the OpenMP runtime (libomp)",
    );
    expect(describeNeeds(["cmake"])).toBe("cmake 3.20 or newer");
  });
});

describe("installing system packages", () => {
  it.each([
    ["apt-get", "linux", "g++ make cmake"],
    ["dnf", "linux", "gcc-c++ make cmake"],
    ["pacman", "linux", "gcc make cmake"],
    ["brew", "darwin", "ninja cmake libomp"],
  ])("knows the packages of %s", (manager, platform, packages) => {
    expect(choosePackageManager((name: string) => name === manager)).toBe(manager);
    expect(packagesFor(manager, buildNeeds(platform)).join(" ")).toBe(packages);
  });

  it("finds no manager where there is none", () => {
    expect(choosePackageManager(() => false)).toBeUndefined();
  });

  it("is allowed to root, to passwordless sudo, and to Homebrew's user", () => {
    const never = () => {
      throw new Error("sudo must not be asked");
    };
    expect(permission("apt-get", { uid: 0, passwordlessSudo: never })).toBe("direct");
    expect(permission("apt-get", { uid: 1000, passwordlessSudo: () => true })).toBe("sudo");
    expect(permission("dnf", { uid: 1000, passwordlessSudo: () => false })).toBe("none");
    expect(permission("brew", { uid: 501, passwordlessSudo: never })).toBe("direct");
    expect(permission("brew", { uid: 0, passwordlessSudo: never })).toBe("none");
  });

  it("composes commands, through sudo -n where needed", () => {
    expect(installCommands("apt-get", ["g++"])).toEqual([
      ["apt-get", "update"],
      ["apt-get", "install", "-y", "--no-install-recommends", "g++"],
    ]);
    expect(installCommands("dnf", ["cmake"], true)).toEqual([
      ["sudo", "-n", "dnf", "install", "-y", "cmake"],
    ]);
  });

  it("prints the exact command to a user who may not install", () => {
    const message = permissionMessage("apt-get", buildNeeds("linux"), 1000);
    expect(message).toContain(
      "    sudo apt-get update && sudo apt-get install -y --no-install-recommends g++ make cmake\n",
    );
    expect(message).toContain("Missing: a C++ compiler");
    expect(permissionMessage("dnf", ["cmake"], 1000)).toContain("    sudo dnf install -y cmake\n");
    expect(permissionMessage(undefined, ["make"], 1000)).toContain("your system's package manager");
  });

  it("names Xcode's tools for a Mac without a compiler", () => {
    expect(commandToPaste("brew", ["compiler", "cmake"], 501)).toBe(
      "xcode-select --install && brew install cmake",
    );
    expect(commandToPaste("brew", ["compiler"], 501)).toBe("xcode-select --install");
  });
});

describe("npm packages", () => {
  const lock = {
    packages: {
      "": { version: "0.1.0" },
      "node_modules/a": { version: "1.0.0" },
      "node_modules/a/node_modules/b": { version: "2.0.0" },
      "node_modules/other-platform": { version: "1.0.0", optional: true },
    },
  };
  const installed = (a: string, b?: string) => ({
    packages: {
      "node_modules/a": { version: a },
      ...(b && { "node_modules/a/node_modules/b": { version: b } }),
    },
  });

  it("are missing, of another version, incomplete, or right", () => {
    expect(modulesProblem(lock, undefined)).toBe("node_modules is missing");
    expect(modulesProblem(lock, installed("1.1.0", "2.0.0"))).toBe("a is 1.1.0, the lock file has 1.0.0");
    expect(modulesProblem(lock, installed("1.0.0"))).toBe("b is missing, the lock file has 2.0.0");
    expect(modulesProblem(lock, installed("1.0.0", "2.0.0"))).toBeUndefined();
  });
});

describe("files and stamps", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "anneal-setup-"));
    mkdirSync(join(folder, "native/core"), { recursive: true });
    writeFileSync(join(folder, "native/core/a.h"), "int a;");
    writeFileSync(join(folder, "CMakeLists.txt"), "project(x)");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("lists files below a folder, a file alone, and nothing", () => {
    expect(listFiles(join(folder, "native"))).toEqual([join(folder, "native/core/a.h")]);
    expect(listFiles(join(folder, "CMakeLists.txt"))).toEqual([join(folder, "CMakeLists.txt")]);
    expect(listFiles(join(folder, "absent"))).toEqual([]);
  });

  it("change with contents, names and facts, and with nothing else", () => {
    const stamp = (facts = {}) => stampOf(folder, ["native", "CMakeLists.txt"], facts);
    const first = stamp();
    writeFileSync(join(folder, "README.md"), "not part of it");
    expect(stamp()).toBe(first);
    expect(stamp({ compiler: "13" })).not.toBe(first);
    writeFileSync(join(folder, "native/core/a.h"), "int b;");
    expect(stamp()).not.toBe(first);
    writeFileSync(join(folder, "native/core/a.h"), "int a;");
    expect(stamp()).toBe(first);
    writeFileSync(join(folder, "native/core/b.h"), "");
    expect(stamp()).not.toBe(first);
  });

  it("finds executables on PATH and passes over plain files", () => {
    writeFileSync(join(folder, "tool"), "#!/bin/sh\n", { mode: 0o755 });
    writeFileSync(join(folder, "note"), "", { mode: 0o644 });
    const env = { PATH: `/nowhere:${folder}` };
    expect(findOnPath("tool", env)).toBe(join(folder, "tool"));
    expect(findOnPath("note", env)).toBeUndefined();
    expect(findOnPath("native", env)).toBeUndefined();
  });
});

describe("the progress of a build", () => {
  it.each([
    ["[0/2] Re-checking globbed directories...", 0],
    ["[19/76] Building CXX object x.cc.o", 25],
    ["[76/76] Linking CXX shared module anneal.node", 100],
    ["[  7%] Building CXX object x.cc.o", 7],
    ["[100%] Built target anneal", 100],
    ["x.cc:3:1: warning: [3/4] is no progress", undefined],
    ["", undefined],
  ])("is read from %j", (line, percent) => {
    expect(buildPercent(line)).toBe(percent);
  });
});

describe("the summary of a test run", () => {
  it("is one line that counts a file which did not load as one failure", () => {
    const report = {
      numPassedTests: 7,
      numFailedTests: 1,
      testResults: [
        { status: "passed", assertionResults: [{ status: "passed" }] },
        { status: "failed", assertionResults: [{ status: "failed" }] },
        { status: "failed", assertionResults: [] },
      ],
    };
    const { passed, failed } = countTests(report);
    expect(summaryLine(passed, failed)).toBe("7 passed, 2 failed");
  });
});
