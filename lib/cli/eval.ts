/** `anneal eval`: loss, perplexity and bits per byte of a model on a text. */

import type { Command } from "./command.js";
import { MODEL_OPTIONS } from "./model-options.js";

export const command: Command = {
  name: "eval",
  summary: "Measure loss, perplexity and bits per byte of a model on a text.",
  usage: "eval --model DIR --text FILE [options]",
  options: {
    ...MODEL_OPTIONS,
    text: {
      type: "string",
      short: "t",
      required: true,
      multiple: true,
      placeholder: "FILE",
      summary: "UTF-8 text, JSON lines with a field `text`, or a folder of such files",
    },
    "sequence-length": {
      type: "integer",
      summary: "Tokens that the model sees at a time; default: its positions, at most 1024",
    },
    "batch-size": {
      type: "integer",
      summary: "Sequences per forward pass; default: as many as make 2048 tokens",
    },
  },
  examples: [
    "anneal eval --model runs/first --text book.txt",
    "anneal eval --model ./gpt2 --text validation.jsonl --sequence-length 512 --json",
  ],
  async run({ options, out, progress, signal }) {
    const [{ documents }, { loadModel }, { evaluateText }] = await Promise.all([
      import("../data/index.js"),
      import("../generate/index.js"),
      import("../train/evaluate-text.js"),
    ]);
    const startedAt = performance.now();
    const { model, tokenizer } = await loadModel(options.model, {
      dtype: options.dtype,
      tokenizer: options.tokenizer,
    });
    try {
      const texts = async function* (): AsyncGenerator<string> {
        for await (const { text } of documents(options.text)) yield text;
      };
      const loadedAt = performance.now();
      const result = await evaluateText(model, tokenizer, texts(), {
        sequenceLength: options.sequenceLength,
        batchSize: options.batchSize,
        signal,
        onProgress: ({ tokens, loss }) => {
          const rate = tokens / ((performance.now() - loadedAt) / 1000);
          progress(`${tokens} tokens, loss ${loss.toFixed(4)}, ${rate.toFixed(0)} tokens/s`);
        },
      });
      out(`loss           ${result.loss.toFixed(4)} nats per token`);
      out(`perplexity     ${result.perplexity.toFixed(3)}`);
      out(`bits per byte  ${result.bitsPerByte.toFixed(4)}`);
      out(
        `tokens         ${result.tokens} (${result.bytes} bytes) in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`,
      );
      return result;
    } finally {
      model.dispose();
    }
  },
};
