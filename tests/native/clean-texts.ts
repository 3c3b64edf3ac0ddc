/** Texts for the tests of cleaning: what golden/clean.json holds, and random ones that go where rules have their edges. */

export interface GoldenDocument {
  text: string;
  verdicts: Record<string, string>;
  c4?: string;
  "c4-strict"?: string;
}

export interface Golden {
  samples: { text: string; words: string[]; general: string[]; sentences: number }[];
  exceptions: string[][];
  documents: GoldenDocument[];
  masked: { text: string; masked: string }[];
  paragraphs: { text: string; kept: boolean }[];
}

/** spaCy's English exceptions by their string. */
export function exceptionsOf(golden: Golden): Map<string, readonly string[]> {
  return new Map(golden.exceptions.map((words) => [words.join(""), words]));
}

const PIECES = [
  ..."abzABZ059 .,;:!?'\"()[]{}<>#$%&*+-/=@\\^_`|~\n\t\r",
  ..."éßñÅжЯλΩñ日本語あ한ا؟ह।…—–’‘“”«»•€£°²³µ😀★\u0301\u200b\u200d\u00a0\u2028\u0085\u0000\u001c\ufffd",
  "don't",
  "cannot",
  "e.g.",
  "Mr.",
  "U.S.",
  "...",
  "--",
  ":)",
  "’s",
  "10km",
  "US$",
  "http://a.bc/d",
  "x@y.zz",
  "[1]",
  "[edit]",
  "the",
  "and",
  "of",
  "to",
];
const WORDS = "the of and to be have that with cat dog river e.g. don't 3,000 # ... … - • { javascript".split(
  " ",
);

/** Small repeatable random numbers (Mulberry32). */
export class Random {
  constructor(private state: number) {}

  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }
  /** Characters and strings of all sorts, one after the other. */
  noise(count: number): string {
    return Array.from({ length: count }, () => this.pick(PIECES)).join("");
  }
  /** Something like a text: few words, so that much is repeated. */
  prose(): string {
    const vocabulary = Array.from({ length: 2 + this.below(40) }, (_, i) =>
      this.next() < 0.7 ? this.pick(WORDS) : `w${i}${"x".repeat(this.below(9))}`,
    );
    const ends = [" ", " ", " ", " ", " ", ". ", ".\n", "\n", "\n\n", ", ", "...\n", "\r\n", "? ", "\u2028"];
    let text = "";
    for (let left = this.below(250); left > 0; left--) text += this.pick(vocabulary) + this.pick(ends);
    return text;
  }
}
