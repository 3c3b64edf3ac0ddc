/** Fused attention over packed sequences; scores are never stored. */

import { ShapeError } from "../../errors.js";
import { record } from "../autograd.js";
import { type Tensor, tensor } from "../tensor.js";
import {
  code,
  emptyLike,
  flag,
  optional,
  requireDtype,
  requireSameDevice,
  run,
  wrongShape,
} from "./kernel.js";
import { reshape } from "./shape.js";

/** Which rows of a packed batch belong together. */
export interface Segments {
  /** i32 [segments + 1]: segment s is rows cu[s] to cu[s + 1]. */
  cu: Tensor;
  /** Number of segments. */
  count: number;
}

/** Segments from their lengths. Dispose `cu` (or make it inside a scope). */
export function segmentsOf(lengths: readonly number[]): Segments {
  const cu = new Int32Array(lengths.length + 1);
  lengths.forEach((length, i) => {
    cu[i + 1] = cu[i] + length;
  });
  return { cu: tensor(cu), count: lengths.length };
}

/** Rows of the keys that lie in pages of equal size, anywhere in one pool. */
export interface KeyPages {
  /** i32 [segments, columns]: key j of segment s is row `table[s, ⌊j/size⌋]·size + j mod size` of the keys and values. Entries behind the last key are not read. */
  table: Tensor;
  /** Rows of a page: a power of two. */
  size: number;
  /** Pages of the pool. */
  count: number;
}

/** Where the keys of each segment lie, when not where its queries do. */
export type KeySegments =
  /** Starts, i32 [count + 1]; [count] when `lengths`, i32 [count], is given. */
  | { cu: Tensor; lengths?: Tensor; pages?: undefined }
  /** Pages; such attention has no gradient. */
  | { pages: KeyPages; lengths: Tensor; cu?: undefined };

/** Options common to every form of attention. */
export interface AttentionOptions {
  /** Query and key segments; equal for self-attention. */
  segments: Segments;
  /** Key segments when they differ from the queries' (a cache). */
  keySegments?: KeySegments;
  /** Factor of the scores. Default 1/√(query head size). */
  scale?: number;
  /** Keys after the query are masked; query and key segments are aligned at their ends. Default true. */
  causal?: boolean;
  /** Only this many keys up to the query's own position are seen; 0 means all. Default 0. */
  window?: number;
  /** Scores become c·tanh(score/c); 0 turns it off. Default 0. */
  softcap?: number;
}

/** A part of a tensor's rows that holds heads: element (t, h, c) at t·row + offset + h·head + c. */
export interface HeadPart {
  tensor: Tensor;
  heads: number;
  /** Channels per head. */
  size: number;
  /** Elements from row to row. */
  row: number;
  /** Elements from head to head. */
  head: number;
  /** First element within the row. Default 0. */
  offset?: number;
}

/** What attention reads: queries, keys, values, and (MLA) key channels that all heads share. */
export interface AttentionInputs {
  q: HeadPart;
  k: HeadPart;
  v: HeadPart;
  /** Last key channels, shared by all heads: [rows, size]. */
  kShared?: { tensor: Tensor; size: number };
}

const BYTES = { f32: 4, bf16: 2 } as const;

/** The address of a part as a view; the kernel strides over it. */
function at(part: HeadPart, t: Tensor = part.tensor): Tensor {
  const offset = part.offset ?? 0;
  return t.alias(
    [Math.max(0, t.size - offset)],
    t.size === 0 ? 0 : offset * BYTES[t.dtype as "f32" | "bf16"],
  );
}

/** Checks a page table against the number of segments and the rows of the pool. */
function checkPages({ table, size, count }: KeyPages, segments: number, rows: number): void {
  const op = "attention";
  requireDtype(op, "pages.table", table, "i32");
  if (table.rank !== 2 || table.shape[0] !== segments) {
    wrongShape(op, "pages.table", `[${segments}, columns]`, table.shape);
  }
  if (count * size > rows) {
    throw new ShapeError(
      `attention: a pool of ${count} pages of ${size} rows needs ${count * size} rows of keys, got ${rows}.`,
      { pages: count, pageSize: size, rows },
    );
  }
}

/**
 * softmax(scale·q·kᵀ + mask)·v for heads that lie anywhere in the rows of their tensors (fused projections need no copy). Returns [tokens, heads, vSize].
 * Gradients flow to every tensor named in `inputs`; parts of one tensor share one gradient and must not overlap.
 */
export function attentionParts(inputs: AttentionInputs, options: AttentionOptions): Tensor {
  const { q, k, v, kShared } = inputs;
  const { segments, keySegments, causal = true, window = 0, softcap = 0 } = options;
  const op = "attention";
  requireDtype(op, "q", q.tensor, "f32", "bf16");
  for (const [name, t] of [
    ["k", k.tensor],
    ["v", v.tensor],
    ["kShared", kShared?.tensor],
  ] as const) {
    if (t !== undefined) requireDtype(op, name, t, q.tensor.dtype);
  }
  requireSameDevice(op, q.tensor, k.tensor, v.tensor, kShared?.tensor, segments.cu);
  if (k.heads !== v.heads || k.heads < 1 || q.heads % k.heads !== 0) {
    throw new ShapeError(
      `attention: ${q.heads} query heads need a divisor as number of key heads, got ${k.heads} keys and ${v.heads} values.`,
      {
        heads: q.heads,
        keyHeads: k.heads,
      },
    );
  }
  const shared = kShared?.size ?? 0;
  if (q.size !== k.size + shared) {
    throw new ShapeError(
      `attention: query heads have ${q.size} channels, keys ${k.size + shared}; they must agree.`,
      {
        query: q.size,
        key: k.size + shared,
      },
    );
  }
  if (segments.cu.size !== segments.count + 1)
    wrongShape(op, "segments.cu", `[${segments.count + 1}]`, segments.cu.shape);
  requireDtype(op, "segments.cu", segments.cu, "i32");
  const tokens = q.row === 0 ? 0 : q.tensor.size / q.row;
  const keyTokens = k.row === 0 ? 0 : k.tensor.size / k.row;
  const scale = options.scale ?? 1 / Math.sqrt(q.size);
  const out = emptyLike(q.tensor, [tokens, q.heads, v.size]);
  const cuK = keySegments?.cu ?? segments.cu;
  const pages = keySegments?.pages;
  const lse = pages === undefined ? emptyLike(q.tensor, [q.heads, tokens], "f32") : undefined;
  if (pages !== undefined) checkPages(pages, segments.count, keyTokens);
  const sizes = [q.heads, k.heads, q.size, v.size, shared];
  const strides = [q.row, q.head, k.row, k.head, v.row, v.head, q.heads * v.size, v.size, shared];
  const tail = [scale, softcap, flag(causal), window, code(q.tensor)];
  const views = [at(q), at(k), at(v)];
  run(
    q.tensor,
    "attentionForward",
    ...views.map((view) => view.use()),
    optional(kShared?.tensor),
    segments.cu.use(),
    cuK.use(),
    optional(keySegments?.lengths),
    optional(pages?.table),
    out.use(),
    optional(lse),
    segments.count,
    tokens,
    ...sizes,
    ...strides,
    ...(pages === undefined ? [0, 0, 0] : [pages.size, pages.table.shape[1], pages.count]),
    ...tail,
  );
  for (const view of views) view.dispose();
  if (lse === undefined) return out;
  const tensors = [...new Set([q.tensor, k.tensor, v.tensor, ...(kShared ? [kShared.tensor] : [])])];
  record(
    "attention",
    tensors,
    [out],
    ([dout], sink) => {
      if (dout === null) return;
      const gradients = new Map(tensors.map((t) => [t, emptyLike(t)]));
      const of = (t: Tensor): Tensor => gradients.get(t) as Tensor;
      const parts = [at(q), at(k), at(v)];
      const gradientParts = [at(q, of(q.tensor)), at(k, of(k.tensor)), at(v, of(v.tensor))];
      run(
        q.tensor,
        "attentionBackward",
        ...parts.map((part) => part.use()),
        optional(kShared?.tensor),
        segments.cu.use(),
        cuK.use(),
        out.use(),
        lse.use(),
        dout.use(),
        ...gradientParts.map((part) => part.use()),
        kShared ? of(kShared.tensor).use() : 0,
        segments.count,
        tokens,
        keyTokens,
        ...sizes,
        ...strides,
        ...tail,
      );
      for (const part of [...parts, ...gradientParts]) part.dispose();
      for (const [t, gradient] of gradients) {
        gradient.shared = false;
        if (sink.wants(t)) sink.give(t, gradient);
        else gradient.dispose();
      }
    },
    [lse],
  );
  return out;
}

/**
 * Attention of q [tokens, heads, size] over k [keys, keyHeads, size] and v [keys, keyHeads, vSize]; keyHeads divides heads (grouped heads), f32 or bf16,
 * softmax in f32 (Dao et al. 2022). Returns [tokens, heads, vSize].
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const part = (name: string, t: Tensor): HeadPart => {
    if (t.rank !== 3) wrongShape("attention", name, "[tokens, heads, size]", t.shape);
    const [, heads, size] = t.shape;
    return { tensor: t, heads, size, row: heads * size, head: size };
  };
  // Parts of one tensor share its gradient and must not overlap, so a tensor that is given twice gets a second name on the tape.
  const keys = k === q ? reshape(k, k.shape) : k;
  const values = v === q || v === k ? reshape(v, v.shape) : v;
  return attentionParts({ q: part("q", q), k: part("k", keys), v: part("v", values) }, options);
}

/** Self-attention on a fused projection: qkv [tokens, 3·heads·size], queries first, then keys, then values. Returns [tokens, heads·size]. */
export function attentionPacked(qkv: Tensor, heads: number, options: AttentionOptions): Tensor {
  const width = qkv.shape[qkv.rank - 1];
  if (qkv.rank !== 2 || width % (3 * heads) !== 0)
    wrongShape("attentionPacked", "qkv", `[tokens, 3·${heads}·size]`, qkv.shape);
  const size = width / (3 * heads);
  const part = (index: number): HeadPart => ({
    tensor: qkv,
    heads,
    size,
    row: width,
    head: size,
    offset: index * heads * size,
  });
  return attentionParts({ q: part(0), k: part(1), v: part(2) }, options);
}
