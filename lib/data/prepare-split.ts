/** Which documents are for validation, decided before they are written. */

import type { PrepareSettings } from "./prepare-options.js";
import type { PreparationProgress } from "./prepare-progress.js";
import { documentBatches, type SourceFile, type SourceOptions } from "./sources.js";
import { documentKey, documentRank, planSplit, type SplitPlan } from "./split.js";

/** A corpus with more documents or more text is not read twice, and its documents are not remembered. */
export const PLANNED_DOCUMENTS = 100_000;
export const PLANNED_BYTES = 256 * 2 ** 20;

/** How documents are divided. */
export interface SplitDecision {
  method: SplitPlan["method"];
  /** Whether a whole document is for validation; null where none is, or where each is cut. */
  isValidation: ((key: string) => boolean) | null;
  /** Size of all text, where it was read to the end. */
  textBytes: number | undefined;
}

/**
 * Decides the division. A small corpus is read once for it and planned document by document; of a large one the
 * beginning tells whether there are enough documents, and then each is decided by its text alone.
 * @throws DataError as `planSplit`
 */
export async function decideSplit(
  files: readonly SourceFile[],
  source: SourceOptions,
  settings: PrepareSettings,
  progress: PreparationProgress,
  limits: { documents: number; bytes: number } = { documents: PLANNED_DOCUMENTS, bytes: PLANNED_BYTES },
): Promise<SplitDecision> {
  const { validationFraction, seed, split } = settings;
  if (split === "contiguous" || validationFraction === 0) {
    const method = split === "contiguous" ? "contiguous" : "documents";
    return { method, isValidation: null, textBytes: undefined };
  }
  const sizes = new Map<string, number>();
  let seen = 0;
  let total = 0;
  let whole = true;
  reading: for await (const batch of documentBatches(
    files.map((file) => file.path),
    source,
  )) {
    for (const { text } of batch) {
      if (seen >= limits.documents || total >= limits.bytes) {
        whole = false;
        break reading;
      }
      const bytes = Buffer.byteLength(text);
      const key = documentKey(text);
      sizes.set(key, (sizes.get(key) ?? 0) + bytes);
      seen++;
      total += bytes;
      await progress.advance(1, bytes);
    }
  }
  if (whole) {
    const { method, validation } = planSplit(sizes, validationFraction, seed, split);
    const isValidation = validation.size > 0 ? (key: string) => validation.has(key) : null;
    return { method, isValidation, textBytes: total };
  }
  const { method } = planSplit(sizes, validationFraction, seed, split === "documents" ? "auto" : split);
  if (split === "auto" && method === "contiguous") {
    return { method, isValidation: null, textBytes: undefined };
  }
  return {
    method: "documents",
    isValidation: (key) => documentRank(key, seed) < validationFraction,
    textBytes: undefined,
  };
}
