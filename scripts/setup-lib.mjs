/**
 * What the set-up script decides, as functions without side effects on the system: versions, which tools are
 * missing, which package manager installs them and with which command, and when a step is out of date.
 * Plain JavaScript for Node alone: it runs before any npm package is there.
 */
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";

/** The oldest CMake that CMakeLists.txt accepts. */
export const CMAKE_MINIMUM = "3.20";

/** Everything that may be needed, in the order in which it is reported; the last two are only for contributors. */
export const NEEDS = ["compiler", "make", "cmake", "openmp", "clang-format", "fuzzer"];

/** What only contributors need. Without it something is left out, which then says so. */
export const CONTRIBUTOR_NEEDS = ["clang-format", "fuzzer"];

/** The names under which clang++ is installed. */
export const CLANGS = ["clang++", ...Array.from({ length: 12 }, (_, i) => `clang++-${25 - i}`)];

/**
 * What compiling the addon needs; Apple's compiler has no OpenMP runtime of its own.
 * @param {string} platform as in process.platform
 */
export function buildNeeds(platform = process.platform) {
  return ["compiler", "make", "cmake", ...(platform === "darwin" ? ["openmp"] : [])];
}

/** What a person calls each need. */
const NEED_NAMES = {
  compiler: "a C++ compiler (g++ or clang++)",
  make: "make or ninja",
  cmake: `cmake ${CMAKE_MINIMUM} or newer`,
  openmp: "the OpenMP runtime (libomp)",
  "clang-format": "clang-format",
  fuzzer: "clang with libFuzzer",
};

/** Packages per manager. A need without packages cannot be installed with that manager. */
const PACKAGES = {
  "apt-get": {
    compiler: ["g++"],
    make: ["make"],
    cmake: ["cmake"],
    openmp: [],
    "clang-format": ["clang-format"],
    fuzzer: ["clang", "libclang-rt-dev"],
  },
  dnf: {
    compiler: ["gcc-c++"],
    make: ["make"],
    cmake: ["cmake"],
    openmp: [],
    "clang-format": ["clang-tools-extra"],
    fuzzer: ["clang", "compiler-rt"],
  },
  pacman: {
    compiler: ["gcc"],
    make: ["make"],
    cmake: ["cmake"],
    openmp: [],
    "clang-format": ["clang"],
    fuzzer: ["clang", "compiler-rt"],
  },
  brew: {
    compiler: [],
    make: ["ninja"],
    cmake: ["cmake"],
    openmp: ["libomp"],
    "clang-format": ["clang-format"],
    fuzzer: ["llvm"],
  },
};

/** The first dotted number in a text such as `cmake version 3.25.1`, or undefined. */
export function parseVersion(text) {
  return /\d+(\.\d+)+/.exec(text)?.[0];
}

/** Negative, zero or positive as version `a` is older than, equal to or newer than `b`; missing parts count as 0. */
export function compareVersions(a, b) {
  const left = a.split(".").map(Number);
  const right = b.split(".").map(Number);
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) {
      return difference;
    }
  }
  return 0;
}

/** A sentence with the fix when `version` of Node is older than the `engines` range `>=x.y` asks, else undefined. */
export function nodeProblem(version, engines) {
  const minimum = parseVersion(engines);
  if (minimum === undefined || compareVersions(version, minimum) >= 0) {
    return undefined;
  }
  return `Node ${version} is too old: anneal needs Node ${minimum} or newer. Install it from https://nodejs.org or with your version manager.`;
}

/** The full path of an executable on PATH, or undefined. */
export function findOnPath(name, env = process.env, platform = process.platform) {
  const suffixes = platform === "win32" ? [".exe", ".cmd", ".bat"] : [""];
  for (const folder of (env.PATH ?? "").split(delimiter).filter(Boolean)) {
    for (const suffix of suffixes) {
      const path = join(folder, name + suffix);
      try {
        accessSync(path, constants.X_OK);
        if (statSync(path).isFile()) {
          return path;
        }
      } catch {
        // Not in this folder.
      }
    }
  }
  return undefined;
}

/** Where Homebrew keeps libomp; CMakeLists.txt looks in the same folders. */
const LIBOMP_FOLDERS = ["/opt/homebrew/opt/libomp", "/usr/local/opt/libomp"];

/**
 * The needs that are not met.
 * @param probe `has(name)`: is this program on PATH; `cmakeVersion`: of the one found; `exists(path)`; `env`
 * @param needs which of NEEDS to look at
 */
export function missingNeeds(probe, needs) {
  const met = {
    compiler: () => probe.env.CXX !== undefined || probe.has("g++") || probe.has("clang++"),
    make: () => probe.has("make") || probe.has("ninja"),
    cmake: () => probe.cmakeVersion !== undefined && compareVersions(probe.cmakeVersion, CMAKE_MINIMUM) >= 0,
    // Whoever chooses the compiler also answers for its OpenMP.
    openmp: () =>
      probe.env.CXX !== undefined ||
      LIBOMP_FOLDERS.some((folder) => probe.exists(join(folder, "include/omp.h"))),
    "clang-format": () => probe.has("clang-format"),
    fuzzer: () => CLANGS.some(probe.has),
  };
  return needs.filter((need) => !met[need]());
}

/** `a, b and c` for a list of needs. */
export function describeNeeds(needs) {
  const names = needs.map((need) => NEED_NAMES[need]);
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/** The package manager to use: one of `apt-get`, `dnf`, `pacman`, `brew`, or undefined where none of them is. */
export function choosePackageManager(has) {
  return Object.keys(PACKAGES).find((name) => has(name));
}

/** The packages of `manager` that meet `needs`, without duplicates. */
export function packagesFor(manager, needs) {
  return [...new Set(needs.flatMap((need) => PACKAGES[manager][need]))];
}

/**
 * How this process may install system packages: `direct`, `sudo`, or `none` (a person has to).
 * @param who `uid` (undefined on Windows); `passwordlessSudo()`, called only when it matters
 */
export function permission(manager, who) {
  if (manager === "brew") {
    // Homebrew installs into the user's own prefix and refuses to run as root.
    return who.uid === 0 ? "none" : "direct";
  }
  if (who.uid === 0) {
    return "direct";
  }
  return who.passwordlessSudo() ? "sudo" : "none";
}

/** The commands that install `packages`, each as [program, ...arguments]; with `sudo`, run through `sudo -n`. */
export function installCommands(manager, packages, sudo = false) {
  const plain = {
    "apt-get": [
      ["apt-get", "update"],
      ["apt-get", "install", "-y", "--no-install-recommends", ...packages],
    ],
    dnf: [["dnf", "install", "-y", ...packages]],
    pacman: [["pacman", "-Sy", "--needed", "--noconfirm", ...packages]],
    brew: [["brew", "install", ...packages]],
  }[manager];
  return sudo ? plain.map((command) => ["sudo", "-n", ...command]) : plain;
}

/** The line a person can paste to install what `needs` names. */
export function commandToPaste(manager, needs, uid) {
  const prefix = uid === 0 || manager === "brew" ? "" : "sudo ";
  const commands = installCommands(manager, packagesFor(manager, needs)).map(
    (command) => prefix + command.join(" "),
  );
  if (manager === "brew" && needs.includes("compiler")) {
    commands.unshift("xcode-select --install");
  }
  return commands.filter((command) => command !== "brew install").join(" && ");
}

/** The message for needs that this process cannot meet itself: what is missing and the exact command. */
export function permissionMessage(manager, needs, uid) {
  const lines = [`Missing: ${describeNeeds(needs)}.`];
  if (manager === undefined) {
    lines.push("Install it with your system's package manager, then run this again.");
  } else {
    lines.push("This user may not install system packages. Run this, then start again:", "");
    lines.push(`    ${commandToPaste(manager, needs, uid)}`, "");
  }
  return lines.join("\n");
}

/**
 * Why node_modules does not fit the lock file, or undefined when it does.
 * @param lock parsed package-lock.json
 * @param installed parsed node_modules/.package-lock.json, or undefined where there is none
 */
export function modulesProblem(lock, installed) {
  if (installed === undefined) {
    return "node_modules is missing";
  }
  for (const [path, entry] of Object.entries(lock.packages)) {
    const present = installed.packages[path];
    if (path === "" || (present === undefined && (entry.optional || entry.peer))) {
      continue;
    }
    if (present?.version !== entry.version) {
      return `${path.replace(/^.*node_modules\//, "")} is ${present?.version ?? "missing"}, the lock file has ${entry.version}`;
    }
  }
  return undefined;
}

/** All files under `folder` (or the file itself), sorted, as paths; empty when it does not exist. */
export function listFiles(folder) {
  if (!existsSync(folder)) {
    return [];
  }
  if (statSync(folder).isFile()) {
    return [folder];
  }
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

/** A hash over the names and contents of files and over further facts, such as tool versions. */
export function stampOf(root, paths, facts = {}) {
  const hash = createHash("sha256").update(JSON.stringify(facts));
  for (const file of paths.flatMap((path) => listFiles(join(root, path)))) {
    hash.update(`\0${file.slice(root.length)}\0`).update(readFileSync(file));
  }
  return hash.digest("hex");
}

/** How much of a build is done, in percent, from a line of Ninja (`[3/40] …`) or make (`[  7%] …`); else undefined. */
export function buildPercent(line) {
  const steps = /^\[(\d+)\/(\d+)\] /.exec(line);
  if (steps !== null) {
    return Math.floor((100 * Number(steps[1])) / Number(steps[2]));
  }
  const percent = /^\[ *(\d+)%\] /.exec(line);
  return percent === null ? undefined : Number(percent[1]);
}

/** The last line of a test run, which scripts read. */
export function summaryLine(passed, failed) {
  return `${passed} passed, ${failed} failed`;
}

/**
 * Counts of a vitest JSON report. A file that could not be loaded counts as one failure.
 * @returns passed and failed
 */
export function countTests(report) {
  const broken = report.testResults.filter(
    (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
  );
  return { passed: report.numPassedTests, failed: report.numFailedTests + broken.length };
}
