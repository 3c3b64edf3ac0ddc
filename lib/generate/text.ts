/** Text of a sequence as its tokens come: whole characters only, and nothing that may still become a stop text. */

import type { StreamDecoder, Tokenizer } from "../tokenizer/index.js";

/** Tokens of the prompt that the decoder sees first: they decide the spacing of the first generated token. */
const LEFT_CONTEXT = 16;

/** What a token added. */
export interface TextPiece {
  /** Text that is certain. */
  text: string;
  /** A stop text was reached; `text` ends before it. */
  stopped: boolean;
}

/** Length of the longest end of `text` that is the beginning of `stop`, but not all of it. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(stop.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}

/** The text of one sequence. */
export class TextTail {
  private readonly decoder: StreamDecoder;
  /** Text that is not out yet, because it may begin a stop text. */
  private held = "";

  /**
   * @param prompt ids before the first generated one
   * @param stops texts that end the sequence, none of them empty
   */
  constructor(
    tokenizer: Tokenizer,
    prompt: ArrayLike<number>,
    private readonly stops: readonly string[],
  ) {
    this.decoder = tokenizer.streamDecoder({ skipSpecialTokens: true });
    for (let i = Math.max(0, prompt.length - LEFT_CONTEXT); i < prompt.length; i++)
      this.decoder.push(prompt[i]);
  }

  /** Adds a token. */
  push(id: number): TextPiece {
    return this.take(this.decoder.push(id), false);
  }

  /** The rest, when no token follows. */
  end(): string {
    return this.take(this.decoder.flush(), true).text;
  }

  private take(text: string, final: boolean): TextPiece {
    const all = this.held + text;
    let cut = -1;
    for (const stop of this.stops) {
      const at = all.indexOf(stop);
      if (at >= 0 && (cut < 0 || at < cut)) cut = at;
    }
    if (cut >= 0) {
      this.held = "";
      return { text: all.slice(0, cut), stopped: true };
    }
    const hold = final ? 0 : Math.max(0, ...this.stops.map((stop) => overlap(all, stop)));
    this.held = all.slice(all.length - hold);
    return { text: all.slice(0, all.length - hold), stopped: false };
  }
}
