/**
 * The checked-in budget of kernel resources, budget.json: how many registers each kernel may take on each target, and
 * the few that may have a stack frame or static shared memory. Spilled registers have no budget.
 */
import type { KernelResources, ResourceReport } from "./resources.js";

/** What a kernel may take on one target; bytes, but for registers. */
export interface Allowance {
  registers: number;
  stack: number;
  shared: number;
}

/** The content of budget.json: file → kernel → `sm_80: 24, sm_90a: 22 + 16 stack`. */
export interface Budget {
  /** Version of nvcc, major.minor, whose register counts these are. */
  nvcc: string;
  kernels: Record<string, Record<string, string>>;
}

/** A figure that is not what the budget says. `before` undefined: a new kernel; `now` undefined: one that is gone. */
export interface Move {
  file: string;
  kernel: string;
  target: string;
  figure: keyof Allowance;
  before: number | undefined;
  now: number | undefined;
}

/** What a comparison found: reasons to fail, and everything that moved, up or down. */
export interface Comparison {
  problems: string[];
  moves: Move[];
}

const FIGURES: readonly (keyof Allowance)[] = ["registers", "stack", "shared"];

/** The major and minor part of a version. */
export function release(version: string): string {
  return version.split(".").slice(0, 2).join(".");
}

/** Reads one kernel's entry: target → allowance. */
export function parseAllowances(text: string): Map<string, Allowance> {
  const targets = new Map<string, Allowance>();
  for (const part of text.split(", ")) {
    const match = /^(\w+): (\d+)(?: \+ (\d+) stack)?(?: \+ (\d+) shared)?$/.exec(part);
    if (match === null) {
      throw new Error(
        `budget.json: expected "target: registers [+ bytes stack] [+ bytes shared]", got "${part}"`,
      );
    }
    const [registers, stack, shared] = match.slice(2).map((digits) => Number(digits ?? 0));
    targets.set(match[1], { registers, stack, shared });
  }
  return targets;
}

function formatAllowance({ target, registers, stack, shared }: KernelResources): string {
  const extras = `${stack > 0 ? ` + ${stack} stack` : ""}${shared > 0 ? ` + ${shared} shared` : ""}`;
  return `${target}: ${registers}${extras}`;
}

/** The budget that a report just meets, sorted. */
export function budgetOf(report: ResourceReport): Budget {
  const kernels: Budget["kernels"] = {};
  const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  const sorted = [...report.kernels].sort(
    (a, b) => order(a.file, b.file) || order(a.kernel, b.kernel) || order(a.target, b.target),
  );
  for (const kernel of sorted) {
    const file = (kernels[kernel.file] ??= {});
    const before = file[kernel.kernel];
    file[kernel.kernel] = `${before === undefined ? "" : `${before}, `}${formatAllowance(kernel)}`;
  }
  return { nvcc: release(report.nvcc), kernels };
}

/**
 * Compares a report with the budget. Spills and compiler warnings always fail; so do figures above the budget and
 * kernels that it does not know, and kernels that are gone. With another release of nvcc than the budget's, register
 * counts are compared for the table of moves alone.
 */
export function compareWithBudget(report: ResourceReport, budget: Budget): Comparison {
  const problems = report.warnings.map(({ file, text }) => `${file}: ${text}`);
  const moves: Move[] = [];
  const sameRelease = release(report.nvcc) === budget.nvcc;
  const met = new Set<string>();
  for (const kernel of report.kernels) {
    const { file, target } = kernel;
    const where = `${file}: ${kernel.kernel} on ${target}`;
    if (kernel.spillStores > 0 || kernel.spillLoads > 0) {
      problems.push(
        `${where} spills registers: ${kernel.spillStores} bytes stored, ${kernel.spillLoads} bytes loaded`,
      );
    }
    const entry = budget.kernels[file]?.[kernel.kernel];
    const allowance = entry === undefined ? undefined : parseAllowances(entry).get(target);
    met.add([file, kernel.kernel, target].join("\n"));
    if (allowance === undefined) {
      problems.push(`${where} is not in the budget`);
    }
    for (const figure of FIGURES) {
      const [before, now] = [allowance?.[figure], kernel[figure]];
      if (before === now || (before === undefined && now === 0)) {
        continue;
      }
      moves.push({ file, kernel: kernel.kernel, target, figure, before, now });
      if (before !== undefined && now > before && (sameRelease || figure !== "registers")) {
        const unit = figure === "registers" ? "registers" : `bytes of ${figure}`;
        problems.push(`${where} takes ${now} ${unit}, the budget is ${before}`);
      }
    }
  }
  for (const [file, kernels] of Object.entries(budget.kernels)) {
    for (const [kernel, entry] of Object.entries(kernels)) {
      for (const [target, { registers }] of parseAllowances(entry)) {
        if (!met.has([file, kernel, target].join("\n"))) {
          problems.push(`${file}: ${kernel} on ${target} is in the budget, but was not compiled`);
          moves.push({ file, kernel, target, figure: "registers", before: registers, now: undefined });
        }
      }
    }
  }
  return { problems, moves };
}

/** The moves as a table, one line each; empty without moves. */
export function movesTable(moves: readonly Move[]): string {
  const rows = moves.map(({ file, kernel, target, figure, before, now }) => {
    const change = before === undefined ? "new" : now === undefined ? "gone" : now > before ? "up" : "down";
    return [file, kernel, target, figure, `${before ?? "–"} → ${now ?? "–"}`, change];
  });
  const widths = rows.reduce(
    (most, row) => row.map((cell, i) => Math.max(most[i] ?? 0, cell.length)),
    [] as number[],
  );
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
