/**
 * Training and encoding of tokenizers beside Hugging Face tokenizers and tiktoken on this machine, in one run: the same texts
 * in memory, the same threads, the programs in turns, round after round; the median of the rounds counts, and the results must be equal.
 * Usage: [PYTHON=python3] node bench/data/tokenizer.mjs --text DIR [--megabytes 64] [--vocab 32000] [--pattern gpt2 …] [--rounds 3]
 *          [--threads 2] [--work train --work encode] [--out FILE.json]
 * Needs dist/ (npm run build) and, in Python, tokenizers and tiktoken. DIR has .txt and .jsonl files.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { benchmarkText } from "./tokenizer-text.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const { byteAlphabet, loadTokenizer, trainTokenizer } = await import(join(ROOT, "dist/tokenizer/index.js"));
const { TextBatch } = await import(join(ROOT, "dist/native/text/batch.js"));

const { values: options } = parseArgs({
  options: {
    text: { type: "string" },
    megabytes: { type: "string", default: "64" },
    vocab: { type: "string", default: "32000" },
    pattern: { type: "string", multiple: true, default: ["gpt2", "llama3", "deepseek-v3"] },
    rounds: { type: "string", default: "3" },
    threads: { type: "string", default: String(Math.min(2, availableParallelism())) },
    work: { type: "string", multiple: true, default: ["train", "encode"] },
    out: { type: "string" },
  },
});
if (options.text === undefined) throw new Error("Name a folder with texts: --text DIR");
const threads = Number(options.threads);
const rounds = Number(options.rounds);
const vocabSize = Number(options.vocab);
const SPECIAL = ["<|endoftext|>"];

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** The Python program, which answers one request at a time. */
class Peer {
  constructor() {
    this.process = spawn(process.env.PYTHON ?? "python3", [join(ROOT, "bench/peers/hf_tokenizers.py")], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, RAYON_NUM_THREADS: String(threads), TOKENIZERS_PARALLELISM: "true" },
    });
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }
  async answer() {
    const { value, done } = await this.lines.next();
    if (done) throw new Error("The Python program ended; its message is above.");
    return JSON.parse(value);
  }
  ask(request) {
    this.process.stdin.write(`${JSON.stringify(request)}\n`);
    return this.answer();
  }
}

async function timed(work) {
  const start = performance.now();
  const result = await work();
  return { seconds: (performance.now() - start) / 1000, result };
}

/** Runs the programs in turns and gives the median seconds of each; their results must be the same. */
async function inTurns(name, programs) {
  const seconds = Object.fromEntries(Object.keys(programs).map((program) => [program, []]));
  const digests = {};
  for (let round = 0; round < rounds; round++) {
    for (const [program, run] of Object.entries(programs)) {
      const { seconds: taken, sha256 } = await run();
      seconds[program].push(taken);
      digests[program] = sha256;
    }
  }
  const medians = Object.fromEntries(
    Object.entries(seconds).map(([program, list]) => [program, median(list)]),
  );
  const own = medians.anneal;
  const row = { name, medians, seconds, megabytesPerSecond: {}, times: {}, equal: {} };
  for (const [program, value] of Object.entries(medians)) {
    row.megabytesPerSecond[program] = bytes / 1e6 / value;
    if (program !== "anneal") {
      row.times[program] = value / own;
      row.equal[program] = digests[program] === digests.anneal;
    }
  }
  const parts = Object.entries(medians).map(
    ([program, value]) => `${program} ${value.toFixed(2)} s (${(bytes / 1e6 / value).toFixed(1)} MB/s)`,
  );
  const others = Object.keys(row.times).map(
    (program) =>
      `${row.times[program].toFixed(2)}× ${program}, ${row.equal[program] ? "equal" : "NOT EQUAL"}`,
  );
  console.log(`${name.padEnd(22)} ${parts.join("  ")}  →  ${others.join("; ")}`);
  return row;
}

const folder = await mkdtemp(join(tmpdir(), "anneal-bench-"));
const texts = await benchmarkText(options.text, Number(options.megabytes));
const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
const corpus = join(folder, "texts.jsonl");
await writeFile(corpus, texts.map((text) => `${JSON.stringify({ text })}\n`).join(""));
const peer = new Peer();
const versions = await peer.answer();
const loaded = await peer.ask({ do: "load", path: corpus });
if (loaded.bytes !== bytes) throw new Error("The programs do not have the same texts.");
console.log(
  `${cpus()[0].model}, ${threads} threads; ${texts.length} texts, ${(bytes / 1e6).toFixed(1)} MB; vocabulary ${vocabSize}; ` +
    `tokenizers ${versions.tokenizers}, tiktoken ${versions.tiktoken}; medians of ${rounds} rounds`,
);
const rows = [];

const digestOf = (trained) => {
  const merges = JSON.parse(trained.tokenizerJson).model.merges.map((merge) => merge.join(" "));
  return createHash("sha256")
    .update([...trained.tokens, ...merges].join("\n"))
    .digest("hex");
};

/** A rank file with the tokens of a trained vocabulary, special ones left out. */
function rankFile(tokens) {
  const byteOf = new Map(byteAlphabet().map((character, byte) => [character, byte]));
  const lines = tokens.slice(SPECIAL.length).map((token, rank) => {
    const bytes = Uint8Array.from(token, (character) => byteOf.get(character));
    return `${Buffer.from(bytes).toString("base64")} ${rank}\n`;
  });
  return lines.join("");
}

const GPT2 = "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s";
const CL100K =
  "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|" +
  "\\s+(?!\\S)|\\s";

for (const pattern of options.pattern) {
  const trainOnce = () => trainTokenizer({ texts, pattern, vocabSize, threads, specialTokens: SPECIAL });
  const trained = await trainOnce();
  await trained.save(join(folder, pattern));
  const json = join(folder, pattern, "tokenizer.json");
  if (options.work.includes("train")) {
    console.log(`${pattern}: ${trained.words.total} words, ${trained.words.distinct} distinct`);
    const request = { do: "train", tokenizer: json, vocab: vocabSize, kind: "bpe", specialTokens: SPECIAL };
    rows.push(
      await inTurns(`train ${pattern}`, {
        anneal: async () => {
          const { seconds, result } = await timed(trainOnce);
          return { seconds, sha256: digestOf(result) };
        },
        tokenizers: () => peer.ask(request),
      }),
    );
  }
  if (!options.work.includes("encode")) continue;
  const encoder = async (path, more) => {
    const tokenizer = await loadTokenizer(path, more);
    await tokenizer.encodeBatch(texts.slice(0, 8), { threads });
    return async () => {
      // As for the peers, the clock covers everything from strings to ids.
      const { seconds, result } = await timed(() =>
        tokenizer.encodeBatch(TextBatch.from(texts), { threads }),
      );
      return { seconds, sha256: createHash("sha256").update(result.ids).digest("hex") };
    };
  };
  rows.push(
    await inTurns(`encode ${pattern}`, {
      anneal: await encoder(json),
      tokenizers: () => peer.ask({ do: "encode", tokenizer: json }),
    }),
  );
  const rankPattern = { gpt2: GPT2, gpt4: CL100K, llama3: CL100K }[pattern];
  if (rankPattern === undefined) continue;
  const ranks = join(folder, `${pattern}.tiktoken`);
  await writeFile(ranks, rankFile(trained.tokens));
  rows.push(
    await inTurns(`encode ranks ${pattern}`, {
      anneal: await encoder(ranks, { pattern: pattern === "gpt2" ? "gpt2" : "gpt4" }),
      tiktoken: () => peer.ask({ do: "ranks", path: ranks, pattern: rankPattern, threads }),
    }),
  );
}
peer.process.stdin.end();
await rm(folder, { recursive: true });
if (options.out !== undefined) {
  const record = {
    date: new Date().toISOString().slice(0, 10),
    processor: cpus()[0].model,
    threads,
    vocabSize,
    texts: texts.length,
    bytes,
    versions,
    rows,
  };
  await writeFile(options.out, `${JSON.stringify(record, null, 2)}\n`);
}
