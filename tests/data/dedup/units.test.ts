import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  cutUnits,
  removeRepeatedUnits,
  type UnitOptions,
  type UnitReport,
} from "../../../lib/data/dedup/index.js";
import type { TextDocument } from "../../../lib/data/index.js";
import { temporaryFolder } from "../../io/temporary.js";
import { randoms, word } from "./texts.js";

const source = (texts: readonly string[]) =>
  async function* (): AsyncGenerator<TextDocument> {
    for (const [i, text] of texts.entries()) yield { text, source: String(i) };
  };

async function run(texts: readonly string[], options: UnitOptions = {}): Promise<[string[], UnitReport]> {
  const kept: string[] = [];
  let report: UnitReport | undefined;
  for await (const { text } of removeRepeatedUnits(source(texts), options, (made) => {
    report = made;
  })) {
    kept.push(text);
  }
  return [kept, report as UnitReport];
}

describe("units of a text", () => {
  it.each(["line", "paragraph", "sentences"] as const)("of kind %s are the text when joined", (unit) => {
    const next = randoms(4);
    const alphabet = [...'abc .!?…。」"\n\n \t3é😀'];
    for (let i = 0; i < 300; i++) {
      const text = Array.from({ length: next(60) }, () => alphabet[next(alphabet.length)]).join("");
      expect(
        cutUnits(text, unit)
          .map((piece) => piece.whole)
          .join(""),
      ).toBe(text);
    }
  });

  it("are sentences that end with punctuation and white space", () => {
    const cut = (text: string) => cutUnits(text, "sentences").map((piece) => piece.trimmed);
    expect(cut('One. Two! "Three?" Pi is 3.14 today. End')).toEqual([
      "One.",
      "Two!",
      '"Three?"',
      "Pi is 3.14 today.",
      "End",
    ]);
    expect(cut("これは一。それは二！終わり")).toEqual(["これは一。", "それは二！", "終わり"]);
  });

  it("are paragraphs between empty lines", () => {
    expect(cutUnits("a\nb\n\nc\n \n\nd", "paragraph").map((piece) => piece.trimmed)).toEqual([
      "a\nb",
      "c",
      "d",
    ]);
  });

  it("take a time that grows with the text", () => {
    const long = "a".repeat(200_000);
    for (const unit of ["line", "paragraph", "sentences"] as const) {
      expect(cutUnits(long, unit).length).toBe(1);
      expect(cutUnits("\n".repeat(100_000), unit).length).toBeGreaterThan(0);
    }
  });
});

describe("repeated units", () => {
  it("are removed after their first occurrence", async () => {
    const [kept, report] = await run([
      "menu\nfirst text\nmenu",
      "menu\nsecond  text\n\nend",
      "menu",
      "second text",
    ]);
    expect(kept).toEqual(["menu\nfirst text", "second  text\n\nend"]);
    expect(report).toMatchObject({ documents: 4, kept: 2, changed: 2, dropped: 2, units: 8, repeated: 4 });
  });

  it("are left alone when they are short, and short documents are dropped", async () => {
    const texts = [
      "ok\nlong enough line\nmore words here",
      "ok\nlong enough line\nnew",
      "ok\nmore words here\nfive words are left here",
    ];
    expect((await run(texts, { minUnit: 5 }))[0]).toEqual([
      texts[0],
      "ok\nnew",
      "ok\nfive words are left here",
    ]);
    expect((await run(texts, { minUnit: 5, minWords: 3 }))[0]).toEqual([
      texts[0],
      "ok\nfive words are left here",
    ]);
  });

  it("are spans of three sentences, as in C4", async () => {
    const shared = "A one. B two. C three.";
    const [kept] = await run(
      [`Start. ${shared} End.`, `Other. ${shared} D four. ${shared}`, "B two. C three. D four."],
      {
        unit: "sentences",
      },
    );
    expect(kept).toEqual([`Start. ${shared} End.`, "Other. D four."]);
    // Two of the sentences are no span; the third document has a span that the second one had first.
    expect((await run(["B two. C three. X.", "B two. C three. Y."], { unit: "sentences" }))[1].repeated).toBe(
      0,
    );
  });

  it("are those of a set of lines, out of core as well", async () => {
    const next = randoms(6);
    const texts = Array.from({ length: 3000 }, () =>
      Array.from({ length: 1 + next(20) }, () => word(next(9000))).join("\n"),
    );
    const seen = new Set<string>();
    const expected = texts.flatMap((text) => {
      const left = text.split("\n").filter((line) => {
        const before = seen.has(line);
        seen.add(line);
        return !before;
      });
      return left.length > 0 ? [left.join("\n")] : [];
    });
    const parent = await temporaryFolder();
    for (const options of [{}, { memoryLimit: 2 ** 20, workDir: join(parent, "w"), threads: 3 }]) {
      expect((await run(texts, options))[0]).toEqual(expected);
    }
    expect(await readdir(parent)).toEqual([]);
  });

  it("must be the same in both passes", async () => {
    for (const [first, second] of [
      ["a\nb", "a"],
      ["a", "a\nb"],
    ]) {
      let pass = 0;
      const open = () => source([pass++ === 0 ? first : second])();
      await expect(async () => {
        for await (const _ of removeRepeatedUnits(open)) void _;
      }).rejects.toThrow(/the input has changed/);
    }
  });

  it.each([
    [{ units: "line" }, /no option "units".*"unit"/],
    [{ unit: "word" }, /unit must be one of line, paragraph, sentences, got word/],
    [{ sentences: 0 }, /sentences must be an integer from 1/],
    [{ minUnit: 0 }, /minUnit must be an integer at least 1/],
    [{ minWords: 0.5 }, /minWords must be an integer/],
  ])("with %o are refused", async (options, message) => {
    await expect(run([], options as UnitOptions)).rejects.toThrow(message);
  });
});
