/**
 * cuBLASLt as the CUDA backend uses it, without a GPU: how it is found, what is asked of it (a library that multiplies on the host stands in), and
 * that the hand-written declarations agree with its header.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const NATIVE = fileURLToPath(new URL("../../../native", import.meta.url));
const COMPILER = process.env.CXX || "c++";
const FLAGS = ["-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-I", NATIVE];

let folder = "";
let fake = "";
let program = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "anneal-cublaslt-"));
  fake = join(folder, "libcublasLt.so.13");
  program = join(folder, "program");
  execFileSync(COMPILER, [...FLAGS, "-shared", "-fPIC", join(HERE, "cublas_lt_fake.cc"), "-o", fake]);
  const sources = [
    join(HERE, "cublas_lt.cc"),
    join(NATIVE, "cuda/cublas_lt.cc"),
    join(NATIVE, "cuda/cublas_lt_library.cc"),
  ];
  execFileSync(COMPILER, [...FLAGS, "-I", join(HERE, "stand_in"), ...sources, "-o", program, "-ldl"]);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Output of the program with these variables and no others that it reads. */
function run(env: Record<string, string>, args: string[] = [], input = ""): string {
  const {
    ANNEAL_GEMM: _,
    ANNEAL_CUBLASLT: __,
    CUDA_HOME: ___,
    CUDA_PATH: ____,
    LD_LIBRARY_PATH: _____,
    ...rest
  } = process.env;
  return execFileSync(program, args, { env: { ...rest, ...env }, input, encoding: "utf8" }).trim();
}

describe("finding cuBLASLt", () => {
  it("takes the file that ANNEAL_CUBLASLT names", () => {
    expect(run({ ANNEAL_CUBLASLT: fake })).toBe(`1 cuBLASLt 13.2.3 (${fake})`);
  });

  it("asks the system's library path and the toolkit", () => {
    expect(run({ LD_LIBRARY_PATH: folder })).toBe(`1 cuBLASLt 13.2.3 (${fake})`);
  });

  it("looks nowhere else where a file is named", () => {
    const missing = join(folder, "none.so");
    expect(run({ ANNEAL_CUBLASLT: missing, LD_LIBRARY_PATH: folder })).toMatch(
      new RegExp(`^0 own kernels \\(${missing}: cannot open`),
    );
  });

  it("stays closed with ANNEAL_GEMM=own", () => {
    expect(run({ ANNEAL_GEMM: "own", ANNEAL_CUBLASLT: fake })).toBe("0 own kernels (ANNEAL_GEMM is own)");
  });

  it("is an error where ANNEAL_GEMM=cublaslt asks for it in vain, and so is another value", () => {
    const missing = join(folder, "none.so");
    expect(run({ ANNEAL_GEMM: "cublaslt", ANNEAL_CUBLASLT: missing })).toMatch(
      /^matmul: ANNEAL_GEMM asks for cuBLASLt, which is not there: .*none\.so/m,
    );
    expect(run({ ANNEAL_GEMM: "cublas" })).toMatch(
      /^matmul: ANNEAL_GEMM is "cublas"; expected "own" or "cublaslt"$/m,
    );
  });

  it("refuses a library without its functions", () => {
    expect(run({}, ["open", "libm.so.6"])).toBe("libm.so.6 has no function cublasLtGetVersion");
  });
});

describe("products by cuBLASLt", () => {
  const [QUEUED, NOT_SERVED] = [0, 1];
  const GELU_TANH = 3;
  interface Case {
    m: number;
    n: number;
    k: number;
    transA: number;
    transB: number;
    batch: number;
    sharedB: number;
    padding: number;
    alpha: number;
    beta: number;
    bias: number;
    activation: number;
    dtype: number;
    outDtype: number;
  }
  const base: Case = {
    ...{ m: 5, n: 7, k: 11, transA: 0, transB: 0, batch: 1, sharedB: 0, padding: 0 },
    ...{ alpha: 1, beta: 0, bias: 0, activation: 0, dtype: 0, outDtype: 0 },
  };
  const results = (cases: Case[]): number[][] => {
    const input = cases.map((c) => Object.values(c).join(" ")).join("\n");
    const lines = run({ ANNEAL_CUBLASLT: fake }, ["products"], `${input}\n`).split("\n");
    return lines.map((line) => line.split(" ").map(Number));
  };

  it("are row-major with every transpose, stride, batch, factor, bias, gelu and dtype", () => {
    const cases: Case[] = [];
    for (const [dtype, outDtype] of [
      [0, 0],
      [1, 1],
      [1, 0],
    ]) {
      for (const transA of [0, 1]) {
        for (const transB of [0, 1]) {
          const layout = { ...base, transA, transB, dtype, outDtype };
          cases.push(layout, { ...layout, padding: 3, batch: 2, alpha: 0.5, beta: 2, bias: 1 });
          cases.push({ ...layout, batch: 3, sharedB: 1, activation: GELU_TANH });
          cases.push({ ...layout, m: 9, n: 4, k: 6, bias: 1, activation: GELU_TANH, beta: 1 });
        }
      }
    }
    results(cases).forEach(([status, error], i) => {
      expect(status, JSON.stringify(cases[i])).toBe(QUEUED);
      expect(error, JSON.stringify(cases[i])).toBeLessThan(cases[i].outDtype === 1 ? 4e-3 : 1e-6);
    });
  });

  it("leave an empty k, other activations and what the library has no algorithm for to the own kernels", () => {
    const cases = [
      { k: 0 },
      { activation: 1 },
      { activation: 2 },
      { activation: 4 },
      { m: 1 },
      { padding: -1 },
    ];
    const answers = results(cases.map((c) => ({ ...base, ...c })));
    expect(answers.map(([status]) => status)).toEqual(cases.map(() => NOT_SERVED));
  });
});

/** Folder of cublasLt.h: of the library that ANNEAL_CUBLASLT names, of Python's package nvidia-cublas, or of the toolkit. */
function headerFolder(): string | undefined {
  const python = spawnSync("python3", ["-c", "import nvidia; print(*nvidia.__path__, sep='\\n')"], {
    encoding: "utf8",
  });
  const packages = (python.status === 0 ? python.stdout : "").split("\n").filter((path) => path !== "");
  const folders = packages.flatMap((path) => [join(path, "cu13/include"), join(path, "cublas/include")]);
  const given = process.env.ANNEAL_CUBLASLT;
  if (given) folders.unshift(join(dirname(dirname(given)), "include"));
  return [...folders, toolkitFolder()].find((path) => existsSync(join(path, "cublasLt.h")));
}

/** Folder of the CUDA toolkit's headers, which cublasLt.h includes. */
function toolkitFolder(): string {
  return join(process.env.CUDA_HOME || process.env.CUDA_PATH || "/usr/local/cuda", "include");
}

const header = headerFolder();
const complete = header !== undefined && existsSync(join(toolkitFolder(), "library_types.h"));

describe("declarations of cuBLASLt", () => {
  it.skipIf(!complete)(
    "agree with its header (needs cublasLt.h: pip install nvidia-cublas, or ANNEAL_CUBLASLT)",
    () => {
      const include = ["-I", header as string, "-I", toolkitFolder()];
      const flags = ["-std=c++20", "-fsyntax-only", "-I", NATIVE, ...include];
      const { status, stderr } = spawnSync(COMPILER, [...flags, join(HERE, "cublas_lt_abi.cc")], {
        encoding: "utf8",
      });
      expect(stderr).toBe("");
      expect(status).toBe(0);
    },
  );

  const library = ["libcublasLt.so.13", "libcublasLt.so.12"]
    .map((name) => join(dirname(header ?? ""), "lib", name))
    .find((path) => existsSync(path));
  it.skipIf(header === undefined || library === undefined)(
    "name functions that it has (needs the library beside)",
    () => {
      expect(run({}, ["open", library as string])).toMatch(/^1[2-9]\.\d+\.\d+$/);
    },
  );
});
