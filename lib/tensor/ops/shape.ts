/** Operations that change the shape of a tensor, or where its elements lie. */

import { ShapeError } from "../../errors.js";
import { record } from "../autograd.js";
import { type Shape, showShape, sizeOf, type Tensor } from "../tensor.js";

/** The same elements in another shape of the same size; one length may be −1. Shares the memory. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const known = shape.reduce((product, length) => (length === -1 ? product : product * length), 1);
  const full = shape.map((length) => (length === -1 ? x.size / Math.max(1, known) : length));
  if (sizeOf(full) !== x.size || shape.filter((length) => length === -1).length > 1) {
    throw new ShapeError(`reshape: ${showShape(x.shape)} has ${x.size} elements and cannot become ${showShape(shape)}.`, {
      from: x.shape,
      to: shape,
    });
  }
  const y = x.alias(full);
  record("reshape", [x], [y], ([dy], sink) => {
    if (dy !== null && sink.wants(x)) sink.give(x, dy.move(x.shape));
  });
  return y;
}
