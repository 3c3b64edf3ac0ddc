/** Cases of the optimizers: all parameters of a model in one call. */
import type { ComputeDtype } from "../../nn/module.js";
import { type ParameterRow, parameterTable } from "../../tensor/ops/optimizer.js";
import { normal, uniform } from "../../tensor/ops/random.js";
import type { CaseSizes } from "../sizes.js";
import { bound, bytesOf, type KernelCase, kernelCase, output, type PreparedCase } from "./case.js";

/** What a case's parameters have beside their gradients. */
interface State {
  moments: 0 | 1 | 2;
  momentDtype?: ComputeDtype;
  /** Whether parameters are read and written at all. */
  updated: boolean;
}

/** The parameters, spread over several tensors, with what an update needs; bf16 ones have an f32 master copy. */
function parameters(sizes: CaseSizes, dtype: ComputeDtype, { moments, momentDtype = "f32", updated }: State) {
  const count = Math.floor(sizes.parameters / sizes.parameterTensors);
  const rows = Array.from({ length: sizes.parameterTensors }, (): ParameterRow => {
    const master = dtype === "bf16" && updated;
    return {
      parameter: normal([count], 0, 0.02, { dtype }),
      gradient: normal([count], 0, 1e-3),
      firstMoment: moments > 0 ? normal([count], 0, 1e-3, { dtype: momentDtype }) : null,
      secondMoment: moments > 1 ? uniform([count], 0, 1e-6, { dtype: momentDtype }) : null,
      master: master ? normal([count], 0, 0.02) : null,
      decays: true,
    };
  });
  // Gradient read; master, or the f32 parameter, read and written; the bf16 parameter written; moments read and written.
  const update = updated ? 8 + (dtype === "bf16" ? 2 : 0) : 0;
  const each = 4 + update + moments * 2 * bytesOf(momentDtype);
  return { table: parameterTable(rows), bytes: each * count * rows.length, total: count * rows.length };
}

/** "1073.7 M parameters". */
const shapeOf = (total: number): string =>
  total >= 1e5 ? `${(total / 1e6).toFixed(1)} M parameters` : `${total} parameters`;

function adamw(name: string, momentDtype: ComputeDtype, stochasticSeed: number): KernelCase {
  return kernelCase(name, (sizes, dtype): PreparedCase => {
    const { table, bytes, total } = parameters(sizes, dtype, { moments: 2, momentDtype, updated: true });
    const options = [1e-6, 0.9, 0.95, 1e-8, 0.1, 100, 0, stochasticSeed];
    return {
      shape: shapeOf(total),
      bytes,
      call: bound("adamw", table.tensor, null, null, table.rows, ...options),
    };
  });
}

/** All of them. */
export const OPTIMIZER_CASES: readonly KernelCase[] = [
  kernelCase("gradNorm", (sizes, dtype) => {
    const { table, bytes, total } = parameters(sizes, dtype, { moments: 0, updated: false });
    const call = bound("gradNorm", table.tensor, output("f32", 1), output("f32", 1), table.rows, 1);
    return { shape: shapeOf(total), bytes, call };
  }),
  adamw("adamw", "f32", 0),
  adamw("adamw bf16 moments", "bf16", 0),
  adamw("adamw stochastic rounding", "bf16", 1),
  kernelCase("sgd", (sizes, dtype) => {
    const { table, bytes, total } = parameters(sizes, dtype, { moments: 1, updated: true });
    const call = bound("sgd", table.tensor, null, null, table.rows, 1e-6, 0.9, 0, 0.1, 0, 2);
    return { shape: shapeOf(total), bytes, call };
  }),
];
