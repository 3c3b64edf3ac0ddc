/** `anneal generate`: continues a text with a model, printing it as it comes. */

import type { FinishReason } from "../generate/index.js";
import type { Command } from "./command.js";
import { MODEL_OPTIONS } from "./model-options.js";

export const command: Command = {
  name: "generate",
  summary: "Continue a text with a model; the text appears as it is generated.",
  usage: "generate --model DIR --prompt TEXT [options]",
  options: {
    ...MODEL_OPTIONS,
    prompt: {
      type: "string",
      short: "p",
      default: "",
      summary: "Text to continue; empty starts from the tokenizer's begin token",
    },
    "max-tokens": { type: "integer", short: "n", default: 256, summary: "Most tokens to generate" },
    temperature: {
      type: "number",
      short: "t",
      default: 1,
      summary: "Below 1 is safer, above 1 bolder; 0 always takes the most probable token",
    },
    "top-k": {
      type: "integer",
      default: 0,
      summary: "Draw from the K most probable tokens; 0: from all",
      placeholder: "K",
    },
    "top-p": {
      type: "number",
      default: 1,
      placeholder: "P",
      summary: "Draw from the most probable tokens that together reach probability P",
    },
    "min-p": {
      type: "number",
      default: 0,
      placeholder: "P",
      summary: "Draw from tokens with at least P times the largest probability",
    },
    "repetition-penalty": {
      type: "number",
      default: 1,
      summary: "Makes tokens that occurred less probable; 1 turns it off, 1.1 is usual",
    },
    seed: { type: "integer", default: 0, summary: "Another seed gives another text, the same seed the same" },
    stop: {
      type: "string",
      multiple: true,
      summary: "Text that ends the generation; not part of the result",
    },
    "on-context-limit": {
      type: "string",
      choices: ["stop", "slide"],
      default: "stop",
      summary: "When the model's positions are used up: stop, or go on from the last half of them",
    },
  },
  examples: [
    'anneal generate --model runs/first --prompt "The " --max-tokens 200',
    'anneal generate -m ./gpt2 -p "Once upon a time" --temperature 0.8 --top-p 0.95 --seed 7',
    'anneal generate -m ./gpt2 -p "1, 2, 3," --temperature 0 --max-tokens 20 --json',
  ],
  async run({ options, write, info, json, signal }) {
    const { generate, loadModel } = await import("../generate/index.js");
    const { model, tokenizer, stopIds } = await loadModel(options.model, {
      dtype: options.dtype,
      tokenizer: options.tokenizer,
    });
    try {
      const {
        prompt,
        maxTokens,
        temperature,
        topK,
        topP,
        minP,
        repetitionPenalty,
        seed,
        stop,
        onContextLimit,
      } = options;
      const startedAt = performance.now();
      let text = "";
      const ids: number[] = [];
      let finishReason: FinishReason = "length";
      const stream = generate(model, prompt, {
        tokenizer,
        maxTokens,
        temperature,
        topK,
        topP,
        minP,
        repetitionPenalty,
        seed,
        stop,
        stopIds,
        onContextLimit,
        signal,
      });
      if (!json) write(prompt);
      for await (const token of stream) {
        ids.push(token.id);
        text += token.text;
        if (!json) write(token.text);
        finishReason = token.finishReason ?? finishReason;
      }
      const seconds = (performance.now() - startedAt) / 1000;
      const tokensPerSecond = ids.length / seconds;
      if (!json) write("\n");
      info(`${ids.length} tokens in ${seconds.toFixed(2)} s, ${tokensPerSecond.toFixed(1)} tokens/s`);
      if (finishReason === "context") {
        info(`The model's ${model.maxPositions} positions are used up; --on-context-limit slide goes on.`);
      }
      return { prompt, text, tokens: ids.length, tokensPerSecond, finishReason, ids };
    } finally {
      model.dispose();
    }
  },
};
