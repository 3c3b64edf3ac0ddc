/**
 * A synthetic web corpus of any size as JSON lines, the same for the same seed: prose of a Zipf-distributed vocabulary with English
 * function words, paragraphs and addresses; 4 % exact copies, 8 % near copies (a few words changed), and 10 % pages
 * that the cleaning rules are there for (lists of links, repeated lines, too short, code, another language), and e-mail and IP
 * addresses. Usage: node bench/data/corpus.mjs OUT.jsonl --megabytes 100 [--seed 1]
 */

import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const FUNCTION_WORDS = (
  "the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one " +
  "you were her all she there would their we him been has when who will more no if out so said what up its about into " +
  "than them can only other new some could time these two may then do first any my now such like our over man me even"
).split(" ");
const ONSETS = [
  "b",
  "c",
  "d",
  "f",
  "g",
  "h",
  "l",
  "m",
  "n",
  "p",
  "r",
  "s",
  "t",
  "v",
  "w",
  "st",
  "tr",
  "pl",
  "cr",
  "sh",
  "th",
  "",
];
const NUCLEI = ["a", "e", "i", "o", "u", "ea", "ou", "io", "ai"];
const CODAS = ["", "n", "r", "s", "t", "l", "m", "nd", "ck", "st", "ng", "rd"];
const OTHER = [
  "der",
  "und",
  "nicht",
  "eine",
  "auch",
  "werden",
  "über",
  "für",
  "schön",
  "größer",
  "можно",
  "если",
  "когда",
  "これは",
  "です",
  "日本",
];

/** Random integers and fractions by a 32-bit generator (mulberry32): plain and fast, only for synthetic text. */
export function generator(seed) {
  let state = (seed * 0x9e3779b1) >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return { next, below: (n) => Math.floor(next() * n) };
}

function vocabulary(random, size) {
  const words = new Set(FUNCTION_WORDS);
  while (words.size < size) {
    let word = "";
    const syllables = 1 + random.below(4);
    for (let i = 0; i < syllables; i++) {
      word +=
        ONSETS[random.below(ONSETS.length)] +
        NUCLEI[random.below(NUCLEI.length)] +
        CODAS[random.below(CODAS.length)];
    }
    if (word.length > 2 && word.length < 14) words.add(word);
  }
  return [...words];
}

/** Words by rank with probability ∝ 1 / (rank + 2.7), looked up in a table of quantiles. */
function zipf(words, entries = 1 << 20) {
  const table = new Array(entries);
  let total = 0;
  const cumulative = words.map((_, rank) => (total += 1 / (rank + 2.7)));
  for (let i = 0, rank = 0; i < entries; i++) {
    while (cumulative[rank] / total < (i + 0.5) / entries) rank++;
    table[i] = words[rank];
  }
  return table;
}

/** Documents `{id, url, text}` without end. */
export function* syntheticDocuments({ seed = 1, words = 300_000 } = {}) {
  const random = generator(seed);
  const table = zipf(vocabulary(random, words));
  const word = () => table[random.below(table.length)];
  const sentence = () => {
    const length = 6 + random.below(18);
    const parts = new Array(length);
    for (let i = 0; i < length; i++) parts[i] = word();
    const comma = random.below(length);
    if (comma > 2 && comma < length - 2) parts[comma] += ",";
    parts[0] = parts[0][0].toUpperCase() + parts[0].slice(1);
    return parts.join(" ") + (random.next() < 0.9 ? "." : random.next() < 0.5 ? "?" : "!");
  };
  const paragraph = () => Array.from({ length: 2 + random.below(6) }, sentence).join(" ");
  const prose = () => {
    const parts = Array.from({ length: 3 + random.below(9) }, paragraph);
    if (random.next() < 0.02)
      parts.push(`Write to ${word()}.${word()}@${word()}.com or ask 81.2.69.${random.below(256)} about it.`);
    return parts.join("\n\n");
  };
  const rejected = [
    () => Array.from({ length: 40 }, () => `${word()} ${word()}`).join("\n"),
    () => `${sentence()}\n`.repeat(20),
    () => sentence(),
    () =>
      Array.from({ length: 15 }, () => `if (${word()}) { return ${word()}[${random.below(99)}]; }`).join(
        "\n",
      ),
    () => Array.from({ length: 120 }, () => OTHER[random.below(OTHER.length)]).join(" "),
  ];
  const recent = [];
  for (let number = 0; ; number++) {
    const kind = random.next();
    let text;
    if (kind < 0.04 && recent.length > 0) {
      text = recent[random.below(recent.length)];
    } else if (kind < 0.12 && recent.length > 0) {
      const parts = recent[random.below(recent.length)].split(" ");
      for (let i = 0; i < 1 + parts.length / 100; i++) parts[random.below(parts.length)] = word();
      text = parts.join(" ");
    } else if (kind < 0.22) {
      text = rejected[random.below(rejected.length)]();
    } else {
      text = prose();
      if (recent.length < 4096) recent.push(text);
      else recent[random.below(4096)] = text;
    }
    yield { id: `doc-${number}`, url: `https://site${random.below(5000)}.example/${number}`, text };
  }
}

/** Writes about `bytes` bytes of JSON lines; resolves to the number of documents. */
export async function writeCorpus(path, bytes, seed = 1) {
  const stream = createWriteStream(path);
  let written = 0;
  let documents = 0;
  let lines = [];
  let pending = 0;
  for (const document of syntheticDocuments({ seed })) {
    const line = `${JSON.stringify(document)}\n`;
    lines.push(line);
    pending += line.length;
    documents++;
    if (pending >= 1 << 20 || written + pending >= bytes) {
      const chunk = Buffer.from(lines.join(""));
      written += chunk.length;
      lines = [];
      pending = 0;
      if (!stream.write(chunk)) await once(stream, "drain");
      if (written >= bytes) break;
    }
  }
  stream.end();
  await once(stream, "finish");
  return documents;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { megabytes: { type: "string", default: "100" }, seed: { type: "string", default: "1" } },
  });
  const [path] = positionals;
  if (path === undefined)
    throw new Error("Name the file to write: node bench/data/corpus.mjs OUT.jsonl --megabytes 100");
  const documents = await writeCorpus(path, Number(values.megabytes) * 1e6, Number(values.seed));
  console.log(`${path}: ${documents} documents`);
}
