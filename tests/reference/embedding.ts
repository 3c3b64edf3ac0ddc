/** Oracle of the embedding look-up and of its gradient, a sum over the places where each id occurs. */
import type { Values } from "./array.js";

/** out[t] = table[ids[t]]. table: [vocab, dim], ids: [tokens] → [tokens, dim]. */
export function embedding(table: Values, ids: Values, dim: number): Float64Array {
  const out = new Float64Array(ids.length * dim);
  for (let t = 0; t < ids.length; t++) {
    for (let d = 0; d < dim; d++) out[t * dim + d] = table[ids[t] * dim + d];
  }
  return out;
}

/** dtable[id] = Σ over t with ids[t] = id of dy[t], in ascending t; ids that do not occur get zero. → [vocab, dim]. */
export function embeddingBackward(dy: Values, ids: Values, vocab: number, dim: number): Float64Array {
  const dtable = new Float64Array(vocab * dim);
  for (let t = 0; t < ids.length; t++) {
    for (let d = 0; d < dim; d++) dtable[ids[t] * dim + d] += dy[t * dim + d];
  }
  return dtable;
}
