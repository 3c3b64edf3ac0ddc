/**
 * Gets a fresh clone ready: npm packages, compiler and cmake, the compiled library and the addon.
 * Runs before `npm start` and `npm test`; when nothing changed since the last run it only compares hashes.
 * Usage: node scripts/setup.mjs [--dev] [--dist]   (--dev: formatter too; --dist: only packages and dist/)
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import {
  buildNeeds,
  buildPercent,
  CONTRIBUTOR_NEEDS,
  choosePackageManager,
  describeNeeds,
  findOnPath,
  installCommands,
  listFiles,
  missingNeeds,
  modulesProblem,
  nodeProblem,
  packagesFor,
  parseVersion,
  permission,
  permissionMessage,
  stampOf,
} from "./setup-lib.mjs";

/** The repository's root folder. */
export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const STAMP_FILE = join(ROOT, "build/setup.json");
const ADDON_FILE = join(ROOT, "build/Release/anneal.node");
const startedAt = performance.now();

/** A step cannot go on; the message says what a person has to do. */
export class SetupError extends Error {}

/** Prints one progress line with the time since the start. */
export function report(line) {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1).padStart(6);
  console.log(`setup ${seconds} s  ${line}`);
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

function saveStamp(stamp) {
  mkdirSync(dirname(STAMP_FILE), { recursive: true });
  writeFileSync(STAMP_FILE, JSON.stringify(stamp, null, 2));
}

/** Runs a program quietly; its output is shown only when it fails. Resolves to whether it succeeded. */
function runQuietly(command, env = process.env) {
  return new Promise((resolve) => {
    const child = spawn(command[0], command.slice(1), { cwd: ROOT, env, stdio: ["ignore", "pipe", "pipe"] });
    const output = [];
    child.stdout.on("data", (chunk) => output.push(chunk));
    child.stderr.on("data", (chunk) => output.push(chunk));
    child.on("error", (error) => output.push(Buffer.from(String(error))));
    child.on("close", (code) => {
      if (code !== 0) {
        const text = Buffer.concat(output).toString().trimEnd().split("\n").slice(-60).join("\n");
        console.error(`$ ${command.join(" ")}\n${text}`);
      }
      resolve(code === 0);
    });
  });
}

/** Whether a process with this id runs; one that has ended and was not waited for (a zombie) does not. */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== "EPERM") return false;
  }
  const stat = `/proc/${pid}/stat`;
  return !existsSync(stat) || !/\) [ZX] /.test(readFileSync(stat, "latin1"));
}

/** Runs `work` while no other set-up of this folder runs: two compilations at once would spoil each other's files. */
async function alone(work) {
  const lock = join(ROOT, "build/setup.lock");
  mkdirSync(dirname(lock), { recursive: true });
  for (let waited = false; ; waited = true) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") {
        throw error;
      }
    }
    const owner = Number(existsSync(lock) ? readFileSync(lock, "utf8") : 0);
    if (owner > 0 && !isAlive(owner)) {
      rmSync(lock, { force: true });
      continue;
    }
    if (!waited) {
      report(`waiting for the set-up of process ${owner}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

/** Size and time of a file, to notice that it changed; undefined when it is not there. */
function fingerprint(path) {
  const stats = path === undefined ? undefined : statSync(path, { throwIfNoEntry: false });
  return stats && `${path} ${stats.size} ${stats.mtimeMs}`;
}

async function setupModules(stamp) {
  const hiddenLock = join(ROOT, "node_modules/.package-lock.json");
  const lockHash = stampOf(ROOT, ["package-lock.json"]);
  const current = () => `${lockHash} ${fingerprint(hiddenLock)}`;
  if (stamp.modules === current() && existsSync(hiddenLock)) {
    return false;
  }
  const problem = modulesProblem(readJson(join(ROOT, "package-lock.json")), readJson(hiddenLock));
  if (problem !== undefined) {
    report(`npm packages: installing (${problem})`);
    const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ["npm"];
    if (!(await runQuietly([...npm, "ci", "--no-audit", "--no-fund"]))) {
      throw new SetupError("The npm packages could not be installed. Check the network and run `npm ci`.");
    }
  }
  report(`npm packages: ${problem === undefined ? "up to date" : "installed"}`);
  stamp.modules = current();
  saveStamp(stamp);
  return true;
}

function probeTools() {
  const cmake = findOnPath("cmake");
  const version = cmake && spawnSync(cmake, ["--version"], { encoding: "utf8" }).stdout;
  return {
    env: process.env,
    has: (name) => findOnPath(name) !== undefined,
    exists: existsSync,
    cmakeVersion: version && parseVersion(version),
  };
}

/** Installs what `needs` names where this user may; returns the needs that are still not met. */
async function installTools(needs) {
  const has = (name) => findOnPath(name) !== undefined;
  const manager = choosePackageManager(has);
  const uid = process.getuid?.();
  const may =
    manager &&
    permission(manager, {
      uid,
      passwordlessSudo: () => has("sudo") && spawnSync("sudo", ["-n", "true"]).status === 0,
    });
  const required = needs.filter((need) => !CONTRIBUTOR_NEEDS.includes(need));
  if (manager === undefined || may === "none") {
    if (required.length > 0) {
      throw new SetupError(permissionMessage(manager, required, uid));
    }
    return needs;
  }
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const install = async (group) => {
    const packages = packagesFor(manager, group);
    if (packages.length === 0) {
      return;
    }
    report(`system packages: ${manager} installs ${packages.join(", ")}`);
    for (const command of installCommands(manager, packages, may === "sudo")) {
      if (!(await runQuietly(command, env))) {
        return;
      }
    }
  };
  await install(needs);
  const left = missingNeeds(probeTools(), needs);
  // One package that the system does not have makes the whole command fail: try each alone.
  for (const need of left.length > 0 && needs.length > 1 ? left : []) {
    await install([need]);
  }
  return missingNeeds(probeTools(), needs);
}

async function setupTools(needs) {
  const missing = missingNeeds(probeTools(), needs);
  if (missing.length === 0) {
    report(`system: ${needs.join(", ")} found`);
    return [];
  }
  report(`system: missing ${describeNeeds(missing)}`);
  const left = await installTools(missing);
  const fatal = left.filter((need) => !CONTRIBUTOR_NEEDS.includes(need));
  if (fatal.length > 0) {
    throw new SetupError(permissionMessage(undefined, fatal, process.getuid?.()));
  }
  return left;
}

/** Compiles lib/ into dist/ and removes what no longer has a source. Resolves to whether the types are right. */
async function buildDist() {
  const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
  const ok = await runQuietly([process.execPath, tsc, "-p", "tsconfig.build.json"]);
  const dist = join(ROOT, "dist");
  for (const file of listFiles(dist)) {
    const source = join(ROOT, "lib", file.slice(dist.length + 1).replace(/(\.d)?\.(js|ts)$/, ".ts"));
    if (!existsSync(source)) {
      rmSync(file);
    }
  }
  return ok;
}

async function setupDist(stamp) {
  const sources = listFiles(join(ROOT, "lib")).filter((file) => file.endsWith(".ts"));
  const current = stampOf(ROOT, ["lib", "tsconfig.json", "tsconfig.build.json"], { modules: stamp.modules });
  const outputs = sources.map((file) =>
    join(ROOT, "dist", file.slice(ROOT.length + 5).replace(/\.ts$/, ".js")),
  );
  if (stamp.dist === current && outputs.every(existsSync)) {
    return true;
  }
  const ok = await buildDist();
  report(`dist/: ${ok ? `compiled ${sources.length} files` : "compiled with type errors"}`);
  if (ok) {
    stamp.dist = current;
    saveStamp(stamp);
  }
  return ok;
}

/** Whether an NVIDIA driver is loaded; without one the CUDA backend is of use to contributors only. */
function hasDriver() {
  return existsSync("/proc/driver/nvidia/version") || existsSync("/dev/dxg");
}

async function setupAddon(stamp, dev) {
  const compilers = [process.env.CXX, "g++", "clang++", "cmake", "nvcc"].filter(Boolean);
  const { buildAddon, findNvcc } = await import(pathToFileURL(join(ROOT, "dist/native/build.js")).href);
  const cuda =
    findNvcc() !== undefined &&
    (dev || hasDriver() || existsSync(join(ROOT, "build/Release/libanneal_cuda.so")));
  // The interpreter of GPU kernels serves tests. What one set-up compiled, a later one keeps up to date.
  const simt = dev || existsSync(join(ROOT, "build/Release/libanneal_simt.so"));
  const current = stampOf(ROOT, ["native", "CMakeLists.txt"], {
    cuda,
    simt,
    platform: `${process.platform}-${process.arch}`,
    tools: compilers.map((name) => fingerprint(findOnPath(name))),
    modules: stamp.modules?.split(" ")[0],
  });
  if (stamp.addon === current && existsSync(ADDON_FILE)) {
    return;
  }
  await setupTools(buildNeeds());
  const jobs = availableParallelism();
  const parts = [
    "every instruction set",
    ...(cuda ? ["CUDA"] : []),
    ...(simt ? ["the kernel interpreter"] : []),
  ];
  report(`addon: compiling for ${parts.join(", ")}, ${jobs} at a time (takes minutes the first time)`);
  const lines = [];
  let shown = 0;
  const onLine = (line) => {
    lines.push(line);
    const percent = buildPercent(line) ?? 0;
    if (percent >= shown + 5) {
      shown = percent;
      report(`addon: ${percent} %`);
    }
  };
  try {
    await buildAddon({ jobs, cuda: cuda ? undefined : false, simt, onLine });
  } catch (error) {
    console.error(lines.slice(-60).join("\n"));
    throw new SetupError(`The addon could not be built: ${error.message}`);
  }
  report("addon: build/Release/anneal.node");
  stamp.addon = current;
  saveStamp(stamp);
}

/** Tries once to install what only contributors need; where it cannot be had, lint and fuzzing leave it out and say so. */
async function setupContributors(stamp) {
  stamp.contributors ??= {};
  const untried = CONTRIBUTOR_NEEDS.filter((need) => stamp.contributors[need] === undefined);
  if (untried.length === 0) {
    return;
  }
  const left = await setupTools(untried);
  for (const need of untried) {
    stamp.contributors[need] = left.includes(need) ? "not available" : "installed";
  }
  saveStamp(stamp);
}

/**
 * Brings everything up to date.
 * @param options `dev`: also what contributors need; `dist`: only npm packages and dist/
 * @throws SetupError with what to do
 */
export async function setup(options = {}) {
  const problem = nodeProblem(process.versions.node, readJson(join(ROOT, "package.json")).engines.node);
  if (problem !== undefined) {
    throw new SetupError(problem);
  }
  const stamp = readJson(STAMP_FILE) ?? {};
  const before = JSON.stringify(stamp);
  await setupModules(stamp);
  const typesRight = await setupDist(stamp);
  if (!options.dist) {
    await setupAddon(stamp, options.dev === true);
  }
  if (options.dev) {
    await setupContributors(stamp);
  }
  // `npm test` reports type errors itself, with the tests' own; everything else needs a sound library.
  if (!typesRight && !options.dev) {
    throw new SetupError("lib/ has type errors; see above.");
  }
  report(JSON.stringify(stamp) === before ? "everything is up to date" : "ready");
}

/** Runs `setup` for a script, one at a time: prints a SetupError without a stack and returns whether it went well. */
export async function trySetup(options) {
  try {
    await alone(() => setup(options));
    return true;
  } catch (error) {
    if (!(error instanceof SetupError)) {
      throw error;
    }
    console.error(`\n${error.message}`);
    return false;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const flags = process.argv.slice(2);
  process.exitCode = (await trySetup({ dev: flags.includes("--dev"), dist: flags.includes("--dist") }))
    ? 0
    : 1;
}
