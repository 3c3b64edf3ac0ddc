/** `anneal tokenizer train`: a vocabulary from texts. */
import type { TokenizerTrainingProgress, TrainTokenizerOptions } from "../../tokenizer/train-options.js";
import { TRAINING_PATTERNS } from "../../tokenizer/train-pipelines.js";
import { formatDuration, formatRate } from "../../train/progress.js";
import type { Command } from "../command.js";
import { INPUT_OPTIONS, INPUT_PATHS, inputPaths, sourceOptions } from "../data/input-options.js";

const TEMPLATES = ["chatml", "deepseek-v3", "llama-3"] as const;
const count = (value: number): string => Math.round(value).toLocaleString("en");

function progressText(state: TokenizerTrainingProgress): string {
  const { phase, bytes, totalBytes, tokens, vocabSize, rate, secondsLeft } = state;
  const left = secondsLeft === null ? "" : ` · ${formatDuration(secondsLeft)} left`;
  if (phase === "merge")
    return `Making tokens ${count(tokens)} of ${count(vocabSize)} · ${formatRate(rate)} tokens/s${left}`;
  const percent = totalBytes ? ` ${Math.min(100, Math.floor((100 * bytes) / totalBytes))} %` : "";
  return `Counting words${percent} · ${(bytes / 1e6).toFixed(0)} MB · ${formatRate(rate)}B/s${left}`;
}

export const command: Command = {
  name: "tokenizer train",
  summary:
    "Train a byte-level BPE or WordPiece vocabulary on texts; the folder is one that transformers loads",
  usage: "tokenizer train PATH… --vocab-size N --out DIR [options]",
  options: {
    out: {
      type: "string",
      short: "o",
      required: true,
      placeholder: "DIR",
      summary: "Folder for the tokenizer",
    },
    "vocab-size": { type: "integer", required: true, summary: "Tokens in all, special ones included" },
    kind: { type: "string", choices: ["bpe", "wordpiece"], summary: "Default bpe" },
    pattern: {
      type: "string",
      placeholder: "NAME",
      summary: `How text is cut before merging: ${TRAINING_PATTERNS.join(", ")}, or regex:…; default deepseek-v3`,
    },
    "min-frequency": { type: "integer", summary: "Pairs seen fewer times make no token; default 0" },
    special: { type: "string", multiple: true, placeholder: "TOKEN", summary: "A special token" },
    bos: { type: "string", placeholder: "TOKEN", summary: "The begin token" },
    eos: { type: "string", placeholder: "TOKEN", summary: "The end token; default <|endoftext|>" },
    "chat-template": {
      type: "string",
      placeholder: "NAME",
      summary: `Chat template to keep with the tokenizer, whose special tokens are added: ${TEMPLATES.join(", ")}, or a .jinja file`,
    },
    "max-token-length": { type: "integer", summary: "Tokens have fewer bytes than this; default no limit" },
    ...INPUT_OPTIONS,
    threads: { type: "integer", summary: "Threads; default: the usable cores" },
  },
  positionals: INPUT_PATHS,
  examples: [
    "anneal tokenizer train deduplicated/ --vocab-size 32768 --out tokenizers/mine",
    "anneal tokenizer train corpus.txt --vocab-size 8192 --pattern gpt4 --chat-template chatml --out tokenizers/chat",
  ],
  async run(context) {
    const { options, out, progress, signal } = context;
    const paths = inputPaths(context, "tokenizer train corpus.txt --vocab-size 8192 --out tokenizers/mine");
    const [{ trainCorpusTokenizer }, { chatTokens }] = await Promise.all([
      import("../../data/stages/tokenizer.js"),
      import("../../data/chat/chat-tokens.js"),
    ]);
    const { kind, pattern, minFrequency, special, bos, eos, chatTemplate, maxTokenLength, threads } = options;
    const chat = chatTemplate === undefined ? undefined : await chatTokens(chatTemplate);
    const specialTokens = [...(chat?.specialTokens ?? []), ...special];
    const given: Partial<TrainTokenizerOptions> = {
      kind,
      minFrequency,
      maxTokenLength,
      threads,
      pattern: pattern?.startsWith("regex:") ? { regex: pattern.slice("regex:".length) } : pattern,
      bosToken: bos ?? chat?.bosToken,
      eosToken: eos ?? chat?.eosToken,
      chatTemplate: chat?.source,
      ...(specialTokens.length > 0 && { specialTokens: [...new Set(specialTokens)] }),
    };
    const startedAt = performance.now();
    const result = await trainCorpusTokenizer({
      inputs: paths,
      source: sourceOptions(context),
      out: options.out,
      train: {
        vocabSize: options.vocabSize,
        ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
      },
      signal,
      onProgress: (state) => progress(progressText(state)),
    });
    const seconds = (performance.now() - startedAt) / 1000;
    out(
      `tokens   ${count(result.vocabSize)}${result.vocabSize < options.vocabSize ? " (no more pairs were frequent enough)" : ""}`,
    );
    out(
      `text     ${count(result.texts)} documents, ${(result.bytes / 1e6).toFixed(1)} MB, ${count(result.distinctWords)} distinct words`,
    );
    out(`Trained in ${formatDuration(seconds)}. Written to ${options.out}.`);
    return { ...result, seconds };
  },
};
