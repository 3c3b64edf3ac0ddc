/**
 * The main text of a web page, preferring to lose a sentence over keeping a menu. The blocks of the page are judged one by
 * one by length, share of links and share of function words, then by their neighbours (the method of jusText: J. Pomikálek,
 * "Removing Boilerplate and Duplicate Content from Web Corpora", 2011), with what the markup itself says: regions for the
 * main text, navigation, and names of classes.
 */
import { pageBlocks, pageBlocksInSteps } from "./html-blocks.js";
import type { Block, Page } from "./html-elements.js";
import { functionWordLanguage, functionWordShare, textWeight } from "./stop-words.js";

/** What is taken from a page. */
export interface PageText {
  /** Paragraphs with a blank line between them; lines of lists and tables follow each other. Empty when nothing is worth it. */
  text: string;
  title?: string;
  /** The language that the page says it is in. */
  language?: string;
}

/** Blocks below this weight are judged by their neighbours alone. */
const SHORT = 70;
/** Blocks above this weight are good when they look like sentences at all. */
const LONG = 160;
/** Shares of function words of text that may be, and that is, running text. */
const SOME_SENTENCES = 0.16;
const SENTENCES = 0.24;
/** Shares of linked characters: most for a short or ordinary text, most for a long one that is clearly sentences. */
const MAX_LINKED = 0.2;
const MAX_LINKED_PROSE = 0.5;
/** Least weight of good text in the regions for it before the rest of the page is left out. */
const ENOUGH = 200;

/** Most characters left out between a heading and its text. */
const MAX_BETWEEN = 120;

type Verdict = "good" | "near" | "short" | "bad";

/** Takes the main text, or all text, from a page. */
export function extractText(html: string, mode: "main" | "all" = "main"): PageText {
  return textOf(pageBlocks(html), mode);
}

/** The same for a large page, with a pause between pieces of it. */
export async function extractTextInSteps(
  html: string,
  mode: "main" | "all",
  pause: () => Promise<void>,
): Promise<PageText> {
  return textOf(await pageBlocksInSteps(html, pause), mode);
}

function textOf({ blocks, title, language }: Page, mode: "main" | "all"): PageText {
  const kept = mode === "all" ? blocks : chooseBlocks(blocks);
  let text = "";
  let group = 0;
  for (const block of kept) {
    const sameGroup = block.group !== 0 && block.group === group;
    text += text === "" ? block.text : sameGroup ? `\n${block.text}` : `\n\n${block.text}`;
    group = block.group;
  }
  return { text, ...(title && { title }), ...(language && { language }) };
}

/** A block with what is known of it. */
interface Candidate {
  block: Block;
  weight: number;
  verdict: Verdict;
}

/** The blocks of a page that belong to its main text, in order. */
export function chooseBlocks(all: readonly Block[]): Block[] {
  const blocks = all.filter((block) => !block.site);
  const language = functionWordLanguage(
    blocks.filter(({ text }) => text.length >= SHORT).map(({ text }) => text),
  );
  const candidates = blocks.map((block): Candidate => {
    const weight = textWeight(block.text);
    return { block, weight, verdict: judge(block, weight, language) };
  });
  judgeGroups(candidates);
  const inside = textRegions(candidates);
  if (!inside.some(({ verdict }) => verdict === "good")) promote(inside);
  return keepHeadings(inside, byNeighbours(inside));
}

/** A block by itself. */
function judge(block: Block, weight: number, language: string | undefined): Verdict {
  const { kind, text, linked } = block;
  if (kind === "code") return weight < SHORT ? "short" : "near";
  const share = linked / Math.max(1, text.length);
  if (/©|\ball rights reserved\b|\(c\) ?\d{4}/i.test(text) && weight < 2 * LONG) return "bad";
  if (kind === "heading" || kind === "row") return share > 0.7 ? "bad" : "short";
  if (weight < SHORT) return share > MAX_LINKED ? "bad" : "short";
  if (share > MAX_LINKED_PROSE) return "bad";
  const words = functionWordShare(text, language);
  if (share > MAX_LINKED && !(words >= SENTENCES && weight >= LONG)) return "bad";
  if (words >= SENTENCES) return weight >= LONG ? "good" : "near";
  return words >= SOME_SENTENCES ? "near" : "bad";
}

/** Lists and tables as a whole: those that are mostly links go, tables with enough in them may stay. */
function judgeGroups(candidates: readonly Candidate[]): void {
  const groups = new Map<number, Candidate[]>();
  for (const candidate of candidates) {
    const { group } = candidate.block;
    if (group === 0) continue;
    const members = groups.get(group);
    if (members === undefined) groups.set(group, [candidate]);
    else members.push(candidate);
  }
  for (const members of groups.values()) {
    const length = members.reduce((sum, { block }) => sum + block.text.length, 0);
    const linked = members.reduce((sum, { block }) => sum + block.linked, 0);
    if (linked > MAX_LINKED_PROSE * length) {
      for (const member of members) member.verdict = "bad";
      continue;
    }
    const rows = members.filter(({ block }) => block.kind === "row" && block.level >= 2);
    const weight = members.reduce((sum, member) => sum + member.weight, 0);
    if (rows.length < 2 || weight < LONG) continue;
    for (const row of rows) if (linked <= MAX_LINKED * length || row.verdict !== "bad") row.verdict = "near";
  }
}

/**
 * The candidates in the parts of the page that are for its text. What the markup says is believed as far as there is text
 * in the parts that it names.
 */
function textRegions(candidates: readonly Candidate[]): Candidate[] {
  const goodWeight = (wanted: (block: Block) => boolean) =>
    candidates.reduce(
      (sum, { block, weight, verdict }) => sum + (verdict === "good" && wanted(block) ? weight : 0),
      0,
    );
  // Some systems wrap a whole page into one form: only such a form holds long texts.
  const forms = new Map<number, number>();
  for (const { block, verdict } of candidates) {
    if (verdict === "good") forms.set(block.form, (forms.get(block.form) ?? 0) + 1);
  }
  const inForm = ({ form }: Block) => form > 0 && (forms.get(form) ?? 0) < 2;
  // A name that sounds like a margin is not believed when most of the text is in it.
  const margins =
    goodWeight(({ suspect }) => !suspect) >= goodWeight(({ suspect }) => suspect) &&
    candidates.some(({ block }) => !block.suspect);
  const mains = goodWeight(({ main }) => main > 0) >= ENOUGH;
  return candidates.filter(
    ({ block }) => !inForm(block) && !(margins && block.suspect) && !(mains && block.main === 0),
  );
}

/** On a page without a good block, what is nearly good may be all that there is: data, code, short notes. */
function promote(candidates: readonly Candidate[]): void {
  const near = candidates.filter(({ verdict }) => verdict === "near");
  if (near.reduce((sum, { weight }) => sum + weight, 0) < LONG) return;
  for (const candidate of near) candidate.verdict = "good";
}

/** Short and nearly good blocks follow their neighbours; the ends of the page count as bad. */
function byNeighbours(candidates: readonly Candidate[]): boolean[] {
  const judged = candidates.map(({ verdict }) => verdict);
  const resolve = (
    kinds: readonly Verdict[],
    decide: (before: Verdict, after: Verdict, near: boolean) => boolean,
  ) => {
    // Nearest decided block on either side, and whether a nearly good one lies between.
    const before: { verdict: Verdict; near: boolean }[] = [];
    let state: { verdict: Verdict; near: boolean } = { verdict: "bad", near: false };
    for (const verdict of judged) {
      before.push(state);
      if (verdict === "good" || verdict === "bad") state = { verdict, near: false };
      else if (verdict === "near") state = { ...state, near: true };
    }
    const result = [...judged];
    state = { verdict: "bad", near: false };
    for (let i = judged.length - 1; i >= 0; i--) {
      const verdict = judged[i];
      if (kinds.includes(verdict)) {
        const near =
          (before[i].verdict === "bad" && before[i].near) || (state.verdict === "bad" && state.near);
        result[i] = decide(before[i].verdict, state.verdict, near) ? "good" : "bad";
      }
      if (verdict === "good" || verdict === "bad") state = { verdict, near: false };
      else if (verdict === "near") state = { ...state, near: true };
    }
    for (const [i, verdict] of result.entries()) judged[i] = verdict;
  };
  resolve(["short"], (before, after, near) =>
    before === "good" ? after === "good" || near : after === "good" && near,
  );
  resolve(["near"], (before, after) => before === "good" || after === "good");
  return judged.map((verdict, i) => verdict === "good" && candidates[i].block.kind !== "heading");
}

/** A heading stays when text that stays follows it, with no more between than a line or two about the writer. */
function keepHeadings(candidates: readonly Candidate[], kept: readonly boolean[]): Block[] {
  const result: Block[] = [];
  let between = Number.POSITIVE_INFINITY;
  for (let i = candidates.length - 1; i >= 0; i--) {
    const { block } = candidates[i];
    if (block.kind === "heading") {
      const linked = block.linked > MAX_LINKED_PROSE * block.text.length;
      if (between <= MAX_BETWEEN && !linked) result.push(block);
    } else if (kept[i]) {
      result.push(block);
      between = 0;
    } else {
      between += block.text.length;
    }
  }
  return result.reverse();
}
