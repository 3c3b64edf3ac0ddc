/** How the training commands show what happens: events of a run as lines, and the result that `--json` prints. */

import type { PrepareProgress } from "../data/index.js";
import type { PretrainEvent, ReadyEvent } from "../train/pretrain.js";
import { formatDuration, formatRate, Pace, progressLine } from "../train/progress.js";
import type { CommandContext } from "./command.js";

/** The result of a training command. */
export interface TrainingResult {
  /** Folder of the run. */
  run: string;
  /** Hugging Face model folder; null when the run ended before its first step. */
  model: string | null;
  reason: "finished" | "interrupted";
  /** Steps done, those before a resume included. */
  step: number;
  steps: number;
  /** Cross-entropy of the last step, in nats per token; null when there was none. */
  loss: number | null;
  /** The last evaluation. */
  validation: { step: number; loss: number; perplexity: number; bitsPerByte: number } | null;
  /** Bits per byte of counting models on the validation text. */
  baselines: { unigram: number; bigram: number } | null;
  parameters: number;
  activeParameters: number;
  /** Median rate of this run's steps. */
  tokensPerSecond: number | null;
  /** Wall-clock seconds of this command's training, evaluations included. */
  seconds: number;
  checkpoint: string | null;
}

const count = (value: number): string => value.toLocaleString("en");
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`;

/** One line for the state of the preparation. */
export function prepareLine(state: PrepareProgress): string {
  const { phase, bytes, totalBytes, tokens, bytesPerSecond, secondsLeft } = state;
  const percent = totalBytes > 0 ? ` ${Math.floor((100 * bytes) / totalBytes)} %` : "";
  const parts = [phase === "scan" ? `Reading the text${percent}` : `Tokenizing${percent}`];
  if (phase === "tokenize") parts.push(`${count(tokens)} tokens`);
  parts.push(`${(bytesPerSecond / 1e6).toFixed(1)} MB/s`);
  if (secondsLeft !== null && bytes < totalBytes) parts.push(`${formatDuration(secondsLeft)} left`);
  return parts.join(", ");
}

/** Lines that say what is about to be trained on what. */
export function readyLines(event: ReadyEvent): string[] {
  const { settings, data, parameters, activeParameters, modelType, vocabSize } = event;
  const active = activeParameters < parameters ? `, ${count(activeParameters)} of them active per token` : "";
  const lines = [
    `Model ${settings.model} (${modelType}): ${count(parameters)} parameters${active}; vocabulary ${count(vocabSize)} (${settings.tokenizer}); ${settings.dtype}.`,
    `Data: ${count(data.sourceFiles)} ${data.sourceFiles === 1 ? "file" : "files"}, ${megabytes(data.sourceBytes)}; ` +
      `${count(data.train.tokens)} tokens to train on, ${count(data.validation.tokens)} for validation (${data.splitMethod}).`,
    `Steps: ${count(settings.steps)} of ${settings.batchSize} × ${settings.sequenceLength} tokens; lr ${settings.lr} → ${settings.minLr} (${settings.schedule}, warm-up ${settings.warmup}); seed ${settings.seed}.`,
  ];
  for (const { name, share, epochs } of event.mixture ?? []) {
    lines.push(`Mixture: ${(100 * share).toFixed(1)} % ${name}, ${epochs.toFixed(2)} epochs.`);
  }
  if (data.baselines !== null) {
    const { unigram, bigram } = data.baselines;
    lines.push(
      `Baselines, in bits per byte of the validation text: unigram ${unigram.toFixed(3)}, bigram ${bigram.toFixed(3)}.`,
    );
  }
  lines.push(
    event.resumed ? `Run: ${event.run}, resumed after step ${count(event.stepsDone)}.` : `Run: ${event.run}`,
  );
  return lines;
}

/** A sample with its text set off from the rest. */
export function sampleLines(step: number, prompt: string, text: string): string[] {
  // An untrained model writes control characters too, which would upset a terminal.
  const printable = (prompt.trimStart() + text).replace(/[^\P{Cc}\n\t]/gu, "·");
  const body = printable.split("\n").map((line) => `  │ ${line}`);
  return [`Sample ${step === 0 ? "before the first step" : `after step ${count(step)}`}:`, ...body];
}

/**
 * Prints the events of a run and collects its result.
 */
export async function followRun(
  events: AsyncIterable<PretrainEvent>,
  context: Pick<CommandContext, "out" | "info" | "progress" | "signal">,
): Promise<TrainingResult> {
  const { out, info, progress, signal } = context;
  const pace = new Pace();
  const rates: number[] = [];
  let ready: ReadyEvent | undefined;
  let result: TrainingResult | undefined;
  let started = performance.now();
  const announce = () => info("Finishing the current step and saving; interrupt again to leave at once.");
  signal.addEventListener("abort", announce, { once: true });
  try {
    for await (const event of events) {
      switch (event.type) {
        case "ready":
          ready = event;
          started = performance.now();
          readyLines(event).forEach(out);
          result = emptyResult(event);
          break;
        case "step": {
          const { steps } = (ready as ReadyEvent).settings;
          rates.push(event.tokensPerSecond);
          const left = (steps - event.step) * pace.update(event.secondsPerStep);
          progress(progressLine(event, steps, left));
          Object.assign(result as TrainingResult, { step: event.step, loss: event.loss });
          break;
        }
        case "eval": {
          const { step, loss, perplexity, bitsPerByte } = event;
          (result as TrainingResult).validation = { step, loss, perplexity, bitsPerByte };
          out(evalLine(event, (ready as ReadyEvent).data.baselines));
          break;
        }
        case "sample":
          sampleLines(event.step, (ready as ReadyEvent).settings.prompt, event.text).forEach(out);
          break;
        case "checkpoint":
          info(`Saved ${event.path} (${megabytes(event.bytes)}, ${event.seconds.toFixed(1)} s).`);
          break;
        case "info":
          info(event.message);
          break;
        case "warning":
          info(`Warning: ${event.message}`);
          break;
        case "export":
          (result as TrainingResult).model = event.dir;
          break;
        case "done":
          Object.assign(result as TrainingResult, {
            step: event.step,
            reason: event.reason,
            checkpoint: event.checkpoint,
          });
          break;
      }
    }
  } finally {
    signal.removeEventListener("abort", announce);
  }
  const finished = result as TrainingResult;
  finished.seconds = (performance.now() - started) / 1000;
  finished.tokensPerSecond = rates.length === 0 ? null : rates.sort((a, b) => a - b)[rates.length >> 1];
  return finished;
}

function emptyResult({
  run,
  settings,
  parameters,
  activeParameters,
  data,
  stepsDone,
}: ReadyEvent): TrainingResult {
  return {
    run,
    model: null,
    reason: "interrupted",
    step: stepsDone,
    steps: settings.steps,
    loss: null,
    validation: null,
    baselines: data.baselines,
    parameters,
    activeParameters,
    tokensPerSecond: null,
    seconds: 0,
    checkpoint: null,
  };
}

function evalLine(
  event: Extract<PretrainEvent, { type: "eval" }>,
  baselines: TrainingResult["baselines"],
): string {
  const { step, loss, bitsPerByte } = event;
  const beside =
    baselines === null
      ? ""
      : ` (unigram ${baselines.unigram.toFixed(3)}, bigram ${baselines.bigram.toFixed(3)})`;
  return `step ${count(step)}: validation loss ${loss.toFixed(4)}, ${bitsPerByte.toFixed(3)} bits per byte${beside}`;
}

/** How the model compares with counting, on text that it has not seen. */
export function verdictLines({ validation, baselines }: TrainingResult): string[] {
  if (validation === null || baselines === null) return [];
  const { bitsPerByte } = validation;
  const bar = (name: string, bits: number): string =>
    `  ${name.padEnd(8)} ${bits.toFixed(3)} ${"█".repeat(Math.round(bits * 6))}`;
  return [
    "Bits per byte of text that was kept aside (less is better; plain bytes have 8):",
    bar("unigram", baselines.unigram),
    bar("bigram", baselines.bigram),
    bar("model", bitsPerByte),
  ];
}

/** The last lines of a training command: where everything is and how to go on. */
export function closingLines(result: TrainingResult, prompt: string): string[] {
  const { reason, step, steps, run, model, seconds, tokensPerSecond } = result;
  const rate = tokensPerSecond === null ? "" : `, ${formatRate(tokensPerSecond)} tokens/s`;
  const lines = [
    reason === "finished"
      ? `Done: ${count(step)} steps in ${formatDuration(seconds)}${rate}.`
      : `Interrupted after step ${count(step)} of ${count(steps)}. Go on with: npx anneal pretrain --out ${shellWord(run)} --resume`,
  ];
  if (model !== null) {
    lines.push(
      `The model is in ${model}. Let it write with:`,
      `  npx anneal generate --model ${shellWord(model)} --prompt ${shellWord(prompt)} --max-tokens 300 --temperature 0.8 --on-context-limit slide`,
    );
  }
  return lines;
}

/** A word as a POSIX shell takes it. */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
