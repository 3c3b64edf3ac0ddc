/** Texts that a model writes while it learns. */
import { generate } from "../generate/index.js";
import type { Tokenizer } from "../tokenizer/index.js";
import type { SampleContext } from "./options.js";

/** How a sample is drawn. */
export interface SampleSettings {
  tokenizer: Tokenizer;
  /** Beginning of the text; it is not repeated in the sample. */
  prompt: string;
  /** Tokens at most. */
  maxTokens: number;
  /** Default 0.8. */
  temperature?: number;
  /** Default 0: all. */
  topK?: number;
  /** The same seed shows what training changed. Default 1. */
  seed?: number;
}

/** A sampler for `Trainer`. The text ends at the tokenizer's end token or after `maxTokens`. */
export function textSampler(settings: SampleSettings): (context: SampleContext) => Promise<string> {
  const { tokenizer, prompt, maxTokens, temperature = 0.8, topK = 0, seed = 1 } = settings;
  return async ({ model, signal }) => {
    const options = {
      tokenizer,
      maxTokens,
      temperature,
      topK,
      seed,
      onContextLimit: "slide",
      signal,
    } as const;
    let text = "";
    for await (const token of generate(model, prompt, options)) {
      text += token.text;
      // An interrupted run shall save, not fail: what there is of the text will do.
      if (signal?.aborted) break;
    }
    return text;
  };
}
