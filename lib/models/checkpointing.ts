/**
 * What a model's blocks compute again in the backward pass instead of keeping it: everything, or parts of a block ("selective" in Megatron).
 */

import { ConfigError, didYouMean } from "../errors.js";
import { checkpoint, discardOutput } from "../tensor/checkpoint.js";
import type { Tensor } from "../tensor/tensor.js";

/**
 * Parts of a block. `attention`: the attention layer with its projections; `mlp`: the feed-forward layer, router and experts included; `norm`: the outputs
 * of the norms before both; `activation`: what GELU or SwiGLU puts out; `mla_up_proj`: keys and values of latent attention, expanded from the latents.
 */
export const CHECKPOINT_PARTS = ["attention", "mlp", "norm", "activation", "mla_up_proj"] as const;
export type CheckpointPart = (typeof CHECKPOINT_PARTS)[number];

/** false keeps everything, true or "full" recomputes whole blocks, a list the named parts. */
export type Checkpointing = boolean | "full" | readonly CheckpointPart[];

/** Whether whole blocks are recomputed. */
export function isFull(checkpointing: Checkpointing): boolean {
  return checkpointing === true || checkpointing === "full";
}

/** Whether a part is recomputed by itself. */
export function recomputes(checkpointing: Checkpointing, part: CheckpointPart): boolean {
  return typeof checkpointing === "object" && checkpointing.includes(part);
}

/** Checks a value from outside: true, false, "full", "none", or names of parts separated by commas. */
export function parseCheckpointing(value: unknown): Checkpointing {
  if (typeof value === "boolean" || value === "full") return value;
  if (value === "none") return false;
  const names = typeof value === "string" ? value.split(",").map((name) => name.trim()) : value;
  if (!Array.isArray(names)) {
    throw new ConfigError(
      `checkpointing must be true, false, "full" or a list of ${CHECKPOINT_PARTS.join(", ")}, got ${JSON.stringify(value)}.`,
      { checkpointing: value },
    );
  }
  for (const name of names) {
    if ((CHECKPOINT_PARTS as readonly unknown[]).includes(name)) continue;
    throw new ConfigError(
      `checkpointing: there is no part "${String(name)}"; expected none, full, or some of ${CHECKPOINT_PARTS.join(", ")}.${didYouMean(String(name), CHECKPOINT_PARTS)}`,
      { part: name, known: CHECKPOINT_PARTS },
    );
  }
  return names as CheckpointPart[];
}

/** `body()`, recomputed in the backward pass when `part` is chosen. Its gradients flow to `x` and to parameters inside. */
export function recomputed<R extends Tensor | Tensor[]>(
  checkpointing: Checkpointing,
  part: CheckpointPart,
  body: (x: Tensor) => R,
  x: Tensor,
): R {
  return recomputes(checkpointing, part) ? checkpoint(body, x) : body(x);
}

/** Frees an output that was used already when `part` is chosen; `again` makes it for the backward pass. */
export function discarded(
  checkpointing: Checkpointing,
  part: CheckpointPart,
  output: Tensor,
  again: () => Tensor,
): void {
  if (recomputes(checkpointing, part)) discardOutput(output, again);
}
