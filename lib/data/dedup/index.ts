/**
 * Room data/dedup: equal and nearly equal documents, repeated passages, and evaluation texts inside training texts. Heavy
 * work is native (native/text/dedup); corpora larger than memory go through work folders. Documents are numbered in the
 * order of input, and the first of several equal ones is kept.
 */
export {
  type ContaminationHit,
  type ContaminationSet,
  type DecontaminateOptions,
  type DecontaminationReport,
  Decontaminator,
  decontaminationPage,
} from "./decontaminate.js";
export {
  type DeduplicateOptions,
  deduplicate,
  findDuplicates,
  openDeduplicator,
} from "./deduplicate.js";
export { ExactDeduplicator } from "./exact.js";
export { KeyDeduplicator } from "./key-deduplicator.js";
export { MinHashDeduplicator } from "./minhash.js";
export {
  type DedupCommon,
  type DedupProgress,
  type ExactOptions,
  type MinHashOptions,
  matchProbability,
} from "./options.js";
export {
  type RepeatExample,
  RepeatRemover,
  removeRepeats,
  type SubstringReport,
  substringPage,
} from "./remove-repeats.js";
export {
  type DedupReport,
  DedupReporter,
  dedupPage,
  type ExampleCluster,
  type ExampleDocument,
  writeClusters,
} from "./report.js";
export { type Cluster, type DedupFacts, DedupResult } from "./result.js";
export { SubstringDeduplicator, type SubstringOptions } from "./substring.js";
export { type CutText, type SubstringFacts, SubstringResult } from "./substring-result.js";
export { cutUnits, removeRepeatedUnits, type UnitOptions, type UnitReport } from "./units.js";
