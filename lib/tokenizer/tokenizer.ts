/** What every tokenizer of anneal can do. The classes in this room implement it; everything else only needs this. */

/** `char` and `byte` are anneal's own; `hf` is any Hugging Face `tokenizer.json`. */
export type TokenizerKind = "char" | "byte" | "hf";

/** How far an encoding has come, in UTF-16 code units of the text. */
export interface EncodeProgress {
  done: number;
  total: number;
}

export interface EncodeOptions {
  /**
   * Let the tokenizer's own post-processor add its special tokens (for example a begin token). Default false: the ids
   * are those of the text alone, as pre-training wants them. Character and byte tokenizers have no post-processor.
   */
  addSpecialTokens?: boolean;
  /** Called after each piece of a long text. */
  onProgress?: (progress: EncodeProgress) => void;
}

/** A stretch of a text with its ids. */
export interface EncodedPiece {
  text: string;
  ids: Int32Array;
}

export interface DecodeOptions {
  /** Leave special tokens (begin, end, padding, …) out of the text. Default false. */
  skipSpecialTokens?: boolean;
}

/**
 * Decodes token by token, as a model produces them. The pieces joined are what `decode` gives for all ids at once
 * (byte-fallback vocabularies show invalid bytes differently: `decode` spoils the whole run of byte tokens).
 */
export interface StreamDecoder {
  /** The text that is certain after this token; empty while a UTF-8 character is still incomplete. */
  push(id: number): string;
  /** The rest: a character whose bytes never came is shown as U+FFFD. The decoder is fresh afterwards. */
  flush(): string;
}

export interface Tokenizer {
  readonly kind: TokenizerKind;
  /** A short name for people: `char`, `byte`, or the folder a `tokenizer.json` came from. */
  readonly name: string;
  /** One more than the largest id. */
  readonly vocabSize: number;
  /** Id of the begin-of-text token, where there is one. */
  readonly bosId?: number;
  /** Id of the end-of-text token, where there is one. */
  readonly eosId?: number;
  /** SHA-256 (64 hexadecimal digits) of all that decides the ids: equal fingerprints give equal ids for every text. */
  readonly fingerprint: string;
  /**
   * Ids of a text. Special tokens written out in the text get their own ids, as in Hugging Face tokenizers.
   * @throws TokenizerError when the text has a character that the vocabulary cannot express.
   */
  encode(text: string, options?: EncodeOptions): Int32Array;
  /**
   * Text of ids; invalid UTF-8 is shown as U+FFFD. Ids at or above `vocabSize` (a model's vocabulary may be padded)
   * stand for no text.
   * @throws TokenizerError when an id is negative or not an integer.
   */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;
  streamDecoder(options?: DecodeOptions): StreamDecoder;
  /** Encodes a long text piece by piece; the ids, joined, are those of the whole text. */
  encodePieces(text: string): Iterable<EncodedPiece>;
  /** How many bytes of UTF-8 text a token stands for; 0 for special tokens and for ids outside the vocabulary. */
  tokenBytes(id: number): number;
  /** Writes `tokenizer.json` and `tokenizer_config.json` so that `transformers` and `loadTokenizer` load them. */
  save(dir: string): Promise<void>;
}
