import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  removeRepeats,
  SubstringDeduplicator,
  type SubstringOptions,
  type SubstringReport,
  type SubstringResult,
  substringPage,
} from "../../../lib/data/dedup/index.js";
import type { TextDocument } from "../../../lib/data/index.js";
import { faultyFileSystem } from "../../io/faults.js";
import { rejection, temporaryFolder } from "../../io/temporary.js";
import { repeatedBytes } from "../../reference/dedup.js";
import { randoms, word } from "./texts.js";

async function search(
  texts: readonly string[],
  options: SubstringOptions,
  batch = 100,
): Promise<SubstringResult> {
  const deduplicator = await SubstringDeduplicator.open(options);
  try {
    for (let at = 0; at < texts.length; at += batch) await deduplicator.add(texts.slice(at, at + batch));
    return await deduplicator.finish();
  } finally {
    await deduplicator.discard();
  }
}

/** The oracle's spans of every document. */
function expectedSpans(texts: readonly string[], length: number): [number, number][][] {
  return repeatedBytes(
    texts.map((text) => Buffer.from(text)),
    length,
  ).map((repeated) => {
    const spans: [number, number][] = [];
    for (const [at, is] of repeated.entries()) {
      if (!is) continue;
      const last = spans.at(-1);
      if (last?.[1] === at) last[1] = at + 1;
      else spans.push([at, at + 1]);
    }
    return spans;
  });
}

const spansOf = (result: SubstringResult) =>
  Array.from({ length: result.documents }, (_, i) => result.spansOf(i));

/** Texts over a small alphabet, with copies of earlier stretches. */
function randomTexts(seed: number, count: number, letters: string, longest: number): string[] {
  const next = randoms(seed);
  const alphabet = [...letters];
  const all: string[] = [];
  for (let i = 0; i < count; i++) {
    let text = "";
    const pieces = next(5);
    for (let p = 0; p < pieces; p++) {
      const from = all.length > 0 ? [...all[next(all.length)]] : [];
      if (from.length > 0 && next(2) === 0) {
        const at = next(from.length);
        text += from.slice(at, at + next(longest)).join("");
      } else {
        text += Array.from({ length: next(longest) }, () => alphabet[next(alphabet.length)]).join("");
      }
    }
    all.push(text);
  }
  return all;
}

describe("repeated passages", () => {
  it("are those of comparing every window with every other", async () => {
    let seed = 0;
    for (const letters of ["a", "ab", "abc", "aé日😀", "abcdefghijklmnop"]) {
      for (const minLength of [2, 3, 5, 8, 20]) {
        const texts = randomTexts(++seed, 40, letters, 40);
        const expected = expectedSpans(texts, minLength);
        for (const [threads, batch] of [
          [1, 100],
          [3, 1],
        ]) {
          const result = await search(texts, { minLength, threads }, batch);
          expect(spansOf(result), `${letters}, ${minLength}`).toEqual(expected);
        }
      }
    }
  });

  it("are the same in many runs and parts", async () => {
    const next = randoms(77);
    const texts = Array.from({ length: 3000 }, () =>
      Array.from({ length: 60 }, () => word(next(100_000))).join(" "),
    );
    for (let i = 500; i < texts.length; i += 3) {
      const from = texts[next(i)];
      const at = next(200);
      texts[i] = texts[i].slice(0, next(100)) + from.slice(at, at + 40 + next(150)) + texts[i].slice(200);
    }
    const whole = await search(texts, { minLength: 50 });
    expect(whole.spans).toBeGreaterThan(500);
    expect(spansOf(whole)).toEqual(expectedSpans(texts, 50));
    const workDir = join(await temporaryFolder(), "work");
    const parts = await search(texts, { minLength: 50, workDir, memoryLimit: 2 ** 20, threads: 3 }, 37);
    expect(parts.facts.runs).toBeGreaterThan(3);
    expect(spansOf(parts)).toEqual(spansOf(whole));
  });

  it("are found where one passage has more copies than a part has room for", async () => {
    const next = randoms(13);
    const text = (count: number) => Array.from({ length: count }, () => word(next(10 ** 6))).join(" ");
    const banner = text(60);
    const texts = Array.from({ length: 2500 }, () => `${banner} ${text(4)}`);
    const expected = expectedSpans(texts, 100);
    const workDir = join(await temporaryFolder(), "work");
    const result = await search(texts, { minLength: 100, memoryLimit: 2 ** 20, workDir }, 200);
    // What ends in one of many ways may keep a few bytes more; nothing else stays, and nothing is lost.
    const bytes = (all: [number, number][][]) =>
      all.flat().reduce((sum, [begin, end]) => sum + end - begin, 0);
    expect(bytes(spansOf(result))).toBeGreaterThan(0.99 * bytes(expected));
    for (const [i, spans] of spansOf(result).entries()) {
      for (const [begin, end] of spans)
        expect(expected[i].some(([b, e]) => b <= begin && end <= e)).toBe(true);
    }
  });

  it("are never too many where memory does not suffice, and the report says so", async () => {
    const next = randoms(14);
    const text = (count: number) => Array.from({ length: count }, () => word(next(10 ** 6))).join(" ");
    // Too short to be a passage itself, long enough for an anchor, in different surroundings each time.
    const phrase = text(15);
    const texts = Array.from({ length: 6000 }, () => `${text(30)} ${phrase} ${text(30)}`);
    texts.push(...texts.slice(0, 20));
    const workDir = join(await temporaryFolder(), "work");
    const result = await search(texts, { minLength: 120, memoryLimit: 2 ** 20, workDir }, 200);
    expect(result.facts.incomplete).toBeGreaterThan(0);
    const expected = expectedSpans(texts, 120);
    for (const [i, spans] of spansOf(result).entries()) {
      for (const [begin, end] of spans)
        expect(expected[i].some(([b, e]) => b <= begin && end <= e)).toBe(true);
    }
    const roomy = await search(texts, { minLength: 120 });
    expect(roomy.facts.incomplete).toBe(0);
    expect(spansOf(roomy)).toEqual(expected);
  });

  it("leave the first occurrence, also of what repeats itself", async () => {
    const passage = Array.from({ length: 30 }, (_, i) => word(i)).join(" ");
    const texts = [
      "x".repeat(1000),
      `before ${passage} after`,
      `other ${passage} end`,
      passage,
      "ab".repeat(300),
    ];
    const result = await search(texts, { minLength: 50, minDocument: 1 });
    expect(result.spansOf(0)).toEqual([[50, 1000]]);
    expect(result.spansOf(1)).toEqual([]);
    // The space before the passage is common to both as well, and so is the one behind it.
    expect(result.cut(2, texts[2])).toEqual({ text: "otherend", removed: passage.length + 2, spans: 1 });
    expect(result.cut(3, texts[3])).toMatchObject({ text: undefined });
    expect(result.spansOf(4)).toEqual([[50, 600]]);
    expect(result.repeatedBytes).toBe(950 + passage.length + 2 + passage.length + 550);
  });

  it("are cut at borders of characters", async () => {
    const next = randoms(5);
    const shared = Array.from({ length: 40 }, () => String.fromCodePoint(0x4e00 + next(5000))).join("");
    // U+65E5 and U+65E6 share their first two bytes.
    const texts = [`日${shared}語`, `旦${shared}諞`];
    const result = await search(texts, { minLength: 60, minDocument: 1 });
    expect(result.cut(1, texts[1])).toEqual({ text: "旦諞", removed: 120, spans: 1 });
  });

  it("never cross the end of a document", async () => {
    const a = Array.from({ length: 20 }, (_, i) => word(i)).join(" ");
    const b = Array.from({ length: 20 }, (_, i) => word(100 + i)).join(" ");
    const result = await search([a, b, a + b], { minLength: Math.max(a.length, b.length) + 10 });
    expect(result.spans).toBe(0);
  });

  it("are none among no, empty and short documents", async () => {
    expect((await search([], {})).spans).toBe(0);
    expect((await search(["", "", "short", "short"], {})).spans).toBe(0);
  });

  it("refuses a document other than the one that was searched", async () => {
    const text = "y".repeat(500);
    const result = await search([text], {});
    expect(() => result.cut(0, `${text}!`)).toThrow(/Document 0 has 501 bytes; it had 500/);
  });

  it.each([
    [{ minLenght: 5 }, /no option "minLenght".*"minLength"/],
    [{ minLength: 1 }, /minLength must be an integer from 2/],
    [{ minDocument: -1 }, /minDocument must be an integer/],
  ])("%o is refused", async (options, message) => {
    await expect(SubstringDeduplicator.open(options as SubstringOptions)).rejects.toThrow(message);
  });

  it("says so when memory does not suffice", async () => {
    const texts = Array.from({ length: 20 }, (_, i) => `${word(i)} `.repeat(20_000));
    const deduplicator = await SubstringDeduplicator.open({ memoryLimit: 2 ** 20 });
    const error = await rejection(
      (async () => {
        for (const text of texts) await deduplicator.add([text]);
      })(),
    );
    expect(error.message).toMatch(/do not fit into 1.05 MB of memory. Name a work folder/);
  });
});

describe("a work folder of passages", () => {
  const texts = randomTexts(8, 700, "abcdefgh", 600);
  const options = (workDir: string) => ({ workDir, minLength: 30, memoryLimit: 2 ** 20 });

  it("lets another process go on, wherever the first was killed", async () => {
    const expected = spansOf(await search(texts, { minLength: 30 }));
    const run = async (deduplicator: SubstringDeduplicator) => {
      while (deduplicator.documents < texts.length) {
        const at = deduplicator.documents;
        await deduplicator.add(texts.slice(at, at + 50));
      }
      return deduplicator.finish();
    };
    const counting = faultyFileSystem();
    const whole = await SubstringDeduplicator.open({
      ...options(join(await temporaryFolder(), "w")),
      fs: counting.fs,
    });
    expect(spansOf(await run(whole))).toEqual(expected);
    await whole.discard();
    for (let at = 3; at < counting.trace.length; at += 9) {
      const dir = join(await temporaryFolder(), "w");
      const { fs } = faultyFileSystem({ at, mode: "crash", errno: "ENOSPC" });
      await (async () => run(await SubstringDeduplicator.open({ ...options(dir), fs })))().catch(
        () => undefined,
      );
      await rm(join(dir, "lock"), { force: true });
      const second = await SubstringDeduplicator.open(options(dir));
      expect(spansOf(await run(second)), `killed at ${counting.trace[at]}`).toEqual(expected);
      await second.discard();
    }
  });

  it("is gone after removeRepeats(), which reports what it cut", async () => {
    const parent = await temporaryFolder();
    const read = async function* (): AsyncGenerator<TextDocument> {
      for (const [i, text] of texts.entries()) yield { text, source: `memory:${i}` };
    };
    let report: SubstringReport | undefined;
    const kept: TextDocument[] = [];
    for await (const document of removeRepeats(
      read,
      { ...options(join(parent, "w")), minDocument: 40 },
      (made) => {
        report = made;
      },
    )) {
      kept.push(document);
    }
    expect(await readdir(parent)).toEqual([]);
    const bytes = (list: readonly { text: string }[]) => list.reduce((sum, { text }) => sum + text.length, 0);
    expect(report).toMatchObject({
      documents: 700,
      kept: kept.length,
      bytes: bytes(texts.map((text) => ({ text }))),
    });
    expect(report?.changed).toBeGreaterThan(50);
    expect(report?.dropped).toBeGreaterThan(5);
    expect(report?.longest[0].bytes).toBeGreaterThanOrEqual(report?.longest[1].bytes as number);
    expect(substringPage(report as SubstringReport)).toContain("Longest passages");
    // What is left has no repeated window but those that arise where something was cut out.
    expect(bytes(kept)).toBeLessThan(bytes(texts.map((text) => ({ text }))));
  });
});
