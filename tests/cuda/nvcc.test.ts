import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { type Budget, budgetOf, compareWithBudget, movesTable } from "./budget.js";
import { builtFile, CUDA_SOURCES } from "./built.js";
import { parseReport, type ResourceReport } from "./resources.js";

const BUDGET = fileURLToPath(new URL("budget.json", import.meta.url));
const TARGETS = ["sm_80", "sm_90a"];

const path = builtFile("libanneal_cuda.resources");
const report: ResourceReport | undefined =
  path === undefined ? undefined : parseReport(readFileSync(path, "utf8"));

function sources(pattern: RegExp): string[] {
  const files = readdirSync(CUDA_SOURCES, { recursive: true, encoding: "utf8" });
  return files.filter((file) => pattern.test(file)).sort();
}

/**
 * The first gate of every kernel: nvcc compiles it for every target without spills and within its budget. The build
 * keeps ptxas's report, so nothing is compiled here. After a change that is worth its registers:
 * `node scripts/cuda-budget.mjs`.
 */
describe("kernels under nvcc", () => {
  it("stay within their registers, without spills", () => {
    if (report === undefined) {
      return;
    }
    const read = () => JSON.parse(readFileSync(BUDGET, "utf8")) as Budget;
    const { moves } = compareWithBudget(report, read());
    if (moves.length > 0) {
      console.log(`Against tests/cuda/budget.json:\n${movesTable(moves)}`);
    }
    if (process.env.ANNEAL_UPDATE_BUDGET === "1") {
      writeFileSync(BUDGET, `${JSON.stringify(budgetOf(report), null, 2)}\n`);
    }
    const { problems } = compareWithBudget(report, read());
    const advice = "Where this is meant, write the new budget with `node scripts/cuda-budget.mjs`.";
    expect(problems, advice).toEqual([]);
  });

  it("are compiled from every file, for every target", () => {
    if (report === undefined) {
      return;
    }
    expect([...report.files].sort()).toEqual(
      sources(/^[^/]*\.(cu|cc)$|^kernels\/[^/]*\.cu$|^host\/[^/]*\.cc$/),
    );
    const targets = new Map<string, Set<string>>();
    for (const { file, kernel, target } of report.kernels) {
      const key = `${file}: ${kernel}`;
      targets.set(key, (targets.get(key) ?? new Set()).add(target));
    }
    const incomplete = [...targets].filter(([, has]) => TARGETS.some((target) => !has.has(target)));
    expect(incomplete.map(([kernel]) => kernel)).toEqual([]);
    expect(targets.size).toBeGreaterThan(40);
  });

  it("say how many threads their blocks have, so that a launch never asks for more registers than there are", () => {
    for (const file of sources(/\.(cu|h)$/)) {
      const text = readFileSync(join(CUDA_SOURCES, file), "utf8").replaceAll(/\/\/.*$/gm, "");
      const kernels = text.match(/__global__/g)?.length ?? 0;
      const bounded = text.match(/__global__\s+void\s+__launch_bounds__\(/g)?.length ?? 0;
      expect(bounded, `${file}: expected "__global__ void __launch_bounds__(…)" for each kernel`).toBe(
        kernels,
      );
    }
  });
});
