/** `anneal tokenizer encode`: the tokens of a text. */
import { type Command, UsageError } from "../command.js";

/** A token for the terminal: line ends and control characters as escapes. */
function visible(text: string): string {
  return JSON.stringify(text).slice(1, -1).replace(/\\"/g, '"');
}

export const command: Command = {
  name: "tokenizer encode",
  summary: "Show the tokens of a text with their ids and places",
  usage: "tokenizer encode --tokenizer DIR [--text TEXT | PATH] [options]",
  options: {
    tokenizer: {
      type: "string",
      required: true,
      placeholder: "DIR",
      summary: "char, byte, a tokenizer.json or its folder, or a .tiktoken file (with --pattern)",
    },
    pattern: {
      type: "string",
      placeholder: "NAME",
      summary: "Pattern of a .tiktoken file: gpt2, gpt4, gpt4o; default gpt4",
    },
    text: { type: "string", short: "t", summary: "The text; otherwise it is read from PATH" },
    "special-tokens": { type: "boolean", summary: "Let the tokenizer add its special tokens, such as [CLS]" },
    ids: { type: "boolean", summary: "Print the ids alone, in one line" },
  },
  positionals: { name: "PATH", summary: "A file with the text" },
  examples: [
    'anneal tokenizer encode --tokenizer tokenizers/mine --text "Hello world"',
    "anneal tokenizer encode --tokenizer byte notes.txt --ids",
  ],
  async run({ options, positionals, out }) {
    const [path] = positionals;
    if ((options.text === undefined) === (path === undefined)) {
      throw new UsageError("Give either --text TEXT or the PATH of a file.", { option: "text" });
    }
    const [{ documents }, { loadTokenizer }] = await Promise.all([
      import("../../data/index.js"),
      import("../../tokenizer/index.js"),
    ]);
    const pattern = options.tokenizer.endsWith(".tiktoken") ? { pattern: options.pattern ?? "gpt4" } : {};
    const tokenizer = await loadTokenizer(options.tokenizer, pattern);
    let text: string = options.text ?? "";
    if (path !== undefined) {
      for await (const document of documents(path, { format: "text" })) text += document.text;
    }
    const { ids, offsets } = tokenizer.encodeWithOffsets(text, { addSpecialTokens: options.specialTokens });
    const tokens = Array.from(ids, (id, i) => ({
      id,
      text: tokenizer.decode([id]),
      start: offsets[2 * i],
      end: offsets[2 * i + 1],
    }));
    if (options.ids) {
      out(ids.join(" "));
    } else {
      const width = String(Math.max(0, ...ids)).length;
      for (const { id, start, end, text: token } of tokens) {
        out(`${String(id).padStart(width)}  ${`${start}–${end}`.padEnd(11)}  ${visible(token)}`);
      }
      const bytes = Buffer.byteLength(text);
      out("");
      out(`${ids.length} tokens, ${bytes} bytes, ${(bytes / ids.length).toFixed(3)} bytes per token`);
    }
    return { ids: [...ids], tokens };
  },
};
