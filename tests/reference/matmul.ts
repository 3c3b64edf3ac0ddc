/**
 * Oracle of the matrix products: y = α·op(a)·op(b) + β·c + bias with batches, and the grouped product over
 * contiguous row segments that experts use. All matrices are row-major.
 */
import type { Values } from "./array.js";

/** Sizes and options of one (batched) product. */
export interface MatmulOptions {
  /** Rows of op(a) and of the result. */
  m: number;
  /** Columns of op(b) and of the result. */
  n: number;
  /** Columns of op(a), rows of op(b). */
  k: number;
  /** Number of products; an operand that holds a single matrix is shared by all of them. Default 1. */
  batch?: number;
  /** a is stored [k, m] instead of [m, k]. Default false. */
  transA?: boolean;
  /** b is stored [n, k] instead of [k, n]. Default false. */
  transB?: boolean;
  /** Factor of the product. Default 1. */
  alpha?: number;
  /** Factor of `c`. Default 0, and then c is never read. */
  beta?: number;
}

/** Where element (row, column) of op(matrix) lies, for a matrix that is `rows` × `columns` after op. */
function element(rows: number, columns: number, transposed: boolean) {
  return (row: number, column: number): number => (transposed ? column * rows + row : row * columns + column);
}

/** Start of the `batch`-th matrix, or 0 where one matrix is shared. */
function start(values: Values, size: number, batch: number): number {
  return values.length > size ? batch * size : 0;
}

/**
 * y = α·op(a)·op(b) + β·c + bias → [batch, m, n]. a: [batch or 1, m, k], b: [batch or 1, k, n] (or transposed),
 * bias: [n] added to every row, c: [batch, m, n].
 */
export function matmul(
  a: Values,
  b: Values,
  options: MatmulOptions,
  bias?: Values,
  c?: Values,
): Float64Array {
  const { m, n, k, batch = 1, transA = false, transB = false, alpha = 1, beta = 0 } = options;
  const atA = element(m, k, transA);
  const atB = element(k, n, transB);
  const y = new Float64Array(batch * m * n);
  for (let s = 0; s < batch; s++) {
    const a0 = start(a, m * k, s);
    const b0 = start(b, k * n, s);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let p = 0; p < k; p++) sum += a[a0 + atA(i, p)] * b[b0 + atB(p, j)];
        const at = (s * m + i) * n + j;
        y[at] = alpha * sum + (bias ? bias[j] : 0) + (c && beta !== 0 ? beta * c[at] : 0);
      }
    }
  }
  return y;
}

/** Gradients of `matmul`; da and db have their operand's stored layout, a shared operand sums over the batch. */
export function matmulBackward(
  a: Values,
  b: Values,
  dy: Values,
  options: MatmulOptions,
): { da: Float64Array; db: Float64Array; dbias: Float64Array; dc: Float64Array } {
  const { m, n, k, batch = 1, transA = false, transB = false, alpha = 1, beta = 0 } = options;
  const atA = element(m, k, transA);
  const atB = element(k, n, transB);
  const da = new Float64Array(a.length);
  const db = new Float64Array(b.length);
  const dbias = new Float64Array(n);
  for (let s = 0; s < batch; s++) {
    const a0 = start(a, m * k, s);
    const b0 = start(b, k * n, s);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        const g = dy[(s * m + i) * n + j];
        dbias[j] += g;
        for (let p = 0; p < k; p++) {
          da[a0 + atA(i, p)] += alpha * g * b[b0 + atB(p, j)];
          db[b0 + atB(p, j)] += alpha * g * a[a0 + atA(i, p)];
        }
      }
    }
  }
  return { da, db, dbias, dc: Float64Array.from(dy, (g) => beta * g) };
}

/** y = x·wᵀ + bias. x: [rows, inputs], w: [outputs, inputs] → [rows, outputs]. */
export function linear(x: Values, w: Values, inputs: number, outputs: number, bias?: Values): Float64Array {
  return matmul(x, w, { m: x.length / inputs, n: outputs, k: inputs, transB: true }, bias);
}

/** Gradients of `linear`. dy: [rows, outputs] → dx like x, dw like w, dbias [outputs]. */
export function linearBackward(
  x: Values,
  w: Values,
  dy: Values,
  inputs: number,
  outputs: number,
): { dx: Float64Array; dw: Float64Array; dbias: Float64Array } {
  const { da, db, dbias } = matmulBackward(x, w, dy, {
    m: x.length / inputs,
    n: outputs,
    k: inputs,
    transB: true,
  });
  return { dx: da, dw: db, dbias };
}

/** Sizes of a grouped product: segment g of the rows is offsets[g] ≤ row < offsets[g + 1]. */
export interface GroupedOptions {
  /** Prefix sums, one more entry than there are groups; segments may be empty. */
  offsets: Values;
  /** Width of x. */
  inputs: number;
  /** Width of y. */
  outputs: number;
}

/** y = x·w[g]ᵀ for the rows of every segment g. x: [rows, inputs], w: [groups, outputs, inputs] → [rows, outputs]. */
export function groupedMatmul(
  x: Values,
  w: Values,
  { offsets, inputs, outputs }: GroupedOptions,
): Float64Array {
  const y = new Float64Array((x.length / inputs) * outputs);
  for (let g = 0; g + 1 < offsets.length; g++) {
    for (let row = offsets[g]; row < offsets[g + 1]; row++) {
      for (let o = 0; o < outputs; o++) {
        let sum = 0;
        for (let i = 0; i < inputs; i++) sum += x[row * inputs + i] * w[(g * outputs + o) * inputs + i];
        y[row * outputs + o] = sum;
      }
    }
  }
  return y;
}

/** dx = dy·w[g] for the rows of every segment g. dy: [rows, outputs] → [rows, inputs]. */
export function groupedMatmulDgrad(
  dy: Values,
  w: Values,
  { offsets, inputs, outputs }: GroupedOptions,
): Float64Array {
  const dx = new Float64Array((dy.length / outputs) * inputs);
  for (let g = 0; g + 1 < offsets.length; g++) {
    for (let row = offsets[g]; row < offsets[g + 1]; row++) {
      for (let o = 0; o < outputs; o++) {
        for (let i = 0; i < inputs; i++) {
          dx[row * inputs + i] += dy[row * outputs + o] * w[(g * outputs + o) * inputs + i];
        }
      }
    }
  }
  return dx;
}

/** dw[g] = dyᵀ·x over the rows of segment g → [groups, outputs, inputs]; zero where a segment is empty. */
export function groupedMatmulWgrad(
  x: Values,
  dy: Values,
  { offsets, inputs, outputs }: GroupedOptions,
): Float64Array {
  const dw = new Float64Array((offsets.length - 1) * outputs * inputs);
  for (let g = 0; g + 1 < offsets.length; g++) {
    for (let row = offsets[g]; row < offsets[g + 1]; row++) {
      for (let o = 0; o < outputs; o++) {
        for (let i = 0; i < inputs; i++) {
          dw[(g * outputs + o) * inputs + i] += dy[row * outputs + o] * x[row * inputs + i];
        }
      }
    }
  }
  return dw;
}
