/**
 * Full training steps of anneal beside PyTorch's on this machine, in one run: the four named configurations in f32 and bf16. The programs take turns,
 * round after round, so that both see the same machine; the median of the rounds counts. PyTorch runs eager and compiled, and its better way counts.
 * Usage: [PYTHON=python3] node bench/compare.mjs [--rounds 3] [--workload NAME …] [--dtype f32|bf16 …] [--mode eager|compile …] [--threads N] [--out DIR]
 * Writes bench/results/cpu-DATE.json and a Markdown table beside it.
 */
import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const run = promisify(execFile);

/** Timed steps per workload: about ten seconds each on two cores. */
const STEPS = { "char-gpt": 200, "llama-15m": 8, "deepseek-mini": 8, "gpt2-124m": 6 };

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    workload: { type: "string", multiple: true, default: Object.keys(STEPS) },
    dtype: { type: "string", multiple: true, default: ["f32", "bf16"] },
    mode: { type: "string", multiple: true, default: ["eager", "compile"] },
    threads: { type: "string", default: String(availableParallelism()) },
    out: { type: "string", default: join(ROOT, "bench/results") },
  },
});
const python = process.env.PYTHON ?? "python3";

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The last line of a program's output, as JSON. */
async function json(program, args, env = {}) {
  const { stdout } = await run(program, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    maxBuffer: 2 ** 26,
  });
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

function ours(workload, dtype) {
  const args = ["dist/cli/main.js", "bench", "step", "--json", "--workload", workload, "--dtype", dtype];
  args.push("--steps", String(STEPS[workload]), "--threads", options.threads);
  return json(process.execPath, args);
}

function theirs(workload, dtype, mode) {
  const args = ["bench/peers/torch_step.py", "--json", "--workload", workload, "--dtype", dtype];
  args.push("--mode", mode, "--steps", String(STEPS[workload]), "--threads", options.threads);
  return json(python, args);
}

/** Version of PyTorch, or undefined with the reason said. */
async function peerVersion() {
  try {
    const { stdout } = await run(python, ["-c", "import torch, transformers; print(torch.__version__)"]);
    return stdout.trim();
  } catch (error) {
    const reason = (error.stderr || error.message).trim().split("\n").at(-1);
    console.error(`PyTorch is left out: ${python} cannot import torch and transformers (${reason}).`);
    console.error("Install both and name that interpreter: PYTHON=path/to/python node bench/compare.mjs");
    return undefined;
  }
}

/** Medians over rounds of what is compared. */
function summary(results, memory) {
  return {
    secondsPerStep: median(results.map((result) => result.secondsPerStep)),
    tokensPerSecond: median(results.map((result) => result.tokensPerSecond)),
    peakBytes: median(results.map((result) => result[memory])),
    loss: results.at(-1).loss,
  };
}

async function compare(workload, dtype, withPeer) {
  const own = [];
  const peers = new Map();
  for (let round = 1; round <= Number(options.rounds); round++) {
    for (const mode of withPeer ? options.mode : [undefined]) {
      console.error(
        `${workload} ${dtype}, round ${round} of ${options.rounds}${mode ? `, PyTorch ${mode}` : ""} …`,
      );
      own.push(await ours(workload, dtype));
      if (mode === undefined) continue;
      try {
        peers.set(mode, [...(peers.get(mode) ?? []), await theirs(workload, dtype, mode)]);
      } catch (error) {
        console.error(`PyTorch ${mode} failed: ${(error.stderr || error.message).trim().split("\n").at(-1)}`);
      }
    }
  }
  const ranked = [...peers]
    .map(([mode, results]) => ({ mode, precision: results[0].precision, ...summary(results, "peakBytes") }))
    .sort((a, b) => a.secondsPerStep - b.secondsPerStep);
  const anneal = { ...summary(own, "peakRss"), tensorBytes: median(own.map((result) => result.peakBytes)) };
  const best = ranked[0];
  return {
    workload,
    dtype,
    anneal,
    ...(best && {
      pytorch: best,
      otherModes: ranked.slice(1),
      ratio: best.secondsPerStep / anneal.secondsPerStep,
    }),
  };
}

const milliseconds = (seconds) => (seconds * 1000).toPrecision(4);
const mebibytes = (bytes) => Math.round(bytes / 2 ** 20);

function table(record) {
  const head = [
    `Training steps on ${record.cpu}, ${record.threads} threads, ${record.date}; anneal ${record.anneal}, ` +
      `${record.pytorch ? `PyTorch ${record.pytorch}` : "without PyTorch"}, Node ${record.node}. ` +
      `Median of ${record.rounds} rounds that take turns; PyTorch's better way.`,
    "",
    "| Workload | dtype | anneal ms/step | tokens/s | MiB | PyTorch ms/step | way | MiB | times as fast |",
    "|---|---|--:|--:|--:|--:|---|--:|--:|",
  ];
  const rows = record.results.map(({ workload, dtype, anneal, pytorch, ratio }) => {
    const peer = pytorch
      ? [
          milliseconds(pytorch.secondsPerStep),
          `${pytorch.mode} ${pytorch.precision}`,
          mebibytes(pytorch.peakBytes),
          ratio.toFixed(2),
        ]
      : ["–", "–", "–", "–"];
    const own = [
      milliseconds(anneal.secondsPerStep),
      Math.round(anneal.tokensPerSecond),
      mebibytes(anneal.peakBytes),
    ];
    return `| ${[workload, dtype, ...own, ...peer].join(" | ")} |`;
  });
  return `${[...head, ...rows].join("\n")}\n`;
}

const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
const torch = await peerVersion();
const record = {
  date: new Date().toISOString().slice(0, 10),
  cpu: cpus()[0].model.trim(),
  memoryBytes: totalmem(),
  threads: Number(options.threads),
  node: process.version,
  anneal: version,
  pytorch: torch,
  rounds: Number(options.rounds),
  results: [],
};
for (const workload of options.workload) {
  for (const dtype of options.dtype) {
    const result = await compare(workload, dtype, torch !== undefined);
    record.results.push(result);
    const versus = result.pytorch
      ? `, PyTorch ${result.pytorch.mode} ${milliseconds(result.pytorch.secondsPerStep)} ms`
      : "";
    console.error(`${workload} ${dtype}: anneal ${milliseconds(result.anneal.secondsPerStep)} ms${versus}`);
  }
}
await mkdir(options.out, { recursive: true });
const base = join(options.out, `cpu-${record.date}`);
await writeFile(`${base}.json`, `${JSON.stringify(record, null, 2)}\n`);
await writeFile(`${base}.md`, table(record));
console.log(table(record));
console.log(`Written to ${base}.json and ${base}.md.`);
