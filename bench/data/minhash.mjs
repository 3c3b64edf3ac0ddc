/**
 * Near-duplicate search (MinHash-LSH, FineWeb's settings) beside the same work in Python with numpy, on the same generated text in
 * one run. The programs take turns, round after round, so that both see the same machine; the median of the rounds counts.
 * Reading the documents from the file is not timed on either side. On a machine that others use as well, the rates per second of
 * processor time are the ones to trust.
 * Usage: [PYTHON=python3] node bench/data/minhash.mjs [--megabytes 100] [--peer-megabytes 5] [--rounds 3] [--threads 1 --threads 2]
 *   [--work DIR] [--out DIR]
 * `--peer-megabytes`: how much of the text Python gets, which takes minutes for all of it; both are compared by their rates and on
 * this part both must remove the same documents. Writes minhash-DATE.json and a Markdown table to --out.
 */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);

const { values: options } = parseArgs({
  options: {
    megabytes: { type: "string", default: "100" },
    "peer-megabytes": { type: "string", default: "5" },
    rounds: { type: "string", default: "3" },
    threads: { type: "string", multiple: true, default: ["1", String(availableParallelism())] },
    work: { type: "string" },
    out: { type: "string" },
  },
});
const python = process.env.PYTHON ?? "python3";
const { MinHashDeduplicator } = await import(new URL("../../dist/data/dedup/index.js", import.meta.url).href);

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Integers from a seed (xorshift). */
function generator(seed) {
  let state = seed >>> 0;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

/**
 * Documents of about 3,000 characters like web text: a vocabulary by Zipf's law, sentences with punctuation, capitals and numbers;
 * a tenth of them are copies of earlier ones with a few words changed.
 */
function makeTexts(bytes) {
  const random = generator(12345);
  const letters = "etaoinshrdlucmfwypvbgkqjxz";
  const vocabulary = Array.from({ length: 50_000 }, (_, rank) => {
    const length = 2 + random(3) + Math.min(7, Math.floor(Math.log2(rank + 1) / 2));
    return Array.from({ length }, () => letters[Math.min(random(26), random(26))]).join("");
  });
  const pick = () => vocabulary[Math.floor(vocabulary.length ** (random(1 << 20) / (1 << 20))) - 1];
  const texts = [];
  for (let total = 0; total < bytes; ) {
    let text;
    if (texts.length > 100 && random(10) === 0) {
      const words = texts[random(texts.length)].split(" ");
      const changes = random(12);
      for (let i = 0; i < changes; i++) words[random(words.length)] = pick();
      text = words.join(" ");
    } else {
      const length = 100 + random(800);
      const words = [];
      let start = true;
      for (let i = 0; i < length; i++) {
        let word = random(40) === 0 ? String(random(3000)) : pick();
        if (start) word = word[0].toUpperCase() + word.slice(1);
        start = random(12) === 0;
        if (start) word += ". ? ! .\n".split(" ")[random(4)];
        else if (random(15) === 0) word += ",";
        words.push(word);
      }
      text = words.join(" ");
    }
    texts.push(text);
    total += text.length;
  }
  return texts;
}

async function ours(texts, threads) {
  const deduplicator = await MinHashDeduplicator.open({ threads });
  const cpu = process.cpuUsage();
  const begin = performance.now();
  for (let at = 0; at < texts.length; at += 1024) await deduplicator.add(texts.slice(at, at + 1024));
  const signed = performance.now();
  const result = await deduplicator.finish();
  const end = performance.now();
  const { user, system } = process.cpuUsage(cpu);
  return {
    cpuSeconds: (user + system) / 1e6,
    removed: result.removedCount,
    secondsSignatures: (signed - begin) / 1000,
    secondsClusters: (end - signed) / 1000,
  };
}

async function theirs(file, threads) {
  const args = ["bench/peers/python_minhash.py", "--input", file, "--threads", String(threads), "--json"];
  const { stdout } = await run(python, args, { cwd: ROOT, maxBuffer: 2 ** 26 });
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

/** Whether the peer can run; the reason is said where it cannot. */
async function peerPresent() {
  try {
    await run(python, ["-c", "import numpy, xxhash, regex"]);
    return true;
  } catch (error) {
    console.error(`Python is left out: ${(error.stderr || error.message).trim().split("\n").at(-1)}`);
    console.error(
      "Install numpy, xxhash and regex, and name that interpreter: PYTHON=path/to/python node bench/data/minhash.mjs",
    );
    return false;
  }
}

const texts = makeTexts(Number(options.megabytes) * 1e6);
const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
const part = [];
for (let size = 0; part.length < texts.length && size < Number(options["peer-megabytes"]) * 1e6; ) {
  size += Buffer.byteLength(texts[part.length]);
  part.push(texts[part.length]);
}
const partBytes = part.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
const work = await mkdtemp(join(options.work ?? tmpdir(), "anneal-minhash-"));
const file = join(work, "part.jsonl");
await writeFile(file, part.map((text) => `${JSON.stringify({ text })}\n`).join(""));

const peer = await peerPresent();
const rows = [];
let versions;
try {
  const partRemoved = (await ours(part, Number(options.threads[0]))).removed;
  for (const threads of options.threads.map(Number)) {
    const own = [];
    const other = [];
    for (let round = 1; round <= Number(options.rounds); round++) {
      console.error(`${threads} threads, round ${round} of ${options.rounds} …`);
      own.push(await ours(texts, threads));
      if (!peer) continue;
      other.push(await theirs(file, threads));
      versions = other[0].versions;
      if (other[0].removed !== partRemoved) {
        throw new Error(`The peer removed ${other[0].removed} documents of the part, anneal ${partRemoved}.`);
      }
    }
    const rate = (results, size) => {
      const seconds = median(results.map((result) => result.secondsSignatures + result.secondsClusters));
      return size / seconds / 1e6;
    };
    const cpuRate = (results, size) => size / median(results.map((result) => result.cpuSeconds)) / 1e6;
    rows.push({
      threads,
      megabytesPerSecond: rate(own, bytes),
      secondsSignatures: median(own.map((result) => result.secondsSignatures)),
      secondsClusters: median(own.map((result) => result.secondsClusters)),
      removed: own[0].removed,
      megabytesPerCpuSecond: cpuRate(own, bytes),
      ...(peer && {
        peerMegabytesPerSecond: rate(other, partBytes),
        peerMegabytesPerCpuSecond: cpuRate(other, partBytes),
      }),
    });
  }
} finally {
  await rm(work, { recursive: true, force: true });
}

const record = {
  date: new Date().toISOString().slice(0, 10),
  cpu: cpus()[0].model.trim(),
  processors: availableParallelism(),
  node: process.version,
  documents: texts.length,
  bytes,
  peerBytes: partBytes,
  rounds: Number(options.rounds),
  versions,
  rows,
};
const table = [
  `MinHash-LSH, 14 buckets of 8, on ${record.cpu}, ${record.processors} processors, ${record.date}; Node ${record.node}` +
    `${versions ? `; Python ${versions.python}, numpy ${versions.numpy}` : ""}. ${texts.length} documents, ` +
    `${(bytes / 1e6).toFixed(0)} MB of text (Python: the first ${(partBytes / 1e6).toFixed(0)} MB). ` +
    `Median of ${record.rounds} rounds that take turns.`,
  "",
  "| threads | anneal MB/s | per processor second | signatures s | clusters s | removed | Python + numpy MB/s | per processor second | times as fast | per processor second |",
  "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
  ...rows.map((row) => {
    const { peerMegabytesPerSecond: rate, peerMegabytesPerCpuSecond: cpuRate } = row;
    return `| ${[
      row.threads,
      row.megabytesPerSecond.toFixed(1),
      row.megabytesPerCpuSecond.toFixed(1),
      row.secondsSignatures.toFixed(2),
      row.secondsClusters.toFixed(2),
      row.removed,
      rate?.toFixed(2) ?? "–",
      cpuRate?.toFixed(2) ?? "–",
      rate ? (row.megabytesPerSecond / rate).toFixed(0) : "–",
      cpuRate ? (row.megabytesPerCpuSecond / cpuRate).toFixed(0) : "–",
    ].join(" | ")} |`;
  }),
  "",
].join("\n");
if (options.out !== undefined) {
  await mkdir(options.out, { recursive: true });
  const base = join(options.out, `minhash-${record.date}`);
  await writeFile(`${base}.json`, `${JSON.stringify(record, null, 2)}\n`);
  await writeFile(`${base}.md`, table);
  console.error(`Written to ${base}.json and ${base}.md.`);
}
console.log(table);
