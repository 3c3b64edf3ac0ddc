/**
 * Tests of native/cuda/host, the GPU backend's choices of tiles, splits and chunks: plain C++ functions, compiled here with the system's
 * compiler into a small program that answers on its standard output. They need neither a GPU nor a CUDA toolkit.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const NATIVE = fileURLToPath(new URL("../../../native", import.meta.url));

/**
 * Compiles a source file of this folder and runs it once.
 * @param source name of the file
 * @param input lines on standard input, each a row of numbers
 * @param sources files under native/ to compile with it
 * @returns the lines of its output as rows of numbers
 */
export function runHostProgram(
  source: string,
  input: readonly (readonly number[])[],
  sources: readonly string[] = [],
): number[][] {
  const folder = mkdtempSync(join(tmpdir(), "anneal-host-"));
  try {
    const program = join(folder, "program");
    const flags = ["-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-I", NATIVE];
    const files = [join(HERE, source), ...sources.map((name) => join(NATIVE, name))];
    execFileSync(process.env.CXX || "c++", [...flags, ...files, "-o", program], { stdio: "pipe" });
    const text = input.map((row) => row.join(" ")).join("\n");
    const output = execFileSync(program, { input: `${text}\n`, encoding: "utf8" });
    return output
      .trim()
      .split("\n")
      .map((line) => line.trim().split(/\s+/).map(Number));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
