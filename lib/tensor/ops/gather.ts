/** Operations that choose elements by index. Indices are i32; one outside its axis is a KernelError at the next read. */

import { ConfigError } from "../../errors.js";
import type { Dtype } from "../../native/dtype.js";
import { record } from "../autograd.js";
import { sizeOf, type Tensor } from "../tensor.js";
import { linesOf, normaliseAxis, requireSameExcept } from "./axes.js";
import { computeCast, fill, zerosOf } from "./compute.js";
import { code, emptyLike, requireDtype, requireSameDevice, run, wrongShape } from "./kernel.js";
import { expanded } from "./layout.js";

/** out[…, j, …] = x[…, index[…, j, …], …] along `axis`. index has x's shape but for the length of that axis; x any dtype. Returns index's shape. */
export function gather(x: Tensor, axis: number, index: Tensor): Tensor {
  const at = normaliseAxis("gather", axis, x.rank);
  requireDtype("gather", "index", index, "i32");
  requireSameDevice("gather", x, index);
  requireSameExcept("gather", "index", index.shape, x.shape, at);
  const { outer, n, inner } = linesOf(x.shape, [at]);
  const m = index.shape[at];
  const sizes = n === 1 && x.shape[at] === 1 ? [outer, 1, m, inner] : [outer, n, m, inner];
  const y = emptyLike(x, index.shape);
  run(x, "gather", x.use(), index.use(), y.use(), code(x), ...sizes);
  if (x.dtype !== "f32" && x.dtype !== "bf16") return y;
  record("gather", [x], [y], ([dy], sink) => {
    if (dy === null || !sink.wants(x)) return;
    const dx = emptyLike(x);
    run(x, "scatterAdd", dy.use(), index.use(), dx.use(), code(x), ...sizes, 0);
    sink.give(x, dx);
  });
  return y;
}
