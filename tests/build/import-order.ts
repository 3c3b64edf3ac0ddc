/**
 * Reads the imports of a TypeScript file and says which of them break the order of the rooms in lib/:
 * cli → bench, serve, align, train → generate → models → nn → tensor → native, and data rooms that know no models.
 */
import { posix } from "node:path";

/** One import or re-export: the module it names and the line on which its statement starts (from 1). */
export interface ImportStatement {
  specifier: string;
  line: number;
}

/** An import that is not allowed, ready to print. */
export interface Violation {
  file: string;
  line: number;
  message: string;
}

/** Rooms that text and arrays pass through; they know nothing of models, layers or devices. */
const DATA_ROOMS = ["data", "tokenizer", "io", "plan"];

/** What each room may import, besides itself and errors.ts. Listed from the bottom to the top. */
export const ALLOWED: Readonly<Record<string, readonly string[]>> = buildRules();

function buildRules(): Record<string, string[]> {
  const tensors = ["native", "tensor"];
  const layers = [...tensors, "nn"];
  const modelling = [...layers, "optim", "models", ...DATA_ROOMS];
  const running = [...modelling, "generate", "dist"];
  const training = [...running, "train"];
  return {
    native: [],
    tensor: ["native"],
    nn: tensors,
    optim: ["tensor"],
    io: ["native"],
    tokenizer: ["native", "io"],
    data: ["native", "tokenizer", "io"],
    plan: [],
    models: [...layers, ...DATA_ROOMS],
    dist: modelling,
    generate: modelling,
    train: running,
    align: training,
    serve: training,
    bench: training,
    cli: [...training, "align", "serve", "bench"],
  };
}

/** The source with comments blanked out, so that offsets and lines stay as they were. */
function withoutComments(source: string): string {
  const token = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g;
  return source.replace(token, (text) => (text.startsWith("/") ? text.replace(/[^\n]/g, " ") : text));
}

/** All static imports, re-exports, type imports and dynamic imports with a literal name. */
export function readImports(source: string): ImportStatement[] {
  const code = withoutComments(source);
  const patterns = [
    /\b(?:import|export)\b[^"'`;=()]*?\bfrom\s*["']([^"'\s]+)["']/g,
    /\bimport\s*["']([^"'\s]+)["']/g,
    /\bimport\s*\(\s*["']([^"'\s]+)["']/g,
  ];
  return patterns
    .flatMap((pattern) => [...code.matchAll(pattern)])
    .sort((a, b) => a.index - b.index)
    .map((match) => ({ specifier: match[1], line: code.slice(0, match.index).split("\n").length }));
}

/** The room of a path relative to lib/: its first folder, or "" for a file that lies in lib/ itself. */
function roomOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : "";
}

/**
 * The violations of one file.
 * @param file path relative to lib/, with forward slashes
 * @param dependencies packages that may be imported: the run-time dependencies
 */
export function checkFile(file: string, source: string, dependencies: readonly string[]): Violation[] {
  const room = roomOf(file);
  const violations: Violation[] = [];
  for (const { specifier, line } of readImports(source)) {
    const complain = (message: string) => violations.push({ file: `lib/${file}`, line, message });
    if (!specifier.startsWith(".")) {
      const name = specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
      if (!specifier.startsWith("node:") && !dependencies.includes(name)) {
        complain(`imports "${specifier}", which is neither a node: module nor a run-time dependency`);
      }
      continue;
    }
    const target = posix.join(posix.dirname(file), specifier);
    const targetRoom = roomOf(target);
    if (target.startsWith("../")) {
      complain(`imports "${specifier}", which is outside lib/`);
    } else if (room === "" && file !== "index.ts") {
      complain(`imports "${specifier}", but only index.ts imports rooms from lib/ itself`);
    } else if (room === "" || targetRoom === room || target === "errors.js") {
      // index.ts lists every room; a room may use its own files and the errors.
    } else if (ALLOWED[room] === undefined) {
      complain(`is in a room without a rule: "${room}"`);
    } else if (!ALLOWED[room].includes(targetRoom)) {
      const rooms = ALLOWED[room].join(", ") || "nothing but errors.ts";
      complain(`imports "${specifier}": ${room}/ may import ${rooms}`);
    }
  }
  return violations;
}
