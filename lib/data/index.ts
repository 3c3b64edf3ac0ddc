/**
 * Room data: text in, packed token batches out. readers/ read files of any sort, clean/ and dedup/ keep what is worth training
 * on, stages/ run them over corpora larger than memory, packing/ makes rows of tokens, chat/ knows conversations. Batches
 * depend on (seed, step) alone. It knows tokenizers and integer arrays, not tensors or models.
 */
export { type Baselines, ByteCounts, baselines, textBaselines } from "./baselines.js";
export { type BatchOptions, type TokenBatch, TokenBatches, type TokenBatchesOptions } from "./batches.js";
export * as chat from "./chat/index.js";
export * as clean from "./clean/index.js";
export * as dedup from "./dedup/index.js";
export { type DocumentPart, type FolderRecord, readFolderRecord } from "./documents/folder.js";
export {
  runStage,
  type StageCommon,
  type StageOptions,
  type StageProgress,
  type StageResult,
} from "./documents/stage.js";
export {
  type EvaluationBatch,
  type EvaluationOptions,
  evaluationWindowCount,
  evaluationWindows,
  targetBytes,
  tokenByteTable,
} from "./evaluation.js";
export {
  builtInIdentifier,
  FastText,
  type FastTextPrediction,
  type FastTextPredictOptions,
  type IdentifiedLanguage,
  identifyLanguage,
  type LanguageIdentifier,
  languageCode,
  languageIdentifier,
} from "./language/index.js";
export {
  MixtureBatches,
  type MixtureBatchesOptions,
  type MixtureDataset,
  type MixtureUse,
} from "./mixture/batches.js";
export type { WeightChange } from "./mixture/course.js";
export {
  checkMixture,
  isMixtureFile,
  type MixtureDescription,
  type MixtureEntry,
  readMixture,
  weightsOf,
} from "./mixture/file.js";
export { Interleave } from "./mixture/interleave.js";
export {
  isPackedFolder,
  openPacked,
  type PackedData,
  type PackedFolder,
  type PackOptions,
  packTokens,
  requirePackedTokenizer,
} from "./pack.js";
export {
  type BestFitOptions,
  bestFitOptions,
  checkPacking,
  PACKINGS,
  type Packing,
  type PackingReport,
} from "./packing/options.js";
export { type OpenPlanOptions, PackingPlan } from "./packing/plan.js";
export { PlannedRows, type RowSource, WindowRows } from "./packing/row-source.js";
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
export { extractText, type PageText } from "./readers/main-text.js";
export { IGNORE_INDEX, positionIds } from "./rows.js";
export { type SampledDocument, type SampleOptions, sampleDocuments } from "./sample.js";
export { type OpenShardOptions, openShards, TokenShard } from "./shard.js";
export type { ShardHeader } from "./shard-format.js";
export { ShardWriter, type ShardWriterOptions } from "./shard-writer.js";
export {
  type Compression,
  type DataRecord,
  documentBatches,
  documents,
  documentsOf,
  type Format,
  listSources,
  records,
  type SkippedRecord,
  type SourceFile,
  type SourceOptions,
  type TextDocument,
} from "./sources.js";
export { documentKey, planSplit, type SplitPlan, splitText } from "./split.js";
export { type CleanStageOptions, type CleanStageResult, cleanCorpus } from "./stages/clean.js";
export { type DedupStageOptions, type DedupStageResult, dedupDocuments } from "./stages/dedup.js";
export { loadDecontaminator } from "./stages/evaluation-sets.js";
export {
  type RepeatsStageOptions,
  type RepeatsStageResult,
  removeRepeatedPassages,
} from "./stages/repeats.js";
export {
  type TokenizerStageOptions,
  type TokenizerStageResult,
  trainCorpusTokenizer,
} from "./stages/tokenizer.js";
export {
  type CorpusStatistics,
  corpusStatistics,
  type Quantiles,
  type StatisticsOptions,
} from "./statistics.js";
export { TokenStream } from "./stream.js";
