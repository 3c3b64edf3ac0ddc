/**
 * Tests of the CUDA backend that need no GPU, and what they share. This file reads ptxas's report on the kernels,
 * which the build leaves as libanneal_cuda.resources: registers, stack, spills and static shared memory of each
 * kernel on each target, and the compiler's warnings.
 */
import { spawnSync } from "node:child_process";

/** What one kernel needs on one target. Sizes in bytes a thread, `shared` a block. */
export interface KernelResources {
  /** Source file below native/cuda. */
  file: string;
  /** Name with template arguments, without namespaces; with parameters where two would be called the same. */
  kernel: string;
  /** Machine code it was compiled to, for example `sm_90a`. */
  target: string;
  registers: number;
  stack: number;
  spillStores: number;
  spillLoads: number;
  shared: number;
}

/** What ptxas complained of, for example a register hint that it did not follow. */
export interface ResourceWarning {
  file: string;
  text: string;
}

/** A whole report. */
export interface ResourceReport {
  /** Version of nvcc. */
  nvcc: string;
  /** All compiled files, also those without kernels. */
  files: string[];
  kernels: KernelResources[];
  warnings: ResourceWarning[];
}

/** A kernel's name as it stands in the report, and its figures. */
type Entry = Omit<KernelResources, "kernel"> & { mangled: string };

/** Readable names of mangled ones, by the C++ compiler's own tool. */
export function demangle(names: readonly string[]): string[] {
  if (names.length === 0) {
    return [];
  }
  const { status, stdout } = spawnSync("c++filt", { input: names.join("\n"), encoding: "utf8" });
  if (status !== 0) {
    throw new Error("c++filt was not found; expected it beside the C++ compiler (package binutils)");
  }
  return stdout.trimEnd().split("\n");
}

/** A demangled signature without the namespaces of this project, the return type and the hashes of files. */
export function shortSignature(signature: string): string {
  return signature
    .replaceAll(/\(anonymous namespace\)::|_GLOBAL__N__\w+::/g, "")
    .replaceAll(/\banneal::(cuda::)?/g, "")
    .replace(/^void /, "");
}

/** The signature without its parameters: `rowsKernel<Sum, bf16>(bf16 const*, long)` → `rowsKernel<Sum, bf16>`. */
export function withoutParameters(signature: string): string {
  let depth = 0;
  for (let i = 0; i < signature.length; i++) {
    const character = signature[i];
    if (character === "(" && depth === 0) {
      return signature.slice(0, i);
    }
    depth += character === "<" ? 1 : character === ">" ? -1 : 0;
  }
  return signature;
}

/** Reads the figures of one line into `entry`, where it has any. */
function readFigures(line: string, entry: Entry): void {
  const figure = (pattern: RegExp) => Number(pattern.exec(line)?.[1] ?? 0);
  entry.registers += figure(/Used (\d+) registers/);
  entry.stack = Math.max(
    entry.stack,
    figure(/(\d+) bytes stack frame/),
    figure(/(\d+) bytes cumulative stack size/),
  );
  entry.spillStores += figure(/(\d+) bytes spill stores/);
  entry.spillLoads += figure(/(\d+) bytes spill loads/);
  entry.shared += figure(/(\d+) bytes smem/);
}

/**
 * Reads a report. Spills of functions that a kernel calls are warnings.
 * @param names turns mangled names into readable ones
 */
export function parseReport(text: string, names: typeof demangle = demangle): ResourceReport {
  const report: ResourceReport = { nvcc: "", files: [], kernels: [], warnings: [] };
  const entries: Entry[] = [];
  let file = "";
  let entry: Entry | undefined;
  for (const line of text.split("\n")) {
    const heading = /^(nvcc|object) (.*)$/.exec(line);
    const kernel = /Compiling entry function '(\w+)' for '(\w+)'/.exec(line);
    const called = /Function properties for (\w+)/.exec(line);
    if (heading !== null) {
      entry = undefined;
      if (heading[1] === "nvcc") {
        report.nvcc = heading[2];
      } else {
        file = heading[2].replace(/^.*anneal_cuda\.dir\/(\.\/)?/, "").replace(/\.o$/, "");
        report.files.push(file);
      }
    } else if (kernel !== null) {
      entry = {
        ...{ file, mangled: kernel[1], target: kernel[2] },
        ...{ registers: 0, stack: 0, spillStores: 0, spillLoads: 0, shared: 0 },
      };
      entries.push(entry);
    } else if (called !== null && called[1] !== entry?.mangled) {
      entry = undefined;
    } else if (/^ptxas warning|\(C7\d+\)|Potential Performance Loss/.test(line)) {
      report.warnings.push({ file, text: line.replace(/^ptxas \w+ *: */, "") });
    } else if (entry !== undefined) {
      readFigures(line, entry);
    }
  }
  const signatures = names(entries.map(({ mangled }) => mangled)).map(shortSignature);
  const owners = new Map<string, string>();
  const ambiguous = new Set<string>();
  entries.forEach(({ file, target }, i) => {
    const key = [file, target, withoutParameters(signatures[i])].join("\n");
    if (owners.has(key)) {
      ambiguous.add(withoutParameters(signatures[i]));
    }
    owners.set(key, signatures[i]);
  });
  report.kernels = entries.map(({ mangled: _, ...figures }, i) => {
    const name = withoutParameters(signatures[i]);
    return { ...figures, kernel: ambiguous.has(name) ? signatures[i] : name };
  });
  const symbols = report.warnings.flatMap(({ text }) => text.match(/_Z\w+/g) ?? []);
  const readable = new Map(
    names(symbols).map((name, i) => [symbols[i], withoutParameters(shortSignature(name))]),
  );
  for (const warning of report.warnings) {
    warning.text = warning.text.replaceAll(/_Z\w+/g, (symbol) => readable.get(symbol) ?? symbol);
  }
  return report;
}
