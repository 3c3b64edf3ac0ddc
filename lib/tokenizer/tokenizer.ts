import type { TextBatch } from "../native/text/batch.js";

/** What every tokenizer of anneal can do. The classes in this room implement it; everything else only needs this. */

/** `char` and `byte` are anneal's own; `hf` is any Hugging Face `tokenizer.json`. */
export type TokenizerKind = "char" | "byte" | "hf";

/** How far an encoding has come, in bytes of UTF-8 text. */
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
}

export interface EncodeWithOffsetsOptions extends EncodeOptions {
  /** A second text, encoded with the first as the post-processor says (for BERT: `[CLS] text [SEP] pair [SEP]`). */
  pair?: string;
}

/** A text with what is known of each of its tokens; entry i of each column is about token i. */
export interface Encoding {
  ids: Int32Array;
  /**
   * [tokens, 2]: begin and end of what each token stands for in its text, in UTF-16 code units (a token that is part of
   * a character has the whole character); 0, 0 for tokens that the post-processor put in.
   */
  offsets: Uint32Array;
  /** Token types, as BERT has them: 0 for the first text, 1 for the second. */
  typeIds: Uint8Array;
  /** 1 for tokens that the post-processor put in. */
  specialMask: Uint8Array;
  /** 0 for the first text, 1 for the second; 0 for tokens that the post-processor put in. */
  sequenceIds: Uint8Array;
}

export interface EncodeBatchOptions {
  /** As for `encode`. Default false. */
  addSpecialTokens?: boolean;
  /** Threads; default: the usable cores. The ids are the same for any number. */
  threads?: number;
  signal?: AbortSignal;
  /** Called about ten times a second and once at the end, in bytes of UTF-8 text. */
  onProgress?: (progress: EncodeProgress) => void;
}

/** Ids of many texts one after the other; text i has `ids[ends[i - 1] … ends[i])`. */
export interface EncodedBatch {
  ids: Int32Array;
  ends: Uint32Array;
}

export interface DecodeOptions {
  /** Leave special tokens (begin, end, padding, …) out of the text. Default false. */
  skipSpecialTokens?: boolean;
}

export interface DecodeBatchOptions extends DecodeOptions {
  /** Threads; default: the usable cores. */
  threads?: number;
  signal?: AbortSignal;
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
  /** The text of each sequence of a batch, as `decode` gives it, on all cores. */
  decodeBatch(batch: EncodedBatch, options?: DecodeBatchOptions): Promise<string[]>;
  streamDecoder(options?: DecodeOptions): StreamDecoder;
  /**
   * Ids of many texts at once, on all cores and without blocking the event loop; long texts are shared between the
   * cores as well. Each text's ids are those of `encode`.
   * @throws TokenizerError when a text has a character that the vocabulary cannot express.
   */
  encodeBatch(batch: TextBatch | readonly string[], options?: EncodeBatchOptions): Promise<EncodedBatch>;
  /** Ids with the places in the text that they came from, types and the mask of special tokens; also of a pair of texts. */
  encodeWithOffsets(text: string, options?: EncodeWithOffsetsOptions): Encoding;
  /** How many bytes of UTF-8 text a token stands for; 0 for special tokens and for ids outside the vocabulary. */
  tokenBytes(id: number): number;
  /** Writes `tokenizer.json` and `tokenizer_config.json` so that `transformers` and `loadTokenizer` load them. */
  save(dir: string): Promise<void>;
}
