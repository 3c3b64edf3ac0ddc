import { describe, expect, it } from "vitest";
import { budgetOf, compareWithBudget, movesTable, parseAllowances, release } from "./budget.js";
import { demangle, parseReport, shortSignature, withoutParameters } from "./resources.js";

const FILL = "_ZN6anneal4cuda39_GLOBAL__N__12345678_7_fill_cu_9abcdef010fillKernelIfEEvPT_lS3_";
const CAST = "_ZN6anneal4cuda39_GLOBAL__N__12345678_7_cast_cu_9abcdef010castKernelEPfl";

const REPORT = `nvcc 13.0.88
object /somewhere/native/cuda/CMakeFiles/anneal_cuda.dir/kernels/fill.cu.o
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '${FILL}' for 'sm_80'
ptxas info    : Function properties for ${FILL}
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 24 registers, used 1 barriers, 512 bytes smem, 380 bytes cmem[0]
ptxas info    : Compile time = 4.7 ms
ptxas warning : Registers are spilled to local memory in function '${FILL}', 8 bytes spill stores, 24 bytes spill loads
ptxas info    : (C7508) Potential Performance Loss: 'setmaxnreg' ignored to maintain minimum register requirements.
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '${FILL}' for 'sm_90a'
ptxas info    : Function properties for ${FILL}
    16 bytes stack frame, 8 bytes spill stores, 24 bytes spill loads
ptxas info    : Used 40 registers, used 0 barriers, 48 bytes cumulative stack size
ptxas info    : Function properties for __cuda_sm20_sqrt_rn_f32_slowpath
    0 bytes stack frame, 96 bytes spill stores, 96 bytes spill loads
object /somewhere/native/cuda/CMakeFiles/anneal_cuda.dir/fault.cc.o
ptxas info    : 0 bytes gmem
`;

const names = (mangled: readonly string[]) =>
  mangled.map((name) =>
    name === FILL
      ? "void anneal::cuda::(anonymous namespace)::fillKernel<float>(float*, long, float)"
      : "anneal::cuda::_GLOBAL__N__12345678_7_cast_cu_9abcdef0::castKernel(float*, long)",
  );

describe("report of ptxas", () => {
  const report = parseReport(REPORT, names);

  it("gives each kernel's figures on each target", () => {
    const common = { file: "kernels/fill.cu", kernel: "fillKernel<float>" };
    expect(report.kernels).toEqual([
      { ...common, target: "sm_80", registers: 24, stack: 0, spillStores: 0, spillLoads: 0, shared: 512 },
      { ...common, target: "sm_90a", registers: 40, stack: 48, spillStores: 8, spillLoads: 24, shared: 0 },
    ]);
  });

  it("lists files, the compiler's version and its warnings with readable names", () => {
    expect(report.nvcc).toBe("13.0.88");
    expect(report.files).toEqual(["kernels/fill.cu", "fault.cc"]);
    expect(report.warnings.map(({ text }) => text)).toEqual([
      "Registers are spilled to local memory in function 'fillKernel<float>', 8 bytes spill stores, 24 bytes spill loads",
      "(C7508) Potential Performance Loss: 'setmaxnreg' ignored to maintain minimum register requirements.",
    ]);
  });

  it("keeps parameters where two kernels of a file have one name", () => {
    const text = REPORT.replaceAll(FILL, CAST).replace(CAST, FILL).replace(CAST, FILL);
    const overloads = (mangled: readonly string[]) =>
      mangled.map((_, i) => `anneal::cuda::(anonymous namespace)::f(${i === 0 ? "int" : "long"})`);
    const twice = parseReport(text.replaceAll("sm_90a", "sm_80"), overloads);
    expect(twice.kernels.map(({ kernel }) => kernel)).toEqual(["f(int)", "f(long)"]);
  });

  it("shortens names", () => {
    const long =
      "void anneal::cuda::(anonymous namespace)::rows<anneal::cuda::(anonymous namespace)::Sum<(int)2>, anneal::cuda::bf16>(anneal::cuda::bf16 const*, long)";
    expect(withoutParameters(shortSignature(long))).toBe("rows<Sum<(int)2>, bf16>");
    expect(withoutParameters("plain")).toBe("plain");
  });

  it("asks the toolchain for readable names", () => {
    expect(demangle(["_Z3addii", "main"])).toEqual(["add(int, int)", "main"]);
    expect(demangle([])).toEqual([]);
  });
});

describe("budget", () => {
  const sound = { ...parseReport(REPORT, names), warnings: [] };
  sound.kernels = sound.kernels.map((kernel) => ({ ...kernel, spillStores: 0, spillLoads: 0 }));
  const budget = budgetOf(sound);

  it("is written so that its own report passes", () => {
    expect(budget).toEqual({
      nvcc: "13.0",
      kernels: {
        "kernels/fill.cu": { "fillKernel<float>": "sm_80: 24 + 512 shared, sm_90a: 40 + 48 stack" },
      },
    });
    expect(compareWithBudget(sound, budget)).toEqual({ problems: [], moves: [] });
    expect(release("13.0.88")).toBe("13.0");
    expect(() => parseAllowances("sm_80 24")).toThrow(/expected "target: registers/);
  });

  it("never allows spills and warnings", () => {
    const { problems } = compareWithBudget(parseReport(REPORT, names), budget);
    expect(problems).toHaveLength(3);
    expect(problems.join("\n")).toMatch(/spills registers: 8 bytes stored, 24 bytes loaded/);
    expect(problems.join("\n")).toMatch(/C7508/);
  });

  it("fails above the budget, and shows what moved in either direction", () => {
    const kernels = [
      { ...sound.kernels[0], registers: 20 },
      { ...sound.kernels[1], registers: 48, stack: 64 },
    ];
    const { problems, moves } = compareWithBudget({ ...sound, kernels }, budget);
    expect(problems).toEqual([
      "kernels/fill.cu: fillKernel<float> on sm_90a takes 48 registers, the budget is 40",
      "kernels/fill.cu: fillKernel<float> on sm_90a takes 64 bytes of stack, the budget is 48",
    ]);
    expect(movesTable(moves)).toBe(
      [
        "kernels/fill.cu  fillKernel<float>  sm_80   registers  24 → 20  down",
        "kernels/fill.cu  fillKernel<float>  sm_90a  registers  40 → 48  up",
        "kernels/fill.cu  fillKernel<float>  sm_90a  stack      48 → 64  up",
      ].join("\n"),
    );
  });

  it("leaves the register counts of another release of nvcc open, but not stack frames", () => {
    const kernels = sound.kernels.map((kernel) => ({ ...kernel, registers: 99, stack: 99 }));
    const { problems, moves } = compareWithBudget({ ...sound, nvcc: "13.1.2", kernels }, budget);
    expect(problems).toHaveLength(2);
    expect(problems.join()).not.toMatch(/registers/);
    expect(moves).toHaveLength(4);
  });

  it("knows every kernel, and no others", () => {
    const renamed = sound.kernels.map((kernel) => ({ ...kernel, kernel: "fillKernel<bf16>" }));
    const { problems, moves } = compareWithBudget({ ...sound, kernels: renamed }, budget);
    expect(problems.filter((line) => line.endsWith("is not in the budget"))).toHaveLength(2);
    expect(problems.filter((line) => line.endsWith("but was not compiled"))).toHaveLength(2);
    expect(movesTable(moves)).toMatch(/– → 24 +new/);
    expect(movesTable(moves)).toMatch(/24 → – +gone/);
    expect(movesTable([])).toBe("");
  });
});
