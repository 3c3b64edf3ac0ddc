/**
 * The whole preparation of a corpus, from raw JSON lines to packed token shards, at several sizes: seconds, rate and peak memory of each
 * stage, each in a process of its own as a user runs it. Shows whether time grows with size and memory does not.
 * Usage: node bench/data/pipeline.mjs [--sizes 100,300,1000] [--work DIR] [--vocab-size 32768] [--out FILE.json]
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { writeCorpus } from "./corpus.mjs";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const POLL_MILLISECONDS = 20;

/** Runs `anneal`: seconds, and the largest memory that the process had. */
function anneal(args) {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const child = spawn(process.execPath, [MAIN, ...args, "--json"], { stdio: ["ignore", "pipe", "pipe"] });
    let stderr = "";
    child.stdout.resume();
    child.stderr.on("data", (chunk) => (stderr += chunk));
    let peak = 0;
    // The kernel keeps the high-water mark; it is read until the process is gone.
    const poll = setInterval(() => {
      try {
        const kilobytes = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1];
        if (kilobytes !== undefined) peak = Number(kilobytes) * 1024;
      } catch {
        // It has ended.
      }
    }, POLL_MILLISECONDS);
    child.on("error", reject);
    child.on("close", (status) => {
      clearInterval(poll);
      const seconds = (performance.now() - startedAt) / 1000;
      if (status !== 0) reject(new Error(`anneal ${args.join(" ")} ended with ${status}:\n${stderr}`));
      else resolve({ seconds, peak });
    });
  });
}

async function pipeline(megabytes, work, vocabSize) {
  const raw = join(work, `raw-${megabytes}.jsonl`);
  const documents = await writeCorpus(raw, megabytes * 1e6);
  const bytes = statSync(raw).size;
  const folder = (name) => join(work, `${name}-${megabytes}`);
  const stages = {
    clean: ["data", "prepare", raw, "--out", folder("clean")],
    dedup: ["data", "dedup", folder("clean"), "--out", folder("dedup")],
    train: [
      "tokenizer",
      "train",
      folder("dedup"),
      "--vocab-size",
      String(vocabSize),
      "--out",
      folder("tokenizer"),
    ],
    pack: [
      "data",
      "pack",
      folder("dedup"),
      "--tokenizer",
      folder("tokenizer"),
      "--sequence-length",
      "1024",
      "--out",
      folder("packed"),
    ],
  };
  const rows = [];
  for (const [name, args] of Object.entries(stages)) {
    const { seconds, peak } = await anneal(args);
    rows.push({ stage: name, seconds, peakBytes: peak, megabytesPerSecond: bytes / 1e6 / seconds });
    console.log(
      `${megabytes} MB  ${name.padEnd(6)} ${seconds.toFixed(1).padStart(7)} s  peak ${(peak / 2 ** 20).toFixed(0).padStart(5)} MiB`,
    );
  }
  rmSync(raw);
  for (const name of ["clean", "dedup", "tokenizer", "packed"])
    rmSync(folder(name), { recursive: true, force: true });
  return { megabytes, bytes, documents, stages: rows };
}

const { values } = parseArgs({
  options: {
    sizes: { type: "string", default: "100,300,1000" },
    work: { type: "string" },
    "vocab-size": { type: "string", default: "32768" },
    out: { type: "string" },
  },
});
const work = values.work ?? mkdtempSync(join(tmpdir(), "anneal-pipeline-"));
mkdirSync(work, { recursive: true });
const runs = [];
for (const size of values.sizes.split(","))
  runs.push(await pipeline(Number(size), work, Number(values["vocab-size"])));

const table = [
  "| size | stage | seconds | MB/s of raw text | peak memory |",
  "|---:|---|---:|---:|---:|",
  ...runs.flatMap(({ megabytes, stages }) => [
    ...stages.map(
      ({ stage, seconds, megabytesPerSecond, peakBytes }) =>
        `| ${megabytes} MB | ${stage} | ${seconds.toFixed(1)} | ${megabytesPerSecond.toFixed(1)} | ${(peakBytes / 2 ** 20).toFixed(0)} MiB |`,
    ),
    `| ${megabytes} MB | all | ${stages.reduce((sum, { seconds }) => sum + seconds, 0).toFixed(1)} | | |`,
  ]),
];
console.log(table.join("\n"));
if (values.out !== undefined) {
  const machine = {
    processor: cpus()[0].model,
    cores: cpus().length,
    memory: totalmem(),
    node: process.version,
  };
  writeFileSync(
    values.out,
    `${JSON.stringify({ date: new Date().toISOString(), machine, runs }, null, 2)}\n`,
  );
  writeFileSync(values.out.replace(/\.json$/, ".md"), `${table.join("\n")}\n`);
}
if (values.work === undefined) rmSync(work, { recursive: true, force: true });
