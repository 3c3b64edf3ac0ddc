/** The native rules beside datatrove's verdicts and beside the oracle, on ordinary and hostile texts. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type CleanOptions, cleanSettings, nativeOptions } from "../../lib/data/clean/options.js";
import { TEXT_RULES } from "../../lib/data/clean/rules.js";
import { addon } from "../../lib/native/addon.js";
import { TextBatch } from "../../lib/native/text/batch.js";
import { cleanTexts, createCleaner } from "../../lib/native/text/clean.js";
import { checkDocument, maskAddresses, type OracleOptions } from "../reference/clean.js";
import { TERMINAL } from "../reference/clean-words.js";
import { exceptionsOf, type Golden, Random } from "./clean-texts.js";

const golden: Golden = JSON.parse(readFileSync(new URL("../golden/clean.json", import.meta.url), "utf8"));
const exceptions = exceptionsOf(golden);

interface Checked {
  rule: string | undefined;
  values: Record<string, number>;
  text: string;
}

/** What the native rules say of texts. */
async function check(texts: readonly string[], options: CleanOptions = {}, threads = 1): Promise<Checked[]> {
  const cleaner = createCleaner(nativeOptions(cleanSettings(options)));
  const result = await cleanTexts(cleaner, TextBatch.from(texts), { threads });
  const edited = new TextBatch(result.bytes, result.ends);
  const places = new Map(Array.from(result.edited, (at, i) => [at, i]));
  return texts.map((text, at) => {
    const values: Record<string, number> = {};
    TEXT_RULES.forEach(({ name }, rule) => {
      const value = result.values[at * TEXT_RULES.length + rule];
      if (!Number.isNaN(value)) values[name] = value;
    });
    const place = places.get(at);
    return {
      rule: TEXT_RULES[result.rules[at]]?.name,
      values,
      text: place === undefined ? text : edited.text(place),
    };
  });
}

const STEPS = ["text", "gopher-repetition", "gopher-quality", "c4", "fineweb"];
/** Only one step, or all of FineWeb's. */
function only(step: string): CleanOptions {
  const rules = Object.fromEntries(STEPS.filter((name) => name !== step).map((name) => [name, false]));
  const lines = step.startsWith("c4") ? { terminalPunctuation: step === "c4-strict" } : (false as const);
  if (step === "all") return { mask: false };
  return { rules: step === "c4-strict" ? { ...rules, c4: true } : rules, lines, mask: false };
}
const STEP_OF: Record<string, string> = {
  repetition: "gopher-repetition",
  quality: "gopher-quality",
  c4: "c4",
  "c4-strict": "c4-strict",
  fineweb: "fineweb",
  all: "all",
};

function oracleOptions(options: CleanOptions): OracleOptions {
  const settings = cleanSettings(options);
  const { lines } = settings;
  const thresholds = Object.fromEntries(
    Object.entries(settings.thresholds).filter((entry): entry is [string, number] => entry[1] !== false),
  );
  return {
    thresholds,
    exceptions,
    english: true,
    stopWords: settings.stopWords,
    terminal: TERMINAL,
    lines: lines !== false,
    maxWordLength:
      lines === false || lines.maxWordLength === false ? Number.POSITIVE_INFINITY : lines.maxWordLength,
    terminalPunctuation: lines !== false && lines.terminalPunctuation,
    minWords: lines === false || lines.minWords === false ? 0 : lines.minWords,
    policyPhrases: lines === false ? [] : lines.policyPhrases || [],
  };
}

const HOSTILE = [
  "",
  " ",
  "\n",
  "\n".repeat(1000),
  "\r\n\r\n",
  "\u0000",
  "\u0000".repeat(100),
  "a",
  "a".repeat(1001),
  "x ".repeat(100_000),
  "word ".repeat(30) + "x".repeat(1_000_000),
  "no newline at the end of a line that goes on and on ".repeat(2000),
  "😀".repeat(300),
  "👩‍👩‍👧‍👦 family 👍🏽 ".repeat(40),
  "日本語の文章です。これはテストです。".repeat(30),
  "مرحبا بالعالم. هذا نص تجريبي؟ ".repeat(30),
  "שלום עולם. זה טקסט. ".repeat(30),
  "e\u0301\u0300\u0323".repeat(200),
  "\u200b\u200d\ufeff".repeat(50),
  "\u2028a\u2029b\u0085c\u000bd\u000ce\u001cf".repeat(20),
  "ab c a bc abc ab c a bc abc ".repeat(20),
  "....................",
  "… … … …\n".repeat(30),
  "{",
  "Lorem Ipsum dolor sit amet.",
  "line one\n\nline one\n\n\n\nline one\n",
  "\n\nfirst\n\n",
  "[1][2] [edit] [citation needed] [12] [x] [",
  "java[1]script is here now. JAVASCRIPT it is. A third line.",
];

describe("rules", () => {
  it("have the same names, order and sides in TypeScript and natively", () => {
    const facts = addon().cleanFacts();
    expect(facts.rules).toEqual(
      TEXT_RULES.map(({ name, comparison }) => ({ name, above: comparison === ">" })),
    );
    expect([facts.lineRules, facts.masks]).toEqual([6, 4]);
  });

  it.each(Object.entries(STEP_OF))("judge like datatrove: %s", async (step, own) => {
    const checked = await check(
      golden.documents.map(({ text }) => text),
      only(own),
    );
    golden.documents.forEach((document, at) => {
      expect(checked[at].rule ?? "keep", JSON.stringify(document.text)).toBe(document.verdicts[step]);
      const edited = document[step as "c4"];
      if (step.startsWith("c4") && edited !== undefined) expect(checked[at].text).toBe(edited);
    });
  });

  it("look at the oracle's values on prose", async () => {
    const random = new Random(11);
    const texts = Array.from({ length: 600 }, () => random.prose());
    const rules = {
      "text.replacement-characters": 0.5,
      "gopher-quality.min-words": 5,
      "gopher-quality.stop-words": 0,
    };
    for (const options of [
      { mask: false },
      { mask: false, rules },
      only("gopher-quality"),
      only("c4"),
      only("fineweb"),
    ]) {
      const checked = await check(texts, options as CleanOptions);
      const oracle = oracleOptions(options as CleanOptions);
      texts.forEach((text, at) => {
        const expected = checkDocument(text, oracle);
        expect(checked[at].values, JSON.stringify(text)).toEqual(expected.values);
        expect(checked[at].rule, JSON.stringify(text)).toBe(expected.rule);
        if (expected.rule === undefined) expect(checked[at].text).toBe(expected.text);
      });
    }
  });

  it("look at the oracle's values on noise and hostile texts", async () => {
    const random = new Random(12);
    const texts = [...HOSTILE, ...Array.from({ length: 400 }, () => random.noise(random.below(200)))];
    // With thresholds that nothing breaches every statistic is computed.
    const never = Object.fromEntries(
      TEXT_RULES.map(({ name, comparison }) => [name, comparison === ">" ? 1e9 : -1]),
    );
    for (const step of [...STEPS.slice(1), "all"]) {
      const options = { ...only(step), rules: { ...only(step).rules } } as CleanOptions;
      const chosen = Object.entries(never).filter(([name]) => step === "all" || name.startsWith(`${step}.`));
      options.rules = { ...options.rules, ...Object.fromEntries(chosen) };
      const checked = await check(texts, options);
      const oracle = oracleOptions(options);
      texts.forEach((text, at) => {
        const expected = checkDocument(text, oracle);
        expect(checked[at].values, JSON.stringify(text.slice(0, 500))).toEqual(expected.values);
        expect(checked[at].text, JSON.stringify(text.slice(0, 500))).toBe(expected.text);
      });
    }
  });

  it("give the same for any number of threads", async () => {
    const random = new Random(13);
    const texts = Array.from({ length: 300 }, () => random.prose());
    expect(await check(texts, {}, 4)).toEqual(await check(texts, {}, 1));
  });
});

describe("thresholds", () => {
  // A text that has something for every rule; then each rule alone, at its own value and beside it.
  const text = [
    "The cat and the dog sat with that bird to be free of it. And the cat and the dog sat there.",
    "The cat and the dog sat with that bird to be free of it.",
    "- a short line…",
    "#tag 12 %% and so on...",
    "",
    "The cat and the dog sat with that bird to be free of it.",
    "",
    "The cat and the dog sat with that bird to be free of it.",
    "lorem ipsum \ufffd",
  ].join("\n");
  const next = (value: number, up: boolean) => {
    const view = new DataView(new ArrayBuffer(8));
    view.setFloat64(0, value);
    view.setBigInt64(0, view.getBigInt64(0) + (value === 0 ? 1n : up ? 1n : -1n));
    return value === 0 && !up ? -Number.MIN_VALUE : view.getFloat64(0);
  };
  const all = Object.fromEntries(STEPS.map((step) => [step, false]));

  it.each(TEXT_RULES)("are strict: $name", async ({ name, comparison }) => {
    const one = async (limit: number) => {
      const lines = name.startsWith("c4") ? undefined : (false as const);
      const [checked] = await check([text], { rules: { ...all, [name]: limit }, lines, mask: false });
      return checked;
    };
    const value = (await one(comparison === ">" ? 1e9 : -1)).values[name];
    expect(value).toBeTypeOf("number");
    expect((await one(value)).rule).toBeUndefined();
    expect((await one(next(value, comparison === "<"))).rule).toBe(name);
    expect((await one(next(value, comparison !== "<"))).rule).toBeUndefined();
  });
});

describe("lines", () => {
  it("of 200 characters are counted as mC4 counts them", async () => {
    const checked = await check(
      golden.paragraphs.map(({ text }) => text),
      {
        ...only("c4"),
        rules: { ...only("c4").rules, c4: false, "c4.long-paragraphs": true },
        lines: { minWords: false, maxWordLength: false },
      },
    );
    expect(checked.map(({ rule }) => rule === undefined)).toEqual(golden.paragraphs.map(({ kept }) => kept));
  });
});

describe("masks", () => {
  const mask = async (text: string, options: CleanOptions["mask"]) => {
    const rules = Object.fromEntries(STEPS.map((step) => [step, false]));
    return (await check([text], { rules, lines: false, mask: options }))[0].text;
  };
  const placeholders = { emails: ["<mail>"], ipv4: ["<ip>"] };

  it.each(golden.masked)("replace what datatrove replaces: $text", async ({ text, masked }) => {
    expect(await mask(text, placeholders)).toBe(masked);
  });

  it("replace what the oracle replaces", async () => {
    const random = new Random(14);
    const parts = [
      ..."ab1.@-_ é[]:\n",
      "a@b.c",
      "8.8.8.8",
      "256.",
      "10.",
      "1.",
      "192.168.",
      ".de",
      "@",
      "x+y",
    ];
    for (let i = 0; i < 4000; i++) {
      let text = "";
      for (let left = random.below(30); left > 0; left--) text += random.pick(parts);
      expect(await mask(text, placeholders), JSON.stringify(text)).toBe(
        maskAddresses(text, "<mail>", "<ip>"),
      );
    }
  });

  it("take placeholders in turn within a document", async () => {
    const chosen = { emails: ["A", "B"], ipv4: false } as const;
    expect(await mask("a@b.cc, c@d.ee and f@g.hh", chosen)).toBe("A, B and A");
  });

  it("find IPv6 addresses", async () => {
    const chosen = { emails: false, ipv4: false, ipv6: ["<6>"] } as const;
    const cases: [string, string][] = [
      ["at 2606:4700::1111, and 2a00:1450:4001:81b::200e.", "at <6>, and <6>."],
      ["[2606:4700::6810:84e5]:443 or 2001:0:0:1:2:3:4:5", "[<6>]:443 or <6>"],
      ["::1 fe80::1 2001:db8::1 fd00::1", "::1 fe80::1 2001:db8::1 fd00::1"],
      [
        "12:30:45 a::b::c std::vector 1:2:3:4:5:6:7:8:9 2606:47000::1",
        "12:30:45 a::b::c std::vector 1:2:3:4:5:6:7:8:9 2606:47000::1",
      ],
      ["2606:4700::8.8.8.8 and 2606:4700:: end", "<6> and <6> end"],
    ];
    for (const [text, expected] of cases) expect(await mask(text, chosen)).toBe(expected);
    expect(await mask("::1 fe80::1", { ...chosen, publicAddressesOnly: false })).toBe("<6> <6>");
  });

  it("find telephone numbers", async () => {
    const chosen = { emails: false, ipv4: false, phones: ["<tel>"] } as const;
    const cases: [string, string][] = [
      ["call +49 30 1234567 or (202) 555-0143.", "call <tel> or <tel>."],
      ["202-555-0143, 202.555.0143 and +442079460123", "<tel>, <tel> and <tel>"],
      [
        "in 2020-2021 for 1,234,567 or 12345678901 or 3.14159",
        "in 2020-2021 for 1,234,567 or 12345678901 or 3.14159",
      ],
      ["x202-555-0143 202-555-01433 +1 23 202-555-0143x", "x202-555-0143 202-555-01433 +1 23 202-555-0143x"],
    ];
    for (const [text, expected] of cases) expect(await mask(text, chosen)).toBe(expected);
  });
});
