/** Special tokens of the character and byte tokenizers: their ids, and finding them in a text. */
import { TokenizerError } from "../errors.js";

/** Names of the two special tokens; either may be absent. */
export interface SpecialNames {
  bosToken?: string;
  eosToken?: string;
}

/** One stretch of a text: either plain text or exactly one special token. */
export interface Stretch {
  text: string;
  /** Position of the stretch in the whole text, in UTF-16 code units. */
  start: number;
  /** Set when the stretch is a special token. */
  id?: number;
}

/** The special tokens of one tokenizer; ids count up from `firstId`, begin before end. */
export class SpecialTokens {
  readonly bosId?: number;
  readonly eosId?: number;
  /** Contents in the order of their ids. */
  readonly contents: readonly string[];
  private readonly ids: ReadonlyMap<string, number>;
  private readonly pattern?: RegExp;

  constructor(
    readonly names: SpecialNames,
    readonly firstId: number,
  ) {
    const contents: string[] = [];
    for (const [option, content] of [
      ["bosToken", names.bosToken],
      ["eosToken", names.eosToken],
    ] as const) {
      if (content === undefined) continue;
      if (typeof content !== "string" || content.length < 2) {
        throw new TokenizerError(
          `${option} must be a string of at least two characters so that it cannot be confused with text, ` +
            `got ${JSON.stringify(content)}.`,
          { [option]: content },
        );
      }
      if (!contents.includes(content)) contents.push(content);
    }
    this.contents = contents;
    this.ids = new Map(contents.map((content, i) => [content, firstId + i]));
    if (names.bosToken !== undefined) this.bosId = this.ids.get(names.bosToken);
    if (names.eosToken !== undefined) this.eosId = this.ids.get(names.eosToken);
    if (contents.length > 0) {
      const escaped = [...contents]
        .sort((a, b) => b.length - a.length)
        .map((content) => content.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"));
      this.pattern = new RegExp(escaped.join("|"), "g");
    }
  }

  /** The content of a special id, or undefined for any other id. */
  content(id: number): string | undefined {
    return this.contents[id - this.firstId];
  }

  /** Cuts a text at its special tokens. */
  *split(text: string): Iterable<Stretch> {
    let start = 0;
    if (this.pattern !== undefined) {
      for (const match of text.matchAll(this.pattern)) {
        if (match.index > start) yield { text: text.slice(start, match.index), start };
        yield { text: match[0], start: match.index, id: this.ids.get(match[0]) };
        start = match.index + match[0].length;
      }
    }
    if (start < text.length) yield { text: start === 0 ? text : text.slice(start), start };
  }

  /** The entries of `added_tokens` in a tokenizer.json. */
  addedTokens(): object[] {
    return this.contents.map((content, i) => ({
      id: this.firstId + i,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    }));
  }

  /** The contents of tokenizer_config.json that `transformers` needs beside tokenizer.json. */
  config(): Record<string, unknown> {
    return {
      ...(this.names.bosToken !== undefined && { bos_token: this.names.bosToken }),
      clean_up_tokenization_spaces: false,
      ...(this.names.eosToken !== undefined && { eos_token: this.names.eosToken }),
      tokenizer_class: "PreTrainedTokenizerFast",
    };
  }
}
