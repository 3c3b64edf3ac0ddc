/** The repetition penalty (Keskar et al. 2019, CTRL, §4.1), on the host. */

/**
 * Logits [rows, V] with those of tokens that a row's sequence holds made less probable: divided by `penalty` when positive,
 * multiplied when negative, once however often the token occurs.
 */
export function penalised(
  logits: ArrayLike<number>,
  sequences: readonly (readonly number[])[],
  penalty: number,
): Float32Array {
  const result = Float32Array.from(logits);
  const vocab = result.length / Math.max(1, sequences.length);
  sequences.forEach((ids, row) => {
    for (const id of new Set(ids)) {
      const at = row * vocab + id;
      result[at] = result[at] > 0 ? result[at] / penalty : result[at] * penalty;
    }
  });
  return result;
}
