/**
 * Room data/clean: web text in, text worth training on out, by FineWeb's rules in FineWeb's order, each with its name, its
 * threshold and its own counts in the report. Rules over text are native (native/text/clean); URLs and languages are judged
 * here.
 */
export {
  Cleaner,
  type CleanProgress,
  type CleanRun,
  type CleanStream,
  cleanDocuments,
} from "./cleaner.js";
export type { DistributionJson } from "./distribution.js";
export type { CleanExample } from "./examples.js";
export { STOP_WORD_LANGUAGES, stopWordsOf } from "./languages.js";
export type {
  CleanOptions,
  CleanSettings,
  LineOptions,
  MaskOptions,
  RepairOptions,
} from "./options.js";
export { cleanReportPage, writeCleanReport } from "./page.js";
export {
  CleanReport,
  type CleanReportJson,
  type LineRuleReport,
  type MaskReport,
  type RuleReport,
} from "./report.js";
export { CLEAN_RULES, type CleanRule, LINE_RULES, MASKS } from "./rules.js";
export { UrlFilter, type UrlFindings, type UrlLists } from "./url-filter.js";
