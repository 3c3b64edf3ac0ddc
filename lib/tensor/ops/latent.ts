/** The latent path of multi-head latent attention (DeepSeek-V2 report, §2.1): what follows the joint down-projection of keys and values. */

import { record } from "../autograd.js";
import type { Tensor } from "../tensor.js";
import { code, emptyLike, flag, requireDtype, run, wrongShape } from "./kernel.js";
import { type RotaryTable, rotate } from "./rope.js";

/** The cached form of keys and values. */
export interface Latent {
  /** Normalised latent, [tokens, latentWidth]. */
  latent: Tensor;
  /** Rotated key that all heads share, [tokens, rotary]. */
  sharedKey: Tensor;
}

/** Options of `splitLatent`. */
export interface LatentOptions {
  eps: number;
  inputInterleaved: boolean;
  outputInterleaved: boolean;
}

/**
 * Splits x [tokens, latentWidth + rotary] into RMSNorm(first part)·weight and the rotated second part, reading x in place. weight [latentWidth];
 * positions i32 [tokens]; f32 or bf16.
 */
export function splitLatent(
  x: Tensor,
  weight: Tensor,
  positions: Tensor,
  table: RotaryTable,
  options: LatentOptions,
): Latent {
  const { eps, inputInterleaved, outputInterleaved } = options;
  requireDtype("splitLatent", "x", x, "f32", "bf16");
  requireDtype("splitLatent", "weight", weight, x.dtype);
  const latentWidth = weight.size;
  const rotary = 2 * table.cos.shape[1];
  const row = latentWidth + rotary;
  if (x.rank !== 2 || x.shape[1] !== row) wrongShape("splitLatent", "x", `[tokens, ${row}]`, x.shape);
  const tokens = x.shape[0];
  const latent = emptyLike(x, [tokens, latentWidth]);
  const sharedKey = emptyLike(x, [tokens, rotary]);
  const rstd = emptyLike(x, [tokens], "f32");
  run(
    x,
    "rmsNormForward",
    x.use(),
    0,
    weight.use(),
    latent.use(),
    0,
    rstd.use(),
    tokens,
    latentWidth,
    row,
    code(x),
    eps,
  );
  const keyPart = (t: Tensor): Tensor => {
    const bytes = t.byteLength / Math.max(1, t.size);
    const part = t.alias([Math.max(0, t.size - latentWidth)], t.size === 0 ? 0 : latentWidth * bytes);
    return part;
  };
  const inner = { tokens, heads: 1, headSize: rotary, row, head: rotary };
  const outer = { tokens, heads: 1, headSize: rotary, row: rotary, head: rotary };
  const source = keyPart(x);
  rotate(source, inner, sharedKey, outer, positions, table, 0, inputInterleaved, outputInterleaved, false);
  source.dispose();
  record(
    "splitLatent",
    [x, weight],
    [latent, sharedKey],
    ([dlatent, dkey], sink) => {
      const dx = emptyLike(x);
      const target = keyPart(dx);
      if (dkey === null || dlatent === null) run(dx, "fill", dx.use(), dx.size, code(dx), 0);
      if (dkey !== null) {
        rotate(dkey, outer, target, inner, positions, table, 0, outputInterleaved, inputInterleaved, true);
      }
      target.dispose();
      dx.shared = false;
      if (dlatent !== null) {
        const write = (dweight: Tensor | null, accumulate: boolean): void =>
          run(
            x,
            "rmsNormBackward",
            dlatent.use(),
            0,
            x.use(),
            weight.use(),
            rstd.use(),
            dx.use(),
            dweight?.use() ?? 0,
            tokens,
            latentWidth,
            row,
            row,
            code(x),
            flag(accumulate),
          );
        if (sink.wants(weight)) sink.into(weight, write);
        else write(null, false);
      }
      if (sink.wants(x)) sink.give(x, dx);
      else dx.dispose();
    },
    [rstd],
  );
  return { latent, sharedKey };
}
