/** Clipping by the global norm of all gradients, without reading the norm back. */

import { ConfigError } from "../errors.js";
import { gradientNorm, parameterTable } from "../tensor/ops/optimizer.js";
import type { Tensor } from "../tensor/tensor.js";

/** What `clipGradNorm` returns; both are f32 [1] on the parameters' device. */
export interface ClipResult {
  /** √Σ g² over all gradients, before clipping. */
  norm: Tensor;
  /** min(1, maxNorm/(norm + 1e-6)); −1 when the norm is not finite. Give it to `optimizer.step({ clip })`. */
  clip: Tensor;
}

/**
 * Measures the norm of the gradients of `params` (those without one are left out) and the factor that limits it to `maxNorm`. The gradients themselves stay as
 * they are: the optimizer multiplies by `clip` while it reads them. A step whose norm is not finite changes nothing.
 * @param maxNorm 0 measures only
 */
export function clipGradNorm(params: readonly Tensor[], maxNorm: number): ClipResult {
  if (!(maxNorm >= 0)) {
    throw new ConfigError(
      `clipGradNorm: maxNorm must be a number from 0 (which does not clip), got ${maxNorm}.`,
      { maxNorm },
    );
  }
  const rows = [...new Set(params)].flatMap((parameter) =>
    parameter.grad === null ? [] : [{ parameter, gradient: parameter.grad }],
  );
  if (rows.length === 0) {
    throw new ConfigError("clipGradNorm: no parameter has a gradient. Call backward() on a loss first.", {
      parameters: params.length,
    });
  }
  const table = parameterTable(rows);
  const result = gradientNorm(table, maxNorm);
  table.tensor.dispose();
  return result;
}
