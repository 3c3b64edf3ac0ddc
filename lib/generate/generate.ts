/** Generation as callers use it: one sequence as a stream of tokens, or a batch as finished sequences. */

import { DataError, TokenizerError } from "../errors.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { Tokenizer } from "../tokenizer/index.js";
import { BatchDecoder } from "./decode.js";
import { requireFittingTokenizer } from "./load.js";
import {
  type BatchOptions,
  type FinishReason,
  type GeneratedSequence,
  type GeneratedToken,
  type GenerateOptions,
  type ResolvedOptions,
  resolveOptions,
} from "./options.js";
import { TextTail } from "./text.js";

/** A text, or token ids. */
export type Prompt = string | ArrayLike<number>;

/** Ids of a prompt. A text gets the tokenizer's own special tokens (a begin token, where its post-processor adds one); an empty one starts from the begin token. */
function encodePrompt(prompt: Prompt, tokenizer: Tokenizer | undefined): ArrayLike<number> {
  if (typeof prompt !== "string") return prompt;
  if (tokenizer === undefined) {
    throw new TokenizerError(
      "A prompt that is text needs the option tokenizer; without one, pass token ids.",
      {},
    );
  }
  const ids = tokenizer.encode(prompt, { addSpecialTokens: true });
  if (ids.length > 0) return ids;
  if (tokenizer.bosId !== undefined) return [tokenizer.bosId];
  throw new DataError(
    `The prompt is empty, and the tokenizer ${tokenizer.name} has no begin token to start from. Give at least one character.`,
    { tokenizer: tokenizer.name },
  );
}

/** One sequence while it grows: its text and why it ended. */
class Progress {
  private readonly tail: TextTail | undefined;
  count = 0;

  constructor(
    prompt: ArrayLike<number>,
    private readonly options: ResolvedOptions,
  ) {
    const { tokenizer, stopTexts } = options;
    this.tail = tokenizer === undefined ? undefined : new TextTail(tokenizer, prompt, stopTexts);
  }

  /** Takes a token: the text that it makes certain, and the reason when it is the last. */
  take(id: number, hasRoom: boolean): { text: string; finishReason?: FinishReason } {
    this.count += 1;
    if (this.options.stopIds.has(id)) return { text: this.tail?.end() ?? "", finishReason: "stop" };
    const piece = this.tail?.push(id) ?? { text: "", stopped: false };
    if (piece.stopped) return { text: piece.text, finishReason: "stop" };
    const finishReason = this.count >= this.options.maxTokens ? "length" : hasRoom ? undefined : "context";
    return finishReason === undefined ? piece : { text: piece.text + (this.tail?.end() ?? ""), finishReason };
  }
}

function prepare(where: string, model: CausalLM, options: BatchOptions): ResolvedOptions {
  const resolved = resolveOptions(where, options);
  if (resolved.tokenizer !== undefined) requireFittingTokenizer(resolved.tokenizer, model);
  return resolved;
}

/**
 * Continues a prompt, token by token. Leaving the loop early frees everything.
 *
 *     for await (const { text } of generate(model, "Once", { tokenizer, maxTokens: 100 })) process.stdout.write(text);
 *
 * @param prompt text (needs `tokenizer`) or token ids, at least one
 * @throws ConfigError, DataError or TokenizerError for options and prompts that cannot be used; the signal's reason when aborted
 */
export async function* generate(
  model: CausalLM,
  prompt: Prompt,
  options: GenerateOptions = {},
): AsyncGenerator<GeneratedToken, void, void> {
  const resolved = prepare("generate", model, options);
  const ids = encodePrompt(prompt, resolved.tokenizer);
  const decoder = new BatchDecoder(model, [ids], resolved);
  try {
    const progress = new Progress(ids, resolved);
    while (progress.count < resolved.maxTokens) {
      const [{ id, logProb }] = await decoder.step();
      const taken = progress.take(id, decoder.hasRoom(0));
      yield { id, logProb, ...taken };
      if (taken.finishReason !== undefined) return;
    }
  } finally {
    decoder.dispose();
  }
}

/**
 * Continues several prompts together; results are in the prompts' order. Sequence s draws as `generate` does with `seed + s`: the same prompt twice gives two
 * different continuations, and what a sequence draws does not depend on its neighbours.
 * @throws as `generate`
 */
export async function generateBatch(
  model: CausalLM,
  prompts: readonly Prompt[],
  options: BatchOptions = {},
): Promise<GeneratedSequence[]> {
  const resolved = prepare("generateBatch", model, options);
  const { tokenizer, maxTokens } = resolved;
  const starts = prompts.map((prompt) => encodePrompt(prompt, tokenizer));
  const results = starts.map((ids) => ({
    progress: new Progress(ids, resolved),
    ids: [] as number[],
    logProbs: [] as number[],
    text: "",
    finishReason: "length" as FinishReason,
  }));
  if (starts.length > 0 && maxTokens > 0) {
    const decoder = new BatchDecoder(model, starts, resolved);
    try {
      let tokens = 0;
      while (decoder.active > 0) {
        const drawn = await decoder.step();
        tokens += drawn.length;
        for (const { sequence, id, logProb } of drawn) {
          const result = results[sequence];
          const { text, finishReason } = result.progress.take(id, decoder.hasRoom(sequence));
          result.ids.push(id);
          result.logProbs.push(logProb);
          result.text += text;
          if (finishReason !== undefined) {
            result.finishReason = finishReason;
            decoder.finish(sequence);
          }
        }
        options.onStep?.({ tokens, active: decoder.active });
      }
    } finally {
      decoder.dispose();
    }
  }
  return results.map(({ ids, logProbs, finishReason, text }) => ({
    ids: Int32Array.from(ids),
    logProbs: Float32Array.from(logProbs),
    finishReason,
    text,
  }));
}
