/** Division of text into training and validation parts. */
import { hash } from "node:crypto";
import { ConfigError, DataError } from "../errors.js";
import { Stream, uniform } from "./philox.js";

/** @throws ConfigError unless the fraction is in [0, 1). */
export function checkFraction(fraction: number): number {
  if (!(fraction >= 0 && fraction < 1)) {
    throw new ConfigError(
      `validationFraction must be at least 0 and below 1 (0.1 keeps the last tenth for validation), got ${fraction}.`,
      { validationFraction: fraction },
    );
  }
  return fraction;
}

/**
 * Splits one text: the first part is for training, the last `validationFraction` of its characters for validation
 * (0.1: the first 90 %, rounded down, and the rest).
 */
export function splitText(text: string, validationFraction: number): { train: string; validation: string } {
  checkFraction(validationFraction);
  const astral = /[\ud800-\udbff]/.test(text);
  const length = astral ? countCodePoints(text) : text.length;
  const points = Math.floor(length * (1 - validationFraction));
  const cut = astral ? codeUnitOf(text, points) : points;
  return { train: text.slice(0, cut), validation: text.slice(cut) };
}

/** Size of one code point in UTF-16 code units. */
function unitsAt(text: string, at: number): number {
  return (text.codePointAt(at) as number) > 0xffff ? 2 : 1;
}

function countCodePoints(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i += unitsAt(text, i)) count++;
  return count;
}

function codeUnitOf(text: string, point: number): number {
  let at = 0;
  for (let i = 0; i < point; i++) at += unitsAt(text, at);
  return at;
}

/** Identity of a document for the split: equal texts always go to the same side. */
export function documentKey(text: string | Uint8Array): string {
  return hash("sha256", text, "hex").slice(0, 32);
}

/**
 * A document's place in [0, 1) by its text and the seed. Where there are too many documents to plan, those below the
 * wanted fraction are for validation.
 */
export function documentRank(key: string, seed: number): number {
  return uniform(seed, Stream.Split, Number.parseInt(key.slice(0, 13), 16));
}

/** How documents are divided. */
export interface SplitPlan {
  /** `documents`: whole documents go to one side. `contiguous`: each document is cut, its end is for validation. */
  method: "documents" | "contiguous";
  /** Keys of the validation documents; empty when contiguous. */
  validation: ReadonlySet<string>;
}

/**
 * Chooses validation documents: in an order drawn from (seed, text), documents are taken while they fit into the wanted
 * share of bytes. The choice depends on the texts alone, not on file names or order, and repeated documents never stand on both sides.
 * When whole documents cannot come near the share (few or very large ones), every document is cut instead.
 * @param sizes bytes per document key, repeats added up
 */
export function planSplit(
  sizes: ReadonlyMap<string, number>,
  validationFraction: number,
  seed: number,
  method: "auto" | SplitPlan["method"] = "auto",
): SplitPlan {
  checkFraction(validationFraction);
  const cut: SplitPlan = { method: "contiguous", validation: new Set() };
  if (method === "contiguous") return cut;
  if (validationFraction === 0) return { method: "documents", validation: new Set() };
  let total = 0;
  for (const bytes of sizes.values()) total += bytes;
  const wanted = total * validationFraction;
  const order = [...sizes.keys()]
    .map((key) => ({ key, rank: documentRank(key, seed) }))
    .sort((a, b) => a.rank - b.rank || (a.key < b.key ? -1 : 1));
  const validation = new Set<string>();
  let taken = 0;
  for (const { key } of order) {
    // Close enough: going on would pick out the smallest documents only.
    if (taken >= wanted * 0.95) break;
    const bytes = sizes.get(key) as number;
    if (taken + bytes > wanted) continue;
    validation.add(key);
    taken += bytes;
  }
  if (taken >= wanted / 2 && validation.size < sizes.size) return { method: "documents", validation };
  if (method === "auto") return cut;
  throw new DataError(
    `${sizes.size} documents cannot be divided so that validation has about ${validationFraction} of the text. ` +
      'Use split: "contiguous" to cut the documents themselves, or add data.',
    { documents: sizes.size, validationFraction },
  );
}
