/**
 * Fuzzing of the readers with libFuzzer: readers in TypeScript run inside Node with counters (run.mjs), native ones as
 * programs with AddressSanitizer. Inputs that found something new are kept under build/fuzz/found; what is worth it
 * moves to corpus/. Usage: node tests/fuzz/fuzz.mjs [TARGET …] [--seconds 60] [--seed N]
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { buildDriver, buildNative, findClang } from "./build.mjs";

const ROOM = fileURLToPath(new URL(".", import.meta.url));
const ROOT = join(ROOM, "../..");
const BUILD = join(ROOT, "build/fuzz");

/** Sources of the native targets besides their own, as folders under native/text and files. */
const NATIVE_SOURCES = {
  tokenizer_json: ["tokenizer", "json", "model", "normalize", "pretokenize", "regex", "unicode"],
};

/** Targets in JavaScript, by file, and native ones. */
export const TARGETS = [
  ...readdirSync(join(ROOM, "targets"))
    .filter((file) => file !== "reader.mjs")
    .map((file) => file.replace(".mjs", "")),
  ...Object.keys(NATIVE_SOURCES),
];

/** Runs `work` unless the files have the contents that they had when `output` was made. */
async function whenChanged(output, files, work) {
  const hash = createHash("sha256");
  for (const file of files) hash.update(file).update(readFileSync(file));
  const stamp = `${output}.stamp`;
  const digest = hash.digest("hex");
  if (existsSync(output) && existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;
  await work();
  writeFileSync(stamp, digest);
}

function nativeSources(name) {
  const text = join(ROOT, "native/text");
  const inFolders = NATIVE_SOURCES[name].flatMap((folder) =>
    readdirSync(join(text, folder)).map((file) => join(text, folder, file)),
  );
  return [join(ROOM, "native", `${name}.cc`), ...inFolders.sort()];
}

/** The program and first arguments of a target, built where needed. */
async function build(name, clang) {
  if (name in NATIVE_SOURCES) {
    const program = join(BUILD, name);
    const sources = nativeSources(name);
    await whenChanged(program, sources, () =>
      buildNative(
        clang,
        sources.filter((file) => file.endsWith(".cc")),
        program,
      ),
    );
    return [program];
  }
  const driver = join(BUILD, "driver.node");
  await whenChanged(driver, [join(ROOM, "driver.cc")], () => buildDriver(clang, driver));
  return [
    process.execPath,
    "--allow-natives-syntax",
    join(ROOM, "run.mjs"),
    name,
    join(BUILD, "work", name),
    driver,
  ];
}

/**
 * Fuzzes one target.
 * @param {string} name one of TARGETS
 * @param {{ seconds: number, seed?: number, keep?: boolean }} options `keep`: go on with, and add to, what earlier runs found
 * @returns {Promise<{ runs: number, failed: boolean, output: string }>} `output` is what libFuzzer said
 */
export async function fuzz(name, clang, { seconds, seed = 0, keep = false }) {
  const [program, ...first] = await build(name, clang);
  const artifacts = join(BUILD, "failures", name);
  const found = keep ? join(BUILD, "found", name) : mkdtempSync(join(tmpdir(), "anneal-fuzz-"));
  for (const folder of [artifacts, found]) mkdirSync(folder, { recursive: true });
  const dictionary = join(ROOM, "corpus", `${name}.dict`);
  const args = [
    ...first,
    `-max_total_time=${seconds}`,
    `-seed=${seed}`,
    `-artifact_prefix=${artifacts}/`,
    "-timeout=10",
    "-rss_limit_mb=2048",
    ...(existsSync(dictionary) ? [`-dict=${dictionary}`] : []),
    found,
    join(ROOM, "corpus", name),
  ];
  return new Promise((resolve, reject) => {
    const env = { ...process.env, ANNEAL_ADDON: join(ROOT, "build/Release/anneal.node") };
    const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (chunk) => (output += chunk));
    child.stderr.on("data", (chunk) => (output += chunk));
    child.on("error", reject);
    child.on("close", (code) => {
      if (!keep) rmSync(found, { recursive: true, force: true });
      const runs = Number(/Done (\d+) runs/.exec(output)?.[1] ?? 0);
      resolve({ runs, failed: code !== 0 || runs === 0, output });
    });
  });
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { seconds: { type: "string", default: "60" }, seed: { type: "string", default: "0" } },
  });
  const clang = findClang();
  if (clang === undefined)
    throw new Error("Fuzzing needs clang with libFuzzer: apt-get install clang libclang-rt-dev");
  const unknown = positionals.filter((name) => !TARGETS.includes(name));
  if (unknown.length > 0)
    throw new Error(`No target ${unknown.join(", ")}; there are ${TARGETS.join(", ")}.`);
  for (const name of positionals.length > 0 ? positionals : TARGETS) {
    const options = { seconds: Number(values.seconds), seed: Number(values.seed), keep: true };
    const { runs, failed, output } = await fuzz(name, clang, options);
    console.log(failed ? `${name}: FAILED\n${output.slice(-4000)}` : `${name}: ${runs} runs, nothing found`);
    if (failed) process.exitCode = 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main();
