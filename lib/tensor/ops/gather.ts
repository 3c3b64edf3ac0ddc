/** Operations that choose elements by index. Indices are i32; one outside its axis is a KernelError at the next read. */

import { ConfigError } from "../../errors.js";
import type { Dtype } from "../../native/dtype.js";
import { record } from "../autograd.js";
import { sizeOf, type Tensor } from "../tensor.js";
import { axisView, normaliseAxis, requireSameExcept } from "./axes.js";
import { computeCast, fill } from "./compute.js";
import { code, emptyLike, flag, requireDtype, requireSameDevice, run, wrongShape } from "./kernel.js";
import { expanded } from "./layout.js";

/** The index's place in x seen as [outer, n, inner], with m indices a line. */
function view(
  op: string,
  x: Tensor,
  axis: number,
  index: Tensor,
): [outer: number, n: number, m: number, inner: number] {
  const at = normaliseAxis(op, axis, x.rank);
  requireDtype(op, "index", index, "i32");
  requireSameDevice(op, x, index);
  requireSameExcept(op, "index", index.shape, x.shape, at);
  const { outer, n, inner } = axisView(x.shape, at);
  return [outer, n, index.shape[at], inner];
}

function pick(x: Tensor, index: Tensor, sizes: readonly number[]): Tensor {
  const y = emptyLike(x, index.shape);
  run(x, "gather", x.use(), index.use(), y.use(), code(x), ...sizes);
  return y;
}

function addAt(src: Tensor, index: Tensor, out: Tensor, sizes: readonly number[], accumulate: boolean): void {
  run(src, "scatterAdd", src.use(), index.use(), out.use(), code(src), ...sizes, flag(accumulate));
}

/**
 * out[…, j, …] = x[…, index[…, j, …], …] along `axis`. `index` has x's shape but for the length of that axis; x of any dtype, differentiable for f32 and
 * bf16. Returns index's shape.
 */
export function gather(x: Tensor, axis: number, index: Tensor): Tensor {
  const sizes = view("gather", x, axis, index);
  const y = pick(x, index, sizes);
  if (x.dtype !== "f32" && x.dtype !== "bf16") return y;
  record("gather", [x], [y], ([dy], sink) => {
    if (dy === null || !sink.wants(x)) return;
    const dx = emptyLike(x);
    addAt(dy, index, dx, sizes, false);
    sink.give(x, dx);
  });
  return y;
}

/**
 * A copy of x with out[…, index[…, j, …], …] += src[…, j, …] along `axis`, j ascending. `index` and `src` have x's shape but for the length of that axis;
 * f32 or bf16 (each addition rounded).
 */
export function scatterAdd(x: Tensor, axis: number, index: Tensor, src: Tensor): Tensor {
  const op = "scatterAdd";
  const sizes = view(op, x, axis, index);
  requireDtype(op, "x", x, "f32", "bf16");
  requireDtype(op, "src", src, x.dtype);
  requireSameDevice(op, x, src);
  requireSameExcept(op, "src", src.shape, index.shape, -1);
  const y = computeCast(x, x.dtype);
  addAt(src, index, y, sizes, true);
  record(op, [x, src], [y], ([dy], sink) => {
    if (dy === null) return;
    if (sink.wants(src)) sink.give(src, pick(dy, index, sizes));
    if (sink.wants(x)) sink.give(x, dy.move(x.shape));
  });
  return y;
}

/** Rows x[index[j]] along the first axis: x [n, …] of any dtype, index i32 [m]. Returns [m, …]. The gradient is summed in f32, in the order of the index. */
export function indexSelect(x: Tensor, index: Tensor): Tensor {
  const op = "indexSelect";
  requireDtype(op, "index", index, "i32");
  requireSameDevice(op, x, index);
  if (x.rank === 0) wrongShape(op, "x", "[n, ...]", x.shape);
  if (index.rank !== 1) wrongShape(op, "index", "[m]", index.shape);
  const [n, ...rest] = x.shape;
  const width = sizeOf(rest);
  const shape = [index.size, ...rest];
  if (x.dtype !== "f32" && x.dtype !== "bf16") {
    const everywhere = expanded(op, index, [index.size, 1], [index.size, width]);
    const y = pick(x, everywhere, [1, n, index.size, width]).move(shape);
    everywhere.dispose();
    return y;
  }
  const y = emptyLike(x, shape);
  run(x, "embeddingForward", index.use(), x.use(), y.use(), index.size, width, n, code(x));
  record(op, [x], [y], ([dy], sink) => {
    if (dy === null || !sink.wants(x)) return;
    sink.into(x, (target, accumulate) =>
      run(
        dy,
        "embeddingBackward",
        index.use(),
        dy.use(),
        target.use(),
        index.size,
        width,
        n,
        code(dy),
        flag(accumulate),
      ),
    );
  });
  return y;
}

/** Rows of 0 with a 1 at each id: ids i32 of any shape, in [0, classes). Returns [...ids, classes], f32 by default. */
export function oneHot(ids: Tensor, classes: number, options: { dtype?: Dtype } = {}): Tensor {
  const { dtype = "f32" } = options;
  requireDtype("oneHot", "ids", ids, "i32");
  if (!Number.isInteger(classes) || classes < 0) {
    throw new ConfigError(`oneHot: classes must be a non-negative integer, got ${classes}.`, { classes });
  }
  const float = dtype === "bf16" ? "bf16" : "f32";
  const ones = fill(emptyLike(ids, ids.shape, float), 1);
  const hot = emptyLike(ids, [...ids.shape, classes], float);
  addAt(ones, ids, hot, [ids.size, classes, 1, 1], false);
  ones.dispose();
  if (float === dtype) return hot;
  const result = computeCast(hot, dtype);
  hot.dispose();
  return result;
}
