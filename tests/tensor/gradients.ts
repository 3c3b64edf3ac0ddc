/** Gradients of operations against central differences: what the suites of this folder share. */
import { expect } from "vitest";
import { backward, noGrad, scope, type Tensor } from "../../lib/tensor/index.js";
import { download, upload } from "../native/harness.js";
import { dot, finiteDifference, relativeError, rng } from "../reference/array.js";

/** One argument of the operation under test. */
export interface Input {
  shape: readonly number[];
  /** Default: normal numbers. */
  values?: ArrayLike<number>;
  /** Whether its gradient is checked. Default true. */
  differentiable?: boolean;
}

/** A differentiable operation under test. */
export type Operation = (...inputs: Tensor[]) => Tensor | readonly Tensor[];

function listOf(result: Tensor | readonly Tensor[]): readonly Tensor[] {
  return Array.isArray(result) ? result : [result as Tensor];
}

/** Options of `expectGradients`. */
export interface GradientOptions {
  /** Half the width of the differences. Default 1e-2: f32 rounding then adds about 1e-5, curvature about 1e-4. */
  step?: number;
  /** Largest relative error. Default 3e-3. */
  tolerance?: number;
  seed?: number;
}

/**
 * Asserts that `backward` gives the gradient of Σ weights·outputs (random weights on every element of every output) with respect to each input, in f32,
 * against central differences of the forward pass summed in double precision.
 */
export function expectGradients(
  operation: Operation,
  inputs: readonly Input[],
  options: GradientOptions = {},
): void {
  const { step = 1e-2, tolerance = 3e-3, seed = 1 } = options;
  const random = rng(seed);
  const points = inputs.map(({ shape, values }) => {
    const size = shape.reduce((product, length) => product * length, 1);
    return Float64Array.from(values ?? random.normals(size), Math.fround);
  });
  const weights: Float64Array[] = [];
  const analytic = scope(() => {
    const tensors = inputs.map(({ shape, differentiable = true }, i) => {
      const t = upload(points[i], "f32", shape);
      t.requiresGrad = differentiable;
      return t;
    });
    const outputs = listOf(operation(...tensors)).filter((output) => output.requiresGrad);
    for (const output of outputs) weights.push(Float64Array.from(random.normals(output.size), Math.fround));
    backward(outputs, { gradients: outputs.map((output, i) => upload(weights[i], "f32", output.shape)) });
    return tensors.map((t) => (t.grad === null ? new Float64Array(t.size) : download(t.grad)));
  });
  const loss = (changed: number, point: Float64Array): number =>
    scope(() => {
      const tensors = inputs.map(({ shape }, i) => upload(i === changed ? point : points[i], "f32", shape));
      tensors.forEach((t, i) => {
        t.requiresGrad = inputs[i].differentiable ?? true;
      });
      // Outputs are chosen as above, so the graph is recorded although nobody walks it.
      const outputs = listOf(operation(...tensors)).filter((output) => output.requiresGrad);
      return noGrad(() => outputs.reduce((total, output, i) => total + dot(download(output), weights[i]), 0));
    });
  inputs.forEach(({ differentiable = true }, i) => {
    if (!differentiable) return;
    const numeric = finiteDifference((point) => loss(i, point), points[i], step);
    expect(relativeError(analytic[i], numeric), `gradient of input ${i}`).toBeLessThanOrEqual(tolerance);
  });
}
