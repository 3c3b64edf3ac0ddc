/** Rotary position embedding. */

import { record } from "../autograd.js";
import type { Tensor } from "../tensor.js";
import { code, emptyLike, flag, requireDtype, requireSameDevice, run, wrongShape } from "./kernel.js";

/** Cosines and sines of every position: f32 [positions, rotary/2] each, scaling included. */
export interface RotaryTable {
  cos: Tensor;
  sin: Tensor;
}

/** Options of `rope`. */
export interface RopeOptions {
  /** First rotated channel of each head. Default 0. */
  offset?: number;
  /** The input's pairs are channels (2j, 2j+1); otherwise (j, j + rotary/2). Default false. */
  inputInterleaved?: boolean;
  /** The same for the output. Default: as the input. */
  outputInterleaved?: boolean;
  /** Rotate in the input's memory, which must be the output of an operation that does not need it. Default false. */
  inPlace?: boolean;
}

/** Where heads lie in memory: element (t, h, c) at offset + t·row + h·head + c, in elements. */
export interface HeadLayout {
  tokens: number;
  heads: number;
  headSize: number;
  row: number;
  head: number;
}

/** @internal One rotation from `x` to `y`, which may be the same memory. */
export function rotate(
  x: Tensor,
  xLayout: HeadLayout,
  y: Tensor,
  yLayout: HeadLayout,
  positions: Tensor,
  table: RotaryTable,
  offset: number,
  inputInterleaved: boolean,
  outputInterleaved: boolean,
  inverse: boolean,
): void {
  const [maxPositions, half] = table.cos.shape;
  run(
    x,
    "rope",
    x.use(),
    y.use(),
    positions.use(),
    table.cos.use(),
    table.sin.use(),
    xLayout.tokens,
    xLayout.heads,
    xLayout.headSize,
    2 * half,
    offset,
    xLayout.row,
    xLayout.head,
    yLayout.row,
    yLayout.head,
    flag(inputInterleaved),
    flag(outputInterleaved),
    flag(inverse),
    maxPositions,
    code(x),
  );
}

/**
 * Rotates 2·table.cos.shape[1] channels of every head by the angles of its position (Su et al. 2021). x [tokens, heads, headSize] f32 or bf16,
 * positions i32 [tokens].
 */
export function rope(x: Tensor, positions: Tensor, table: RotaryTable, options: RopeOptions = {}): Tensor {
  const {
    offset = 0,
    inputInterleaved = false,
    outputInterleaved = inputInterleaved,
    inPlace = false,
  } = options;
  requireDtype("rope", "x", x, "f32", "bf16");
  requireDtype("rope", "positions", positions, "i32");
  requireSameDevice("rope", x, positions, table.cos);
  if (x.rank !== 3) wrongShape("rope", "x", "[tokens, heads, headSize]", x.shape);
  const [tokens, heads, headSize] = x.shape;
  if (positions.size !== tokens) wrongShape("rope", "positions", `[${tokens}]`, positions.shape);
  if (offset + 2 * table.cos.shape[1] > headSize) {
    wrongShape("rope", "x", `[tokens, heads, at least ${offset + 2 * table.cos.shape[1]}]`, x.shape);
  }
  const layout = { tokens, heads, headSize, row: heads * headSize, head: headSize };
  const y = inPlace ? x.alias() : emptyLike(x);
  rotate(x, layout, y, layout, positions, table, offset, inputInterleaved, outputInterleaved, false);
  record("rope", [x], [y], ([dy], sink) => {
    if (dy === null || !sink.wants(x)) return;
    // A gradient that nobody else holds is turned back in its own memory.
    const source = dy.shared ? dy : dy.move(x.shape);
    const dx = dy.shared ? emptyLike(x) : source;
    rotate(source, layout, dx, layout, positions, table, offset, outputInterleaved, inputInterleaved, true);
    sink.give(x, dx);
  });
  return y;
}
