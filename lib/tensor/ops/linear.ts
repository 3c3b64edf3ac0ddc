/** Matrix products: linear layers, batched products, grouped products over expert segments. */

import { ShapeError } from "../../errors.js";
import { inCategory } from "../../native/accounting.js";
import { DTYPE_BYTES } from "../../native/dtype.js";
import { type GradientSink, record } from "../autograd.js";
import { uncaptured } from "../capture.js";
import { keep } from "../scope.js";
import { showShape, type Tensor } from "../tensor.js";
import {
  code,
  emptyLike,
  optional,
  requireDtype,
  requireSameDevice,
  rowsOf,
  run,
  widthOf,
  wrongShape,
} from "./kernel.js";

/** One product c = alpha·op(a)·op(b) + beta·c (+ bias) on contiguous matrices; see native/core/kernels/matmul.h. */
interface Product {
  a: Tensor;
  b: Tensor;
  c: Tensor;
  bias?: Tensor | null;
  batch?: number;
  m: number;
  n: number;
  k: number;
  transA?: boolean;
  transB?: boolean;
  beta?: number;
  /** Elements from one matrix to the next; 0 shares one over the batch. Default: whole matrices. */
  aBatch?: number;
  bBatch?: number;
}

function product(p: Product): void {
  const { m, n, k, transA = false, transB = false, batch = 1 } = p;
  run(
    p.c,
    "matmul",
    p.a.use(),
    p.b.use(),
    p.c.use(),
    optional(p.bias),
    batch,
    m,
    n,
    k,
    transA ? 1 : 0,
    transB ? 1 : 0,
    transA ? m : k,
    transB ? k : n,
    n,
    p.aBatch ?? m * k,
    p.bBatch ?? k * n,
    m * n,
    1,
    p.beta ?? 0,
    code(p.a),
    code(p.c),
  );
}

// Column sums are taken as a product with a row of ones, so that bf16 gradients are summed in f32.
const onesRows = new Map<string, Tensor>();

function onesRow(like: Tensor, length: number): Tensor {
  const key = `${like.device} ${like.dtype}`;
  let ones = onesRows.get(key);
  if (ones === undefined || ones.size < length) {
    const room = Math.max(length, 2 * (ones?.size ?? 0));
    const grown = uncaptured(like.device, () => {
      const row = inCategory("other", () => emptyLike(like, [1, room]));
      run(like, "fill", row.use(), row.size, code(like), 1);
      return row;
    });
    ones?.dispose();
    ones = keep(grown);
    onesRows.set(key, ones);
  }
  return ones;
}

/** Adds the column sums of dy [rows, n] to the gradient of a bias [n]. */
export function biasGradient(sink: GradientSink, bias: Tensor, dy: Tensor, rows: number, n: number): void {
  const ones = onesRow(dy, rows);
  sink.into(bias, (target, accumulate) =>
    product({ a: ones, b: dy, c: target, m: 1, n, k: rows, beta: accumulate ? 1 : 0 }),
  );
}

/** Options of `linear`. */
export interface LinearOptions {
  /** The weight is stored [in, out] (GPT-2's Conv1D) instead of [out, in]. Default false. */
  inOut?: boolean;
}

/**
 * y = x·weightᵀ + bias. x [..., in], weight [out, in] (or [in, out] with `inOut`), bias [out] or null; all f32 or all bf16. Returns [..., out].
 * Sums in f32. Weight and bias gradients are f32.
 */
export function linear(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  options: LinearOptions = {},
): Tensor {
  const { inOut = false } = options;
  const k = widthOf(x);
  const m = rowsOf(x);
  const n = inOut ? weight.shape[1] : weight.shape[0];
  if (weight.rank !== 2 || weight.shape[inOut ? 0 : 1] !== k) {
    wrongShape(
      "linear",
      "weight",
      inOut ? `[${k}, out]` : `[out, ${k}] for x ${showShape(x.shape)}`,
      weight.shape,
    );
  }
  if (bias !== null && (bias.rank !== 1 || bias.shape[0] !== n))
    wrongShape("linear", "bias", `[${n}]`, bias.shape);
  requireDtype("linear", "x", x, "f32", "bf16");
  requireDtype("linear", "weight", weight, x.dtype);
  requireSameDevice("linear", x, weight, bias);
  const y = emptyLike(x, [...x.shape.slice(0, -1), n]);
  product({ a: x, b: weight, c: y, bias, m, n, k, transB: !inOut });
  record("linear", [x, weight, bias], [y], ([dy], sink) => {
    if (dy === null) return;
    if (sink.wants(x)) {
      const dx = emptyLike(x);
      product({ a: dy, b: weight, c: dx, m, n: k, k: n, transB: inOut });
      sink.give(x, dx);
    }
    if (sink.wants(weight)) {
      sink.into(weight, (target, accumulate) => {
        const beta = accumulate ? 1 : 0;
        if (inOut) product({ a: x, b: dy, c: target, m: k, n, k: m, transA: true, beta });
        else product({ a: dy, b: x, c: target, m: n, n: k, k: m, transA: true, beta });
      });
    }
    if (sink.wants(bias)) biasGradient(sink, bias, dy, m, n);
  });
  return y;
}

function castInto(x: Tensor, dtype: "f32" | "bf16"): Tensor {
  const y = emptyLike(x, x.shape, dtype);
  run(x, "cast", x.use(), y.use(), x.size, code(x), code(y));
  return y;
}

/**
 * x·weightᵀ in f32 whatever the dtype of x [rows, in] and weight [out, in]: the router's logits, f32 [rows, out]. The backward pass is f32 too.
 */
export function linearF32(x: Tensor, weight: Tensor): Tensor {
  if (x.dtype === "f32") return linear(x, weight);
  const k = widthOf(x);
  const m = rowsOf(x);
  if (weight.rank !== 2 || weight.shape[1] !== k)
    wrongShape("linearF32", "weight", `[out, ${k}]`, weight.shape);
  requireDtype("linearF32", "weight", weight, x.dtype);
  const n = weight.shape[0];
  const y = emptyLike(x, [...x.shape.slice(0, -1), n], "f32");
  product({ a: x, b: weight, c: y, m, n, k, transB: true });
  record("linearF32", [x, weight], [y], ([dy], sink) => {
    if (dy === null) return;
    if (sink.wants(x)) {
      const wide = castInto(weight, "f32");
      const dx = emptyLike(x, x.shape, "f32");
      product({ a: dy, b: wide, c: dx, m, n: k, k: n });
      wide.dispose();
      sink.give(x, castInto(dx, "bf16"));
      dx.dispose();
    }
    if (sink.wants(weight)) {
      const wide = castInto(x, "f32");
      sink.into(weight, (target, accumulate) =>
        product({ a: dy, b: wide, c: target, m: n, n: k, k: m, transA: true, beta: accumulate ? 1 : 0 }),
      );
      wide.dispose();
    }
  });
  return y;
}

/** Options of `matmul`. */
export interface MatmulOptions {
  /** Take the last two dimensions of `a` transposed. Default false. */
  transA?: boolean;
  /** Take the last two dimensions of `b` transposed. Default false. */
  transB?: boolean;
}

/**
 * Batched matrix product of a [..., m, k] and b [..., k, n] (each transposed on request); leading dimensions are equal, or one side has none and is
 * shared. f32 or bf16, summed in f32.
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transA = false, transB = false } = options;
  if (a.rank < 2) wrongShape("matmul", "a", "[..., m, k]", a.shape);
  if (b.rank < 2) wrongShape("matmul", "b", "[..., k, n]", b.shape);
  requireDtype("matmul", "a", a, "f32", "bf16");
  requireDtype("matmul", "b", b, a.dtype);
  requireSameDevice("matmul", a, b);
  const [a0, a1] = a.shape.slice(-2);
  const [b0, b1] = b.shape.slice(-2);
  const m = transA ? a1 : a0;
  const k = transA ? a0 : a1;
  const n = transB ? b0 : b1;
  if ((transB ? b1 : b0) !== k) {
    throw new ShapeError(
      `matmul: inner lengths differ, a ${showShape(a.shape)} and b ${showShape(b.shape)}.`,
      {
        a: a.shape,
        b: b.shape,
      },
    );
  }
  const aLead = a.shape.slice(0, -2);
  const bLead = b.shape.slice(0, -2);
  const lead = aLead.length > 0 ? aLead : bLead;
  const batch = lead.reduce((product, length) => product * length, 1);
  if (aLead.length > 0 && bLead.length > 0 && aLead.join() !== bLead.join()) {
    throw new ShapeError(
      `matmul: leading dimensions differ, a ${showShape(a.shape)} and b ${showShape(b.shape)}.`,
      {
        a: a.shape,
        b: b.shape,
      },
    );
  }
  const aBatch = aLead.length > 0 ? m * k : 0;
  const bBatch = bLead.length > 0 ? k * n : 0;
  const c = emptyLike(a, [...lead, m, n]);
  product({ a, b, c, batch, m, n, k, transA, transB, aBatch, bBatch });
  record("matmul", [a, b], [c], ([dc], sink) => {
    if (dc === null) return;
    // A shared operand's gradient is the sum over the batch: done matrix by matrix into one f32 target.
    const operand = (
      which: Tensor,
      shared: boolean,
      write: (target: Tensor, index: number, beta: number) => void,
    ) => {
      sink.into(which, (target, accumulate) => {
        const count = shared ? batch : 1;
        for (let i = 0; i < count; i++) write(target, shared ? i : -1, accumulate || i > 0 ? 1 : 0);
      });
    };
    const part = (t: Tensor, index: number, elements: number, rows: number, columns: number): Tensor =>
      index < 0 ? t.alias() : t.alias([rows, columns], index * elements * DTYPE_BYTES[t.dtype]);
    if (sink.wants(a)) {
      operand(a, aBatch === 0 && batch > 1, (target, index, beta) => {
        const dcPart = part(dc, index, m * n, m, n);
        const bPart = bBatch === 0 ? b.alias() : part(b, index, k * n, b0, b1);
        const count = index < 0 ? batch : 1;
        const shareB = bBatch === 0 ? 0 : k * n;
        if (transA) {
          product({
            a: bPart,
            b: dcPart,
            c: target,
            batch: count,
            m: k,
            n: m,
            k: n,
            transA: transB,
            transB: true,
            beta,
            aBatch: shareB,
            bBatch: m * n,
          });
        } else {
          product({
            a: dcPart,
            b: bPart,
            c: target,
            batch: count,
            m,
            n: k,
            k: n,
            transB: !transB,
            beta,
            bBatch: shareB,
          });
        }
        dcPart.dispose();
        bPart.dispose();
      });
    }
    if (sink.wants(b)) {
      operand(b, bBatch === 0 && batch > 1, (target, index, beta) => {
        const dcPart = part(dc, index, m * n, m, n);
        const aPart = aBatch === 0 ? a.alias() : part(a, index, m * k, a0, a1);
        const count = index < 0 ? batch : 1;
        const shareA = aBatch === 0 ? 0 : m * k;
        if (transB) {
          product({
            a: dcPart,
            b: aPart,
            c: target,
            batch: count,
            m: n,
            n: k,
            k: m,
            transA: true,
            transB: transA,
            beta,
            bBatch: shareA,
          });
        } else {
          product({
            a: aPart,
            b: dcPart,
            c: target,
            batch: count,
            m: k,
            n,
            k: m,
            transA: !transA,
            beta,
            aBatch: shareA,
          });
        }
        dcPart.dispose();
        aPart.dispose();
      });
    }
  });
  return c;
}

const GROUPED_NT = 0;
const GROUPED_NN = 1;
const GROUPED_TN = 2;

/**
 * Products over expert segments: rows offsets[e]..offsets[e+1] of x [rows, in] meet weight[e] of weight [experts, out, in]. offsets i32 [experts + 1]
 * stay on the device. Returns [rows, out]. f32 or bf16; weight gradients f32.
 */
export function groupedLinear(x: Tensor, weight: Tensor, offsets: Tensor): Tensor {
  if (x.rank !== 2) wrongShape("groupedLinear", "x", "[rows, in]", x.shape);
  const [rows, k] = x.shape;
  if (weight.rank !== 3 || weight.shape[2] !== k)
    wrongShape("groupedLinear", "weight", `[experts, out, ${k}]`, weight.shape);
  const [experts, n] = weight.shape;
  if (offsets.size !== experts + 1) wrongShape("groupedLinear", "offsets", `[${experts + 1}]`, offsets.shape);
  requireDtype("groupedLinear", "x", x, "f32", "bf16");
  requireDtype("groupedLinear", "weight", weight, x.dtype);
  requireDtype("groupedLinear", "offsets", offsets, "i32");
  const y = emptyLike(x, [rows, n]);
  const call = (a: Tensor, b: Tensor, c: Tensor, width: number, inner: number, mode: number, beta: number) =>
    run(
      x,
      "groupedMatmul",
      a.use(),
      b.use(),
      c.use(),
      offsets.use(),
      experts,
      rows,
      width,
      inner,
      mode,
      beta,
      code(a),
      code(c),
    );
  call(x, weight, y, n, k, GROUPED_NT, 0);
  record("groupedLinear", [x, weight], [y], ([dy], sink) => {
    if (dy === null) return;
    if (sink.wants(x)) {
      const dx = emptyLike(x);
      call(dy, weight, dx, k, n, GROUPED_NN, 0);
      sink.give(x, dx);
    }
    if (sink.wants(weight)) {
      sink.into(weight, (target, accumulate) => call(dy, x, target, n, k, GROUPED_TN, accumulate ? 1 : 0));
    }
  });
  return y;
}
