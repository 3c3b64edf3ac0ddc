/**
 * `npm run bundle`: makes one archive with everything that a machine without network needs to test and measure the
 * kernels: Node itself, compiled JavaScript, its packages, the addon and the backends with their libraries, the tests with
 * their runner, and the benchmarks. Unpack it and call `./run.sh test`, `./run.sh bench` or `./run.sh sanitize`.
 * Usage: node scripts/bundle.mjs [--out FILE.tar.xz]
 */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { packageClosure, runtimeLibraries } from "./bundle-lib.mjs";
import { ROOT, report, trySetup } from "./setup.mjs";

const NAME = "anneal-bundle";
/** Largest archive that is easily carried to a cluster's node, in bytes. */
const LIMIT = 60e6;
const STAGE = join(ROOT, "build/bundle", NAME);

const { values } = parseArgs({ options: { out: { type: "string" } } });
const out = resolve(values.out ?? join(ROOT, "build", `${NAME}-${process.platform}-${process.arch}.tar.xz`));

/** Output of a program, or undefined where it fails. */
function outputOf(program, ...args) {
  try {
    return execFileSync(program, args, {
      cwd: ROOT,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return undefined;
  }
}

function stageNode() {
  mkdirSync(join(STAGE, "bin"), { recursive: true });
  copyFileSync(process.execPath, join(STAGE, "bin/node"));
  chmodSync(join(STAGE, "bin/node"), 0o755);
}

/** Packages that run the library and its tests; what only formats or compiles stays out. */
function stagePackages() {
  const roots = [
    ...Object.keys(JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")).dependencies),
    "vitest",
  ];
  const folders = packageClosure(join(ROOT, "node_modules"), roots);
  for (const folder of folders) {
    cpSync(join(ROOT, "node_modules", folder), join(STAGE, "node_modules", folder), { recursive: true });
  }
  return folders.length;
}

/** The compiled files, and the shared libraries that a bare system may lack. */
function stageNative() {
  const release = join(ROOT, "build/Release");
  mkdirSync(join(STAGE, "build/Release"), { recursive: true });
  mkdirSync(join(STAGE, "lib64"), { recursive: true });
  const names = readdirSync(release).filter((name) => /\.(node|so)$/.test(name) || name === "simt_controls");
  for (const name of names) {
    copyFileSync(join(release, name), join(STAGE, "build/Release", name));
    chmodSync(join(STAGE, "build/Release", name), 0o755);
    for (const library of runtimeLibraries(outputOf("ldd", join(release, name)) ?? "")) {
      copyFileSync(library, join(STAGE, "lib64", basename(library)));
    }
  }
  return names;
}

function stageSources() {
  for (const path of [
    "dist",
    "lib",
    "bench",
    "tests",
    "package.json",
    "tsconfig.json",
    "vitest.config.ts",
    "LICENSE",
  ]) {
    cpSync(join(ROOT, path), join(STAGE, path), { recursive: true });
  }
  copyFileSync(join(ROOT, "scripts/bundle-run.sh"), join(STAGE, "run.sh"));
  chmodSync(join(STAGE, "run.sh"), 0o755);
}

if (!(await trySetup({ dev: true }))) process.exit(1);
rmSync(dirname(STAGE), { recursive: true, force: true });
stageNode();
stageSources();
report(`bundle: ${stagePackages()} packages`);
const native = stageNative();
if (!existsSync(join(STAGE, "build/Release/libanneal_cuda.so"))) {
  report("bundle: without the CUDA backend, because nvcc was not found; it serves cpu and simt only");
}
const facts = {
  commit: outputOf("git", "rev-parse", "HEAD"),
  changed: outputOf("git", "status", "--porcelain") !== "",
  date: new Date().toISOString(),
  node: process.versions.node,
  nvcc: /release [\d.]+/.exec(outputOf("nvcc", "--version") ?? "")?.[0],
  native,
};
writeFileSync(join(STAGE, "bundle.json"), `${JSON.stringify(facts, null, 2)}\n`);
report("bundle: compressing");
mkdirSync(dirname(out), { recursive: true });
execFileSync("tar", ["-C", dirname(STAGE), "-cf", out, "-I", "xz -6 -T0", NAME], { stdio: "inherit" });
rmSync(dirname(STAGE), { recursive: true, force: true });
const { size } = statSync(out);
report(`bundle: ${out}, ${(size / 1e6).toFixed(1)} MB`);
if (size > LIMIT) {
  console.error(`The bundle has ${(size / 1e6).toFixed(1)} MB; it must stay below ${LIMIT / 1e6} MB.`);
  process.exitCode = 1;
}
