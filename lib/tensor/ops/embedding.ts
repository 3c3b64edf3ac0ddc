/** Table look-up. */

import { record } from "../autograd.js";
import type { Tensor } from "../tensor.js";
import { code, emptyLike, requireDtype, requireSameDevice, run, wrongShape } from "./kernel.js";

/**
 * Rows of a table: weight [vocab, width], ids i32 of any shape → [...ids, width]. The gradient of the table is f32 and summed in the order of the ids.
 * An id outside [0, vocab) is a KernelError at the next read.
 */
export function embedding(ids: Tensor, weight: Tensor): Tensor {
  requireDtype("embedding", "ids", ids, "i32");
  requireDtype("embedding", "weight", weight, "f32", "bf16");
  requireSameDevice("embedding", ids, weight);
  if (weight.rank !== 2) wrongShape("embedding", "weight", "[vocab, width]", weight.shape);
  const [vocab, width] = weight.shape;
  const out = emptyLike(weight, [...ids.shape, width]);
  run(out, "embeddingForward", ids.use(), weight.use(), out.use(), ids.size, width, vocab, code(weight));
  record("embedding", [weight], [out], ([dy], sink) => {
    if (dy === null || !sink.wants(weight)) return;
    sink.into(weight, (target, accumulate) =>
      run(
        dy,
        "embeddingBackward",
        ids.use(),
        dy.use(),
        target.use(),
        ids.size,
        width,
        vocab,
        code(dy),
        accumulate ? 1 : 0,
      ),
    );
  });
  return out;
}
