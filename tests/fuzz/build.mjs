/** Finds a clang with libFuzzer and builds with it. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { CLANGS } from "../../scripts/setup-lib.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The output of a program, trimmed; undefined when it fails. */
function ask(program, ...args) {
  const { status, stdout } = spawnSync(program, args, { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

/**
 * A clang++ and the library of libFuzzer without a main function; undefined where there is none.
 * @returns {{ compiler: string, library: string } | undefined}
 */
export function findClang() {
  for (const name of CLANGS) {
    const compiler = process.env.PATH?.split(delimiter)
      .map((folder) => join(folder, name))
      .find(existsSync);
    if (compiler === undefined) continue;
    const architecture = process.arch === "x64" ? "x86_64" : "aarch64";
    for (const file of [`libclang_rt.fuzzer_no_main-${architecture}.a`, "libclang_rt.fuzzer_no_main.a"]) {
      const library = ask(compiler, `--print-file-name=${file}`);
      if (library !== undefined && existsSync(library)) return { compiler, library };
      const folder = ask(compiler, "--print-runtime-dir");
      if (folder !== undefined && existsSync(join(folder, file)))
        return { compiler, library: join(folder, file) };
    }
  }
  return undefined;
}

/** Runs a compiler; its words are the error when it fails. */
function compile(compiler, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(compiler, args, { cwd: ROOT, stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.on("data", (chunk) => (stderr += chunk));
    child.on("error", reject);
    child.on("close", (status) =>
      status === 0 ? resolve() : reject(new Error(`${compiler} ${args.join(" ")}\n${stderr}`)),
    );
  });
}

/** Builds the addon that runs libFuzzer inside Node. */
export function buildDriver({ compiler, library }, output) {
  mkdirSync(dirname(output), { recursive: true });
  return compile(compiler, [
    "-std=c++20",
    "-O1",
    "-fPIC",
    "-shared",
    "-DNAPI_VERSION=9",
    "-DNODE_ADDON_API_CPP_EXCEPTIONS",
    "-Inode_modules/node-addon-api",
    "-Inode_modules/node-api-headers/include",
    "tests/fuzz/driver.cc",
    library,
    "-lpthread",
    "-o",
    output,
  ]);
}

/** Builds a native target with AddressSanitizer and UndefinedBehaviorSanitizer; as many files at a time as there are cores. */
export async function buildNative({ compiler }, sources, output) {
  const objects = `${output}.objects`;
  mkdirSync(objects, { recursive: true });
  const sanitizers = ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"];
  const flags = ["-std=c++20", "-O1", "-gline-tables-only", ...sanitizers, "-Inative"];
  const waiting = sources.map((source, index) => [source, join(objects, `${index}.o`)]);
  const files = waiting.map(([, object]) => object);
  const work = async () => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      await compile(compiler, [...flags, "-c", next[0], "-o", next[1]]);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  await compile(compiler, [...sanitizers, ...files, "-lpthread", "-o", output]);
}
