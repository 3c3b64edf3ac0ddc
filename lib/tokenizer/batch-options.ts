/** Options of a batch in the form that native work takes. */
import type { JobOptions } from "../native/text/job.js";
import type { EncodeBatchOptions } from "./tokenizer.js";

/** The native job's options: progress as an object. */
export function jobOptions(options: EncodeBatchOptions): JobOptions & { addSpecialTokens?: boolean } {
  const { onProgress, ...rest } = options;
  if (onProgress === undefined) return rest;
  return { ...rest, onProgress: (done, total) => onProgress({ done, total }) };
}
