/**
 * Packing: which tokens stand together in a row. Rows are windows over the stream of all documents, or whole documents
 * put together by best fit; a plan of the latter is made once from the documents' lengths and kept beside the shards.
 */
import { ConfigError, didYouMean } from "../../errors.js";
import { checkInteger } from "../options.js";

/**
 * `windows`: the stream is cut every T tokens, wherever that is. `best-fit`: whole documents, each token once; those
 * longer than a row are cut into rows and a rest, and rows are padded. `best-fit-crop`: every row begins with a document
 * and is full; what does not fit is dropped (as nanochat does).
 */
export const PACKINGS = ["windows", "best-fit", "best-fit-crop"] as const;
export type Packing = (typeof PACKINGS)[number];

/** How whole documents are put into rows. */
export interface BestFitOptions {
  /** T: input tokens per row; a row holds T + 1 tokens. */
  sequenceLength: number;
  /** Every row begins with a document's first token: documents longer than a row keep their first row only. Default false. */
  aligned?: boolean;
  /** Fill what is left of a row with the beginning of another document, whose rest is dropped, instead of padding. Default false. */
  crop?: boolean;
}

/** What became of the tokens of a plan. */
export interface PackingReport {
  /** Rows of T + 1 tokens. */
  rows: number;
  documents: number;
  /** Tokens of all documents. */
  tokens: number;
  /** Places of rows without a token. */
  padding: number;
  /** Tokens in no row. */
  dropped: number;
  /** Documents that are not whole in one row. */
  cutDocuments: number;
  /** Share of the rows' places that hold a token. */
  efficiency: number;
  /** Share of the tokens that are in no row. */
  droppedShare: number;
  /** Share of the documents that are not whole in one row. */
  cutShare: number;
}

/** @throws ConfigError unless it is one of PACKINGS. */
export function checkPacking(packing: string): Packing {
  if ((PACKINGS as readonly string[]).includes(packing)) return packing as Packing;
  throw new ConfigError(
    `packing must be one of ${PACKINGS.join(", ")}, got "${packing}".${didYouMean(packing, PACKINGS)}`,
    { packing },
  );
}

/** The options of a packing by name; undefined for windows. */
export function bestFitOptions(
  packing: Packing,
  sequenceLength: number,
): Required<BestFitOptions> | undefined {
  if (packing === "windows") return undefined;
  const crop = packing === "best-fit-crop";
  return { sequenceLength: checkSequenceLength(sequenceLength), aligned: crop, crop };
}

/** @throws ConfigError unless rows of this length can be planned. */
export function checkSequenceLength(sequenceLength: number): number {
  return checkInteger("sequenceLength", sequenceLength, 1, 2 ** 24 - 2);
}

/** Fills in what follows from the counts. */
export function packingReport(
  counts: Pick<PackingReport, "rows" | "documents" | "tokens" | "padding" | "dropped" | "cutDocuments">,
  sequenceLength: number,
): PackingReport {
  const { rows, documents, tokens, padding, dropped, cutDocuments } = counts;
  const places = rows * (sequenceLength + 1);
  return {
    ...counts,
    efficiency: places === 0 ? 1 : 1 - padding / places,
    droppedShare: tokens === 0 ? 0 : dropped / tokens,
    cutShare: documents === 0 ? 0 : cutDocuments / documents,
  };
}
