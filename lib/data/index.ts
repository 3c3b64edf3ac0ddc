/**
 * Room data: text in, packed token batches out. Reads files, folders and JSON lines; splits them; writes token shards; and
 * gives batches that depend on (seed, step) alone, so that resuming needs no state but the step. It knows tokenizers and
 * integer arrays, not tensors or models. Cleaning and deduplication of text will live beside it.
 */
export { type Baselines, ByteCounts, baselines, textBaselines } from "./baselines.js";
export { type TokenBatch, TokenBatches, type TokenBatchesOptions } from "./batches.js";
export {
  type EvaluationBatch,
  type EvaluationOptions,
  evaluationWindowCount,
  evaluationWindows,
  targetBytes,
  tokenByteTable,
} from "./evaluation.js";
export { Permutation } from "./permutation.js";
export { philox4x32, Stream, uniform } from "./philox.js";
export { type PrefetchOptions, prefetch } from "./prefetch.js";
export {
  openPrepared,
  type PreparedData,
  type PreparedSplit,
  type PrepareOptions,
  type PrepareProgress,
  prepareTokens,
} from "./prepare.js";
export { IGNORE_INDEX } from "./rows.js";
export { type OpenShardOptions, openShards, TokenShard } from "./shard.js";
export type { ShardHeader } from "./shard-format.js";
export { ShardWriter, type ShardWriterOptions } from "./shard-writer.js";
export {
  documents,
  documentsOf,
  listSources,
  type SourceFile,
  type SourceOptions,
  type TextDocument,
} from "./sources.js";
export { documentKey, planSplit, type SplitPlan, splitText } from "./split.js";
export { TokenStream } from "./stream.js";
