/**
 * Token shards, plans of rows and batches: how fast a text becomes shards with each tokenizer, how long a plan for ten million
 * documents takes, how many tokens a second the loader gives, and the memory of each, every part in a process of its own.
 * Usage: node bench/data/packing.mjs [--megabytes 100] [--documents 10000000] [--tokenizer DIR …] [--work DIR]
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { writeCorpus } from "./corpus.mjs";

const { values } = parseArgs({
  options: {
    megabytes: { type: "string", default: "100" },
    documents: { type: "string", default: "10000000" },
    tokenizer: { type: "string", multiple: true, default: ["byte"] },
    work: { type: "string" },
    part: { type: "string" },
  },
});
const library = await import("../../dist/data/index.js");
const { loadTokenizer } = await import("../../dist/tokenizer/index.js");

/** Peak of this process's own memory in MiB: without pages of files, which the system may take back at any time. */
const ownPeak = { now: 0 };
const watch = setInterval(() => {
  const pages = /RssAnon:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"));
  ownPeak.now = Math.max(ownPeak.now, Number(pages?.[1] ?? 0) / 1024);
}, 20);
const seconds = (start) => (performance.now() - start) / 1000;
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

/** Longest time that the event loop was held up, in milliseconds. */
const stall = { last: performance.now(), worst: 0 };
const beat = setInterval(() => {
  const now = performance.now();
  stall.worst = Math.max(stall.worst, now - stall.last - 5);
  stall.last = now;
}, 5);

const parts = {
  async prepare(work, tokenizerName) {
    const paths = join(work, "corpus.jsonl");
    const bytes = statSync(paths).size;
    const tokenizer = await loadTokenizer(tokenizerName);
    const outDir = join(work, `shards-${tokenizer.name}`);
    const start = performance.now();
    const { train } = await library.prepareTokens({ paths, tokenizer, outDir, force: true });
    return {
      tokenizer: tokenizer.name,
      megabytesPerSecond: bytes / 1e6 / seconds(start),
      tokens: train.tokens,
    };
  },

  /** Shards with documents of log-normal lengths and no text behind them. */
  async shards(work, documents) {
    let state = 1;
    const random = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    const perShard = 2_000_000;
    const ids = new Uint16Array(4096).fill(7);
    for (let first = 0; first < documents; first += perShard) {
      const writer = await library.ShardWriter.create(
        join(work, "plan", `train-${first / perShard}.tokens`),
        {
          vocabSize: 50_257,
          tokenizerFingerprint: "00".repeat(32),
        },
      );
      for (let i = 0; i < Math.min(perShard, documents - first); i++) {
        writer.beginDocument();
        const length = Math.min(
          4096,
          Math.ceil(Math.exp(3.6 + 2.2 * (random() + random() + random() - 1.5))),
        );
        await writer.write(ids.subarray(0, length), length, 1);
      }
      await writer.close();
    }
    return {};
  },

  async plan(work, documents, crop) {
    const shards = await open(join(work, "plan"), documents);
    const stream = new library.TokenStream(shards);
    const dirs = [mkdtempSync(join(work, "plan-"))];
    const start = performance.now();
    const plan = await library.PackingPlan.open(stream, {
      ...{ sequenceLength: 2048, aligned: crop, crop, dirs, name: "train" },
    });
    const { efficiency, droppedShare, rows } = plan.report;
    return { crop, seconds: seconds(start), tokens: stream.length, rows, efficiency, droppedShare };
  },

  async loader(work, documents, packing, documentMask) {
    const shards = await open(join(work, "plan"), documents);
    const sequenceLength = 2048;
    const dirs = [mkdtempSync(join(work, "plan-"))];
    const wanted = library.bestFitOptions(packing, sequenceLength);
    const plan =
      wanted &&
      (await library.PackingPlan.open(new library.TokenStream(shards), { ...wanted, dirs, name: "train" }));
    const batches = new library.TokenBatches({ shards, sequenceLength, batchSize: 32, plan, documentMask });
    const rates = [];
    let step = 0;
    for (let round = 0; round < 5; round++) {
      const start = performance.now();
      let tokens = 0;
      for await (const batch of library.prefetch(batches, step, 2, { end: step + 300 }))
        tokens += batch.inputs.length;
      step += 300;
      rates.push(tokens / seconds(start) / 1e6);
    }
    return { packing, documentMask, millionTokensPerSecond: median(rates) };
  },
};

function open(dir, documents) {
  const names = Array.from({ length: Math.ceil(documents / 2_000_000) }, (_, i) =>
    join(dir, `train-${i}.tokens`),
  );
  return library.openShards(names, { checksum: false });
}

if (values.part !== undefined) {
  const [name, ...args] = JSON.parse(values.part);
  const result = await parts[name](...args);
  clearInterval(watch);
  clearInterval(beat);
  // Beside other work on the same cores this says more than the clock.
  const { user, system } = process.cpuUsage();
  const rounded = {
    cpuSeconds: Math.round((user + system) / 1e4) / 100,
    memoryMiB: Math.round(ownPeak.now),
    longestStallMs: Math.round(stall.worst),
  };
  process.stdout.write(`${JSON.stringify({ part: name, ...result, ...rounded })}\n`);
} else {
  clearInterval(watch);
  clearInterval(beat);
  const work = values.work ?? mkdtempSync(join(tmpdir(), "anneal-bench-packing-"));
  mkdirSync(work, { recursive: true });
  const run = (...part) => {
    const args = [fileURLToPath(import.meta.url), "--part", JSON.stringify(part)];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: "utf8" });
    if (status !== 0) throw new Error(stderr);
    if (part[0] !== "shards") process.stdout.write(stdout);
  };
  try {
    await writeCorpus(join(work, "corpus.jsonl"), Number(values.megabytes) * 1e6);
    for (const tokenizer of values.tokenizer) run("prepare", work, tokenizer);
    const documents = Number(values.documents);
    run("shards", work, documents);
    for (const crop of [false, true]) run("plan", work, documents, crop);
    for (const packing of ["windows", "best-fit"]) {
      for (const documentMask of [false, true]) run("loader", work, documents, packing, documentMask);
    }
  } finally {
    if (values.work === undefined) rmSync(work, { recursive: true });
  }
}
