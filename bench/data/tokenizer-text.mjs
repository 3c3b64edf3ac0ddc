/**
 * The text of the tokenizer benchmark: real texts, said again and again until there are enough of them, with more and more
 * words replaced by made-up ones, so that distinct words grow as they do in natural text and do not stand still after the first
 * round. The same for the same files, size and seed.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

const ONSETS = [
  "b",
  "br",
  "c",
  "ch",
  "d",
  "f",
  "g",
  "gr",
  "h",
  "k",
  "l",
  "m",
  "n",
  "p",
  "pl",
  "r",
  "s",
  "st",
  "t",
  "tr",
  "v",
  "w",
  "",
];
const VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "ou", "ie"];
const ENDS = ["", "", "n", "r", "s", "t", "l", "m", "nd", "ck", "ng", "rt"];
const SUFFIXES = ["", "", "", "ing", "ed", "s", "er", "ly", "tion"];
const BLOCK = 4000;

function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The word of a rank: its syllables follow from the rank, so that equal ranks are equal words. */
function made(rank) {
  const random = generator(rank * 2654435761 + 12345);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const syllables = 1 + Math.floor(random() * 2.7);
  let word = "";
  for (let i = 0; i < syllables; i++) word += pick(ONSETS) + pick(VOWELS) + pick(ENDS);
  return word + pick(SUFFIXES);
}

/** The texts of a folder's files: plain, JSON lines (their strings), and both with gzip. */
async function* sources(folder) {
  for (const name of (await readdir(folder)).sort()) {
    if (!/\.(txt|jsonl)(\.gz)?$/.test(name)) continue;
    const bytes = await readFile(join(folder, name));
    const text = (name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
    if (name.includes(".jsonl")) {
      for (const line of text.split("\n")) {
        if (line === "") continue;
        yield Object.values(JSON.parse(line))
          .filter((value) => typeof value === "string")
          .join("\n\n");
      }
    } else {
      for (let at = 0; at < text.length; at += BLOCK) yield text.slice(at, at + BLOCK);
    }
  }
}

/**
 * About `megabytes` of text as an array of documents.
 * @param folder a folder of .txt and .jsonl files
 */
export async function benchmarkText(folder, megabytes, seed = 1) {
  const originals = [];
  for await (const text of sources(folder)) originals.push(text);
  if (originals.length === 0) throw new Error(`There are no .txt or .jsonl files in ${folder}.`);
  const random = generator(seed);
  const texts = [];
  let bytes = 0;
  for (let round = 0; bytes < megabytes * 1e6; round++) {
    // A made-up word's rank is spread over many powers of ten, the open end of Zipf's law.
    const share = round === 0 ? 0 : 0.06;
    for (const original of originals) {
      const text =
        share === 0
          ? original
          : original.replace(/[A-Za-z]+|\d+/g, (word) => {
              if (random() >= share) return word;
              if (/\d/.test(word)) return String(Math.floor(10 ** (random() * 6)));
              const fresh = made(Math.floor(10 ** (random() * 6.5)));
              return /^[A-Z]/.test(word) ? fresh[0].toUpperCase() + fresh.slice(1) : fresh;
            });
      texts.push(text);
      bytes += Buffer.byteLength(text);
      if (bytes >= megabytes * 1e6) break;
    }
  }
  return texts;
}
