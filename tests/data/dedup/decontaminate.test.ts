import { describe, expect, it } from "vitest";
import {
  type DecontaminateOptions,
  Decontaminator,
  decontaminationPage,
} from "../../../lib/data/dedup/index.js";
import { foldWords } from "../../reference/dedup.js";
import { randoms, word } from "./texts.js";

const words = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => word(from + i)).join(" ");
const documents = (texts: readonly string[]) => texts.map((text, i) => ({ text, source: `memory:${i}` }));

describe("decontamination", () => {
  it("drops exactly the documents that share a run of words with an item", async () => {
    const next = randoms(2);
    const items = Array.from({ length: 20 }, () =>
      Array.from({ length: 3 + next(8) }, () => word(next(6))).join(" "),
    );
    const texts = Array.from({ length: 400 }, () =>
      Array.from({ length: next(30) }, () => word(next(6))).join(" "),
    );
    for (const length of [1, 4, 6]) {
      const runs = new Set(
        items.flatMap((item) => {
          const cut = foldWords(item);
          return cut.flatMap((_, i) =>
            i + length <= cut.length ? [cut.slice(i, i + length).join(" ")] : [],
          );
        }),
      );
      const hit = (text: string) => {
        const cut = foldWords(text);
        return cut.some((_, i) => i + length <= cut.length && runs.has(cut.slice(i, i + length).join(" ")));
      };
      const expected = documents(texts).filter(({ text }) => !hit(text));
      for (const threads of [1, 3]) {
        const decontaminator = await Decontaminator.fromTexts("small", items, { words: length, threads });
        expect(await decontaminator.process(documents(texts))).toEqual(expected);
        expect(decontaminator.report()).toMatchObject({
          documents: 400,
          kept: expected.length,
          dropped: 400 - expected.length,
          runs: runs.size,
        });
      }
    }
  });

  it("says which item hit which document, across case, punctuation, numbers and batches", async () => {
    const decontaminator = await Decontaminator.fromTexts("first", [
      words(0, 20),
      "short one",
      words(100, 13),
    ]);
    await decontaminator.addTexts("empty", []);
    await decontaminator.addTexts("second", [`What is 17 + 4? ${words(200, 13)}`]);
    const shown = words(100, 13).toUpperCase().replaceAll(" ", ", ");
    await decontaminator.process(documents([words(300, 50)]));
    await decontaminator.process(
      documents([`Before: ${shown}!`, `what is 99 + 5 ${words(200, 30)}`, words(5, 12)]),
    );
    const report = decontaminator.report();
    expect(report.hits).toEqual([
      { document: 1, source: "memory:0", set: "first", item: 2, runs: 1, text: shown },
      {
        document: 2,
        source: "memory:1",
        set: "second",
        item: 0,
        runs: 5,
        text: `what is 99 + 5 ${words(200, 13)}`,
      },
    ]);
    expect(report.sets).toEqual([
      { name: "first", items: 3, tooShort: 1, documents: 1, overlaps: 1, found: 1 },
      { name: "empty", items: 0, tooShort: 0, documents: 0, overlaps: 0, found: 0 },
      { name: "second", items: 1, tooShort: 0, documents: 1, overlaps: 1, found: 1 },
    ]);
    expect(decontaminationPage(report)).toContain(shown.slice(0, 20));
  });

  it("finds short items where they are asked for", async () => {
    const decontaminator = await Decontaminator.fromTexts("s", ["the capital of burgundy", "no"], {
      shortest: 4,
    });
    expect(decontaminator.report().sets[0].tooShort).toBe(1);
    const kept = await decontaminator.process(
      documents(["It is the Capital of Burgundy.", "no", "the capital of France"]),
    );
    expect(kept.map(({ source }) => source)).toEqual(["memory:1", "memory:2"]);
  });

  it("cuts runs with their margins and keeps what is long enough", async () => {
    const item = words(0, 13);
    const options: DecontaminateOptions = { action: "cut", margin: 10, minPiece: 40 };
    const left = `${words(100, 20)} é`;
    const right = `日 ${words(200, 20)}`;
    const decontaminator = await Decontaminator.fromTexts("s", [item], options);
    const texts = [
      `${left} ${item} ${right}`,
      item,
      `short ${item} ${right}`,
      `${left} ${item} middle ${item} ${right}`,
      left,
    ];
    const kept = await decontaminator.process(documents(texts));
    const cutLeft = Buffer.from(`${left} `).subarray(0, -10).toString();
    const cutRight = Buffer.from(` ${right}`).subarray(10).toString();
    expect(kept.map(({ text }) => text)).toEqual([
      `${cutLeft}\n\n${cutRight}`,
      cutRight,
      `${cutLeft}\n\n${cutRight}`,
      left,
    ]);
    expect(decontaminator.report()).toMatchObject({ documents: 5, kept: 4, dropped: 1, cut: 3 });
  });

  it("cuts inside no character", async () => {
    const item = words(0, 13);
    for (let margin = 0; margin < 8; margin++) {
      const decontaminator = await Decontaminator.fromTexts("s", [item], {
        action: "cut",
        margin,
        minPiece: 1,
      });
      const [{ text }] = await decontaminator.process(
        documents([`${"日本😀".repeat(9)} ${item} ${"é語".repeat(9)}`]),
      );
      expect(text).not.toContain("\ufffd");
    }
  });

  it("goes on counting where another process stopped", async () => {
    const items = [words(0, 13), words(50, 13)];
    const texts = documents([words(0, 13), "clean", words(50, 20)]);
    const whole = await Decontaminator.fromTexts("s", items);
    await whole.process(texts);
    const first = await Decontaminator.fromTexts("s", items);
    await first.process(texts.slice(0, 2));
    const second = await Decontaminator.fromTexts("s", items);
    second.restoreState(JSON.parse(JSON.stringify(first.saveState())));
    await second.process(texts.slice(2), 2);
    expect(second.report()).toEqual(whole.report());
  });

  it("keeps as many hits as asked for and counts all", async () => {
    const decontaminator = await Decontaminator.fromTexts("s", [words(0, 13)], { hitsKept: 2 });
    await decontaminator.process(documents(Array.from({ length: 9 }, () => words(0, 13))));
    expect(decontaminator.report()).toMatchObject({
      dropped: 9,
      sets: [{ documents: 9, overlaps: 9, found: 1 }],
    });
    expect(decontaminator.report().hits.length).toBe(2);
  });

  it.each([
    [{ ngram: 13 }, /no option "ngram"/],
    [{ words: 0 }, /words must be an integer from 1/],
    [{ shortest: 20 }, /shortest must be an integer from 1 to 13, got 20/],
    [{ action: "mask" }, /action must be one of drop, cut, got mask/],
  ])("%o is refused", (options, message) => {
    expect(() => new Decontaminator(options as DecontaminateOptions)).toThrow(message);
  });

  it("refuses two sets of one name", async () => {
    const decontaminator = await Decontaminator.fromTexts("s", ["x"]);
    await expect(decontaminator.addTexts("s", [])).rejects.toThrow(/There is an evaluation set "s" already/);
  });
});
