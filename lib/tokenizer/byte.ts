/** The byte tokenizer: every byte of the UTF-8 text is a token, its id the byte's value. */
import type { TextBatch } from "../native/text/batch.js";
import { NativeTokenizer } from "../native/text/tokenizer.js";
import { jobOptions } from "./batch-options.js";
import { alphabetBytes, byteAlphabet } from "./byte-alphabet.js";
import { byteStreamDecoder, checkedIds, checkId, decodeParts, type TokenPart } from "./byte-stream.js";
import { canonicalJson, sha256, writeFiles } from "./files.js";
import type { Json } from "./hf-json.js";
import { SpecialTokens } from "./special-tokens.js";
import type {
  DecodeBatchOptions,
  DecodeOptions,
  EncodeBatchOptions,
  EncodedBatch,
  EncodeWithOffsetsOptions,
  Encoding,
  StreamDecoder,
  Tokenizer,
} from "./tokenizer.js";

export interface ByteTokenizerOptions {
  /** Begin-of-text token. Default none. */
  bosToken?: string | null;
  /** End-of-text token. Default `<|endoftext|>`; null for none. */
  eosToken?: string | null;
}

const SINGLE_BYTES = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));

/** 256 byte tokens (id = byte value), then the special tokens. Any text can be encoded. */
export class ByteTokenizer implements Tokenizer {
  readonly kind = "byte";
  readonly name = "byte";
  readonly vocabSize: number;
  readonly bosId?: number;
  readonly eosId?: number;
  readonly fingerprint: string;
  private readonly specials: SpecialTokens;
  private nativeTokenizer?: NativeTokenizer;

  constructor(options: ByteTokenizerOptions = {}) {
    const { bosToken = null, eosToken = "<|endoftext|>" } = options;
    this.specials = new SpecialTokens(
      { bosToken: bosToken ?? undefined, eosToken: eosToken ?? undefined },
      256,
    );
    this.vocabSize = 256 + this.specials.contents.length;
    this.bosId = this.specials.bosId;
    this.eosId = this.specials.eosId;
    this.fingerprint = sha256(canonicalJson({ tokenizer: this.toJson(), names: this.specials.names }));
  }

  encode(text: string): Int32Array {
    const ids = new Int32Array(Buffer.byteLength(text));
    let length = 0;
    for (const stretch of this.specials.split(text)) {
      if (stretch.id !== undefined) {
        ids[length++] = stretch.id;
      } else {
        const bytes = Buffer.from(stretch.text);
        ids.set(bytes, length);
        length += bytes.length;
      }
    }
    return length === ids.length ? ids : ids.slice(0, length);
  }

  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    return decodeParts(ids, (id) => this.part(id, options));
  }

  streamDecoder(options: DecodeOptions = {}): StreamDecoder {
    return byteStreamDecoder((id) => this.part(id, options));
  }

  encodeBatch(batch: TextBatch | readonly string[], options: EncodeBatchOptions = {}): Promise<EncodedBatch> {
    return this.native.encodeBatch(batch, jobOptions(options));
  }

  encodeWithOffsets(text: string, options: EncodeWithOffsetsOptions = {}): Encoding {
    return this.native.encodeWithOffsets(text, options.pair, false);
  }

  decodeBatch(batch: EncodedBatch, options: DecodeBatchOptions = {}): Promise<string[]> {
    return this.native.decodeBatch(checkedIds(batch.ids, this.vocabSize), batch.ends, options);
  }

  tokenBytes(id: number): number {
    return checkId(id) < 256 ? 1 : 0;
  }

  /** Writes a byte-level BPE without merges, whose vocabulary is the 256 bytes in order. */
  async save(dir: string): Promise<void> {
    await writeFiles(
      dir,
      new Map([
        ["tokenizer.json", `${JSON.stringify(this.toJson(), null, 2)}\n`],
        ["tokenizer_config.json", `${JSON.stringify(this.specials.config(), null, 2)}\n`],
      ]),
    );
  }

  /** The same tokenizer natively, for many texts at once; made when first needed. */
  private get native(): NativeTokenizer {
    this.nativeTokenizer ??= NativeTokenizer.fromJson(Buffer.from(JSON.stringify(this.toJson())), this.name);
    return this.nativeTokenizer;
  }

  private part(id: number, options: DecodeOptions): TokenPart {
    if (id < 256) return SINGLE_BYTES[id];
    return options.skipSpecialTokens ? undefined : this.specials.content(id);
  }

  private toJson(): object {
    return {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: this.specials.addedTokens(),
      normalizer: null,
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
      post_processor: null,
      decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(byteAlphabet().map((character, byte) => [character, byte])),
        merges: [],
      },
    };
  }

  /** Whether a parsed tokenizer.json is a byte tokenizer as `save` writes it (also after another library re-saved it). */
  static matches(json: Json): boolean {
    const { model, pre_tokenizer, normalizer, post_processor } = json;
    if (model?.type !== "BPE" || model.merges?.length !== 0 || pre_tokenizer?.type !== "ByteLevel")
      return false;
    if (pre_tokenizer.use_regex !== false || pre_tokenizer.add_prefix_space || normalizer || post_processor)
      return false;
    const entries = Object.entries(model.vocab ?? {}).filter(([, id]) => (id as number) < 256);
    return (
      entries.length === 256 &&
      entries.every(([token, id]) => token.length === 1 && alphabetBytes(token)?.[0] === id) &&
      Object.keys(model.vocab).length <= 258
    );
  }
}
