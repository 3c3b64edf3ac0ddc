/** Tokenizers of the native text room: a handle and what can be done with it. */
import { addon } from "../addon.js";
import { TextBatch } from "./batch.js";
import { type JobOptions, type JobWords, jobThreads, runJob, runNow } from "./job.js";

declare const TOKENIZER: unique symbol;
/** A tokenizer of the addon. */
type TokenizerHandle = { readonly [TOKENIZER]: true };

/** What is known of a tokenizer's make. */
export interface NativeTokenizerInfo {
  /** One more than the largest id. */
  vocabSize: number;
  /** Whether text is the tokens' bytes one after the other. */
  byteLevel: boolean;
  /** Whether long texts are shared between threads. */
  cuttable: boolean;
  /** `BPE`, `WordPiece`, `WordLevel` or `Unigram`. */
  model: string;
}

/** An encoded text; entry i of each column is about token i. */
export interface NativeEncoding {
  ids: Int32Array;
  /** Begin and end of each token in its text, in UTF-16 code units: [tokens, 2]. */
  offsets: Uint32Array;
  typeIds: Uint8Array;
  /** 1 for tokens that the post-processor put in. */
  specialMask: Uint8Array;
  /** Which text of a pair a token is of; 0 for tokens that the post-processor put in. */
  sequenceIds: Uint8Array;
}

declare module "../addon.js" {
  interface Addon {
    tokenizerFromJson(json: Uint8Array, file: string): TokenizerHandle;
    tokenizerFromRanks(
      ranks: Uint8Array,
      pattern: string,
      contents: string[],
      ids: Uint32Array,
      file: string,
    ): TokenizerHandle;
    tokenizerRelease(handle: TokenizerHandle): void;
    tokenizerInfo(handle: TokenizerHandle): NativeTokenizerInfo;
    tokenizerIdOf(handle: TokenizerHandle, token: string): number;
    tokenizerTokenOf(handle: TokenizerHandle, id: number): string | undefined;
    tokenizerBytesOf(handle: TokenizerHandle, id: number): Uint8Array;
    tokenizerEncode(
      handle: TokenizerHandle,
      text: string,
      addSpecialTokens: boolean,
      threads: number,
    ): Int32Array;
    tokenizerEncodeWithOffsets(
      handle: TokenizerHandle,
      text: string,
      pair: string | undefined,
      addSpecialTokens: boolean,
    ): NativeEncoding;
    tokenizerEncodeBatch(
      handle: TokenizerHandle,
      bytes: Uint8Array,
      ends: Uint32Array,
      addSpecialTokens: boolean,
      threads: number,
      words: JobWords,
    ): Promise<{ ids: Int32Array; ends: Uint32Array }>;
    tokenizerDecode(handle: TokenizerHandle, ids: Int32Array, skipSpecialTokens: boolean): string;
    tokenizerDecodeBatch(
      handle: TokenizerHandle,
      ids: Int32Array,
      ends: Uint32Array,
      skipSpecialTokens: boolean,
      threads: number,
      words: JobWords,
    ): Promise<{ bytes: Uint8Array; ends: Uint32Array }>;
  }
}

/** Milliseconds of making strings after which the event loop gets its turn. */
const TURN = 10;

/**
 * A tokenizer in native memory. `dispose` frees it at once; without it the garbage collector does, some time after the
 * last reference is gone. Using it afterwards throws DisposedError.
 */
export class NativeTokenizer {
  readonly info: NativeTokenizerInfo;

  private constructor(private readonly handle: TokenizerHandle) {
    this.info = addon().tokenizerInfo(handle);
  }

  /**
   * @param json the UTF-8 of a tokenizer.json
   * @param file its name, for messages
   * @throws TokenizerError naming what is missing, damaged or unknown.
   */
  static fromJson(json: Uint8Array, file: string): NativeTokenizer {
    return runNow(() => new NativeTokenizer(addon().tokenizerFromJson(json, file)));
  }

  /**
   * @param ranks a rank file as tiktoken has them
   * @param pattern the regular expression that cuts its texts
   * @param specials special tokens and their ids
   * @throws TokenizerError
   */
  static fromRanks(
    ranks: Uint8Array,
    pattern: string,
    specials: Readonly<Record<string, number>>,
    file: string,
  ): NativeTokenizer {
    const contents = Object.keys(specials);
    const ids = Uint32Array.from(Object.values(specials));
    return runNow(() => new NativeTokenizer(addon().tokenizerFromRanks(ranks, pattern, contents, ids, file)));
  }

  /** Frees the native memory. Work under way ends as usual. */
  dispose(): void {
    addon().tokenizerRelease(this.handle);
  }

  /** The id of a token as the vocabulary spells it. */
  idOf(token: string): number | undefined {
    const id = addon().tokenizerIdOf(this.handle, token);
    return id < 0 ? undefined : id;
  }

  /** The spelling of an id. */
  tokenOf(id: number): string | undefined {
    return runNow(() => addon().tokenizerTokenOf(this.handle, id));
  }

  /** The bytes of text that an id stands for; nearly those where decoding depends on neighbours. */
  bytesOf(id: number): Uint8Array {
    return runNow(() => addon().tokenizerBytesOf(this.handle, id));
  }

  encode(text: string, addSpecialTokens: boolean): Int32Array {
    return runNow(() => addon().tokenizerEncode(this.handle, text, addSpecialTokens, jobThreads()));
  }

  encodeWithOffsets(text: string, pair: string | undefined, addSpecialTokens: boolean): NativeEncoding {
    return runNow(() => addon().tokenizerEncodeWithOffsets(this.handle, text, pair, addSpecialTokens));
  }

  /** Ids of many texts, one after the other, and where each text's end. */
  encodeBatch(
    texts: TextBatch | readonly string[],
    options: JobOptions & { addSpecialTokens?: boolean } = {},
  ): Promise<{ ids: Int32Array; ends: Uint32Array }> {
    return runJob(options, (words) => {
      const { bytes, ends } = texts instanceof TextBatch ? texts : TextBatch.from(texts);
      const special = options.addSpecialTokens ?? false;
      return addon().tokenizerEncodeBatch(this.handle, bytes, ends, special, jobThreads(options), words);
    });
  }

  /** @param ids below zero: no token */
  decode(ids: Int32Array, skipSpecialTokens: boolean): string {
    return runNow(() => addon().tokenizerDecode(this.handle, ids, skipSpecialTokens));
  }

  /** The texts of many sequences of ids. */
  async decodeBatch(
    ids: Int32Array,
    ends: Uint32Array,
    options: JobOptions & { skipSpecialTokens?: boolean } = {},
  ): Promise<string[]> {
    const skip = options.skipSpecialTokens ?? false;
    const decoded = await runJob(options, (words) =>
      addon().tokenizerDecodeBatch(this.handle, ids, ends, skip, jobThreads(options), words),
    );
    const batch = new TextBatch(decoded.bytes, decoded.ends);
    const texts: string[] = [];
    let turn = performance.now();
    for (let i = 0; i < batch.length; i++) {
      texts.push(batch.text(i));
      if (performance.now() - turn > TURN) {
        await new Promise(setImmediate);
        options.signal?.throwIfAborted();
        turn = performance.now();
      }
    }
    return texts;
  }
}
