/** Operations that change the shape of a tensor, or where its elements lie. Any dtype; gradients for f32 and bf16. */

import { ShapeError } from "../../errors.js";
import { DTYPE_BYTES } from "../../native/dtype.js";
import { record } from "../autograd.js";
import { type Shape, showShape, sizeOf, type Tensor } from "../tensor.js";
import { normaliseAxes, normaliseAxis, requireSameExcept, sumTo } from "./axes.js";
import { zerosOf } from "./compute.js";
import { emptyLike, requireDtype, requireSameDevice } from "./kernel.js";
import {
  broadcastShape,
  contiguousStrides,
  copyStrided,
  expanded,
  inverseOrder,
  permuted,
  sameShape,
} from "./layout.js";

/** The same elements in another shape of the same size; one length may be −1. Shares the memory. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const open = shape.indexOf(-1);
  const known = shape.reduce((product, length, d) => (d === open ? product : product * length), 1);
  const full = shape.map((length, d) => (d === open ? (known === 0 ? 0 : x.size / known) : length));
  if (sizeOf(full) !== x.size || !full.every((length) => Number.isInteger(length) && length >= 0)) {
    throw new ShapeError(
      `reshape: ${showShape(x.shape)} has ${x.size} elements and cannot become ${showShape(shape)}.`,
      {
        from: x.shape,
        to: shape,
      },
    );
  }
  const y = x.alias(full);
  record("reshape", [x], [y], ([dy], sink) => {
    if (dy !== null && sink.wants(x)) sink.give(x, dy.move(x.shape));
  });
  return y;
}

/** Joins the axes from `start` to `end` (both included) into one. Shares the memory. */
export function flatten(x: Tensor, start = 0, end = -1): Tensor {
  if (x.rank === 0) return reshape(x, [1]);
  const first = normaliseAxis("flatten", start, x.rank);
  const last = normaliseAxis("flatten", end, x.rank);
  if (first > last) throw new ShapeError(`flatten: axis ${start} comes after axis ${end}.`, { start, end });
  return reshape(x, [
    ...x.shape.slice(0, first),
    sizeOf(x.shape.slice(first, last + 1)),
    ...x.shape.slice(last + 1),
  ]);
}

/** Drops axes of length 1: those given (which must have it), or all. Shares the memory. */
export function squeeze(x: Tensor, axes?: number | readonly number[]): Tensor {
  if (axes === undefined)
    return reshape(
      x,
      x.shape.filter((length) => length !== 1),
    );
  const dropped = normaliseAxes("squeeze", axes, x.rank);
  for (const axis of dropped) {
    if (x.shape[axis] !== 1)
      throw new ShapeError(
        `squeeze: axis ${axis} of ${showShape(x.shape)} has length ${x.shape[axis]}, not 1.`,
        { axis, shape: x.shape },
      );
  }
  return reshape(
    x,
    x.shape.filter((_, d) => !dropped.includes(d)),
  );
}

/** Inserts an axis of length 1 before `axis`; −1 appends one. Shares the memory. */
export function unsqueeze(x: Tensor, axis: number): Tensor {
  const at = normaliseAxis("unsqueeze", axis, x.rank + 1);
  return reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
}

/** Reorders the axes: axis d of the result is axis order[d] of x. Copies. */
export function permute(x: Tensor, order: readonly number[]): Tensor {
  const axes = order.map((axis) => normaliseAxis("permute", axis, x.rank));
  if (axes.length !== x.rank || new Set(axes).size !== x.rank) {
    throw new ShapeError(
      `permute: [${order.join(", ")}] does not name each of the ${x.rank} axes of ${showShape(x.shape)} once.`,
      {
        order,
        shape: x.shape,
      },
    );
  }
  const y = permuted("permute", x, axes);
  record("permute", [x], [y], ([dy], sink) => {
    if (dy !== null && sink.wants(x)) sink.give(x, permuted("permute", dy, inverseOrder(axes)));
  });
  return y;
}

/** Exchanges two axes (default the last two). Copies. */
export function transpose(x: Tensor, axis0 = -2, axis1 = -1): Tensor {
  const a = normaliseAxis("transpose", axis0, x.rank);
  const b = normaliseAxis("transpose", axis1, x.rank);
  return permute(
    x,
    [...x.shape.keys()].map((d) => (d === a ? b : d === b ? a : d)),
  );
}

/** Copies between a part of `whole`, from `start` along `axis`, and `part`, which has the part's shape. */
function copyPart(
  op: string,
  direction: "out" | "in",
  whole: Tensor,
  axis: number,
  start: number,
  part: Tensor,
): void {
  const strides = contiguousStrides(whole.shape);
  const offset = start * strides[axis];
  const own = contiguousStrides(part.shape);
  if (direction === "out") copyStrided(op, whole, part, part.shape, strides, own, { srcOffset: offset });
  else copyStrided(op, part, whole, part.shape, own, strides, { dstOffset: offset });
}

/** The part of x from `start` to `end` along an axis: shares the memory where the part is contiguous, else copies. */
function partOf(op: string, x: Tensor, axis: number, start: number, end: number): Tensor {
  const shape = x.shape.map((length, d) => (d === axis ? end - start : length));
  if (sizeOf(x.shape.slice(0, axis)) === 1) {
    return x.alias(shape, start * sizeOf(x.shape.slice(axis + 1)) * DTYPE_BYTES[x.dtype]);
  }
  const y = emptyLike(x, shape);
  copyPart(op, "out", x, axis, start, y);
  return y;
}

/**
 * Elements `start` to `end` (not included) along an axis, as `Array.prototype.slice` counts: negative positions from the end, positions beyond it clipped.
 * Along the first axis it shares the memory.
 */
export function slice(
  x: Tensor,
  axis: number,
  start: number,
  end: number = Number.POSITIVE_INFINITY,
): Tensor {
  const at = normaliseAxis("slice", axis, x.rank);
  const length = x.shape[at];
  const clip = (position: number): number =>
    Math.min(Math.max(position < 0 ? position + length : position, 0), length);
  const from = clip(start);
  const y = partOf("slice", x, at, from, Math.max(from, clip(end)));
  record("slice", [x], [y], ([dy], sink) => {
    if (dy === null || !sink.wants(x)) return;
    const dx = zerosOf(dy, x.shape);
    copyPart("slice", "in", dx, at, from, dy);
    sink.give(x, dx);
  });
  return y;
}

/** Cuts x along an axis (default the first) into parts of the given lengths, or into parts of one length (the last may be shorter). */
export function split(x: Tensor, lengths: number | readonly number[], axis = 0): Tensor[] {
  const at = normaliseAxis("split", axis, x.rank);
  const total = x.shape[at];
  const parts: number[] = [];
  if (typeof lengths === "number") {
    if (!Number.isInteger(lengths) || lengths < 1)
      throw new ShapeError(`split: the length of the parts must be a positive integer, got ${lengths}.`, {
        lengths,
      });
    for (let start = 0; start < total; start += lengths) parts.push(Math.min(lengths, total - start));
  } else {
    parts.push(...lengths);
  }
  if (
    parts.some((length) => !Number.isInteger(length) || length < 0) ||
    parts.reduce((sum, length) => sum + length, 0) !== total
  ) {
    throw new ShapeError(
      `split: lengths [${parts.join(", ")}] must add up to ${total}, the length of axis ${axis} of ${showShape(x.shape)}.`,
      {
        lengths,
        shape: x.shape,
      },
    );
  }
  const starts: number[] = [];
  let position = 0;
  for (const length of parts) {
    starts.push(position);
    position += length;
  }
  const outputs = parts.map((length, i) => partOf("split", x, at, starts[i], starts[i] + length));
  record("split", [x], outputs, (gradients, sink) => {
    if (!sink.wants(x)) return;
    const complete = gradients.every((gradient) => gradient !== null);
    const dx = complete ? emptyLike(x) : zerosOf(x);
    gradients.forEach((gradient, i) => {
      if (gradient !== null) copyPart("split", "in", dx, at, starts[i], gradient);
    });
    sink.give(x, dx);
  });
  return outputs;
}

/** Joins tensors along an axis (default the first); they have one dtype and agree in all other lengths. */
export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  const [first] = tensors;
  if (first === undefined) throw new ShapeError("concat: expected at least one tensor, got none.");
  const at = normaliseAxis("concat", axis, first.rank);
  tensors.forEach((t, i) => {
    requireDtype("concat", `tensors[${i}]`, t, first.dtype);
    requireSameDevice("concat", first, t);
    requireSameExcept("concat", `tensors[${i}]`, t.shape, first.shape, at);
  });
  const starts: number[] = [];
  let total = 0;
  for (const t of tensors) {
    starts.push(total);
    total += t.shape[at];
  }
  const y = emptyLike(
    first,
    first.shape.map((length, d) => (d === at ? total : length)),
  );
  tensors.forEach((t, i) => {
    copyPart("concat", "in", y, at, starts[i], t);
  });
  record("concat", tensors, [y], ([dy], sink) => {
    if (dy === null) return;
    tensors.forEach((t, i) => {
      if (sink.wants(t)) sink.give(t, partOf("concat", dy, at, starts[i], starts[i] + t.shape[at]));
    });
  });
  return y;
}

/** Joins tensors of one shape along a new axis (default the first). */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  const [first] = tensors;
  if (first === undefined) throw new ShapeError("stack: expected at least one tensor, got none.");
  const at = normaliseAxis("stack", axis, first.rank + 1);
  const layer = (length: number): number[] => [...first.shape.slice(0, at), length, ...first.shape.slice(at)];
  tensors.forEach((t, i) => {
    requireDtype("stack", `tensors[${i}]`, t, first.dtype);
    requireSameDevice("stack", first, t);
    requireSameExcept("stack", `tensors[${i}]`, t.shape, first.shape, -1);
  });
  const y = emptyLike(first, layer(tensors.length));
  tensors.forEach((t, i) => {
    const view = t.alias(layer(1));
    copyPart("stack", "in", y, at, i, view);
    view.dispose();
  });
  record("stack", tensors, [y], ([dy], sink) => {
    if (dy === null) return;
    tensors.forEach((t, i) => {
      if (sink.wants(t)) sink.give(t, partOf("stack", dy, at, i, i + 1));
    });
  });
  return y;
}

/** x repeated to a larger shape by NumPy's rule; −1 keeps a length. Copies. */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  const missing = shape.length - x.rank;
  const full = shape.map((length, d) => (length === -1 && d >= missing ? x.shape[d - missing] : length));
  if (missing < 0 || !sameShape(broadcastShape("broadcastTo", x.shape, full), full)) {
    throw new ShapeError(`broadcastTo: ${showShape(x.shape)} cannot be repeated to ${showShape(shape)}.`, {
      from: x.shape,
      to: shape,
    });
  }
  const y = expanded("broadcastTo", x, x.shape, full);
  record("broadcastTo", [x], [y], ([dy], sink) => {
    if (dy === null || !sink.wants(x)) return;
    sink.give(x, dy.size === x.size ? dy.move(x.shape) : sumTo(dy, x.shape));
  });
  return y;
}

/** The PyTorch name of `broadcastTo`. */
export const expand = broadcastTo;

/** Adds zeros before and after: `widths` has a pair [before, after] for each of the last axes, in the order of the shape. */
export function pad(x: Tensor, widths: readonly (readonly [before: number, after: number])[]): Tensor {
  const untouched = x.rank - widths.length;
  if (untouched < 0 || !widths.flat().every((width) => Number.isInteger(width) && width >= 0)) {
    throw new ShapeError(
      `pad: widths must be at most ${x.rank} pairs of non-negative integers for shape ${showShape(x.shape)}, got ${JSON.stringify(widths)}.`,
      { widths, shape: x.shape },
    );
  }
  const before = x.shape.map((_, d) => (d < untouched ? 0 : widths[d - untouched][0]));
  const shape = x.shape.map((length, d) =>
    d < untouched ? length : length + widths[d - untouched][0] + widths[d - untouched][1],
  );
  const strides = contiguousStrides(shape);
  const own = contiguousStrides(x.shape);
  const offset = before.reduce((sum, width, d) => sum + width * strides[d], 0);
  const y = zerosOf(x, shape);
  copyStrided("pad", x, y, x.shape, own, strides, { dstOffset: offset });
  record("pad", [x], [y], ([dy], sink) => {
    if (dy === null || !sink.wants(x)) return;
    const dx = emptyLike(x);
    copyStrided("pad", dy, dx, x.shape, strides, own, { srcOffset: offset });
    sink.give(x, dx);
  });
  return y;
}
