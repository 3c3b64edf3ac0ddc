/** Tokenizers from Hugging Face's `tokenizer.json`: BPE, WordPiece, Unigram and word-level vocabularies. */
import { basename, dirname, join } from "node:path";
import { TokenizerError } from "../errors.js";
import type { TextBatch } from "../native/text/batch.js";
import { NativeTokenizer } from "../native/text/tokenizer.js";
import { jobOptions } from "./batch-options.js";
import { byteStreamDecoder, checkedIds, checkId } from "./byte-stream.js";
import { cleanUpSpaces } from "./clean-up.js";
import { canonicalJson, parseObject, readIfPresent, sha256, TOKENIZER_FILES, writeFiles } from "./files.js";
import { addedTokens, type Json, tokenContent } from "./hf-json.js";
import { textStreamDecoder } from "./text-stream.js";
import type {
  DecodeBatchOptions,
  DecodeOptions,
  EncodeBatchOptions,
  EncodedBatch,
  EncodeOptions,
  EncodeWithOffsetsOptions,
  Encoding,
  StreamDecoder,
  Tokenizer,
} from "./tokenizer.js";

export interface HfTokenizerOptions {
  /** Content of the begin-of-text token; default as the folder's files say. */
  bosToken?: string;
  /** Content of the end-of-text token; default as the folder's files say. */
  eosToken?: string;
}

/** End-of-text tokens by the names that are in use, for a tokenizer.json that comes without its companion files. */
const KNOWN_EOS = ["<|endoftext|>", "</s>", "<|end_of_text|>", "<｜end▁of▁sentence｜>", "<eos>"];
const KNOWN_BOS = ["<s>", "<|begin_of_text|>", "<｜begin▁of▁sentence｜>", "<bos>"];

/** Encodes and decodes as the Hugging Face library does, natively, and saves the very files it was loaded from. */
export class HfTokenizer implements Tokenizer {
  readonly kind = "hf";
  readonly vocabSize: number;
  readonly bosId?: number;
  readonly eosId?: number;
  readonly fingerprint: string;
  private readonly native: NativeTokenizer;
  private readonly byteLevel: boolean;
  /** Whether the vocabulary spells unknown characters as byte tokens `<0x00>` … `<0xFF>`. */
  private readonly fallback: boolean;
  /** Whether decoded text loses the spaces before punctuation (`clean_up_tokenization_spaces`). */
  private readonly cleanUp: boolean;
  private readonly specialIds: ReadonlySet<number>;
  private readonly tokenParts = new Map<number, Uint8Array>();

  /**
   * Use `HfTokenizer.load`; this constructor takes what was read from a folder: file name → text.
   * @param native the tokenizer in native memory, where it does not come from `tokenizer.json`
   */
  constructor(
    readonly name: string,
    private readonly files: ReadonlyMap<string, string>,
    path: string,
    options: HfTokenizerOptions = {},
    native?: NativeTokenizer,
  ) {
    const text = files.get("tokenizer.json") ?? "";
    const raw: Json = parseObject(text, path);
    const config: Json = this.companion("tokenizer_config.json", path);
    const map: Json = this.companion("special_tokens_map.json", path);
    this.native = native ?? NativeTokenizer.fromJson(Buffer.from(text), path);
    this.vocabSize = this.native.info.vocabSize;
    this.byteLevel = this.native.info.byteLevel;
    this.fallback = raw.model?.byte_fallback === true;
    this.cleanUp = config.clean_up_tokenization_spaces === true;
    const specials = addedTokens(raw, path).filter((token) => token.special);
    this.specialIds = new Set(specials.map((token) => token.id));

    const specialId = (option: "bosToken" | "eosToken", key: string, known: readonly string[]) => {
      const named = options[option] ?? tokenContent(config[key]) ?? tokenContent(map[key]);
      if (named !== undefined) {
        const id = this.native.idOf(named);
        if (id !== undefined) return id;
        if (options[option] === undefined) return undefined;
        throw new TokenizerError(`${option} ${JSON.stringify(named)} is not in the vocabulary of ${path}.`, {
          path,
          token: named,
        });
      }
      return specials.find((token) => known.includes(token.content))?.id;
    };
    this.bosId = specialId("bosToken", "bos_token", KNOWN_BOS);
    this.eosId = specialId("eosToken", "eos_token", KNOWN_EOS);
    // Truncation and padding are settings of a call, not of the vocabulary.
    this.fingerprint = sha256(canonicalJson({ ...raw, truncation: undefined, padding: undefined }));
  }

  /**
   * Loads a `tokenizer.json`, or a folder that has one, with the companion files beside it.
   * @throws TokenizerError when the file is missing, damaged or has unsupported parts.
   */
  static async load(path: string, options: HfTokenizerOptions = {}): Promise<HfTokenizer> {
    const { files, file } = await readTokenizerFiles(path);
    return new HfTokenizer(basename(dirname(file)), files, file, options);
  }

  /** Frees the native memory at once, without waiting for the garbage collector; the tokenizer is of no use afterwards. */
  dispose(): void {
    this.native.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The id of a token as the vocabulary spells it (added tokens by their content). */
  idOf(token: string): number | undefined {
    return this.native.idOf(token);
  }

  /** How the vocabulary spells an id. */
  tokenOf(id: number): string | undefined {
    return checkId(id) < this.vocabSize ? this.native.tokenOf(id) : undefined;
  }

  encode(text: string, options: EncodeOptions = {}): Int32Array {
    return this.native.encode(text, options.addSpecialTokens ?? false);
  }

  encodeBatch(batch: TextBatch | readonly string[], options: EncodeBatchOptions = {}): Promise<EncodedBatch> {
    return this.native.encodeBatch(batch, jobOptions(options));
  }

  encodeWithOffsets(text: string, options: EncodeWithOffsetsOptions = {}): Encoding {
    return this.native.encodeWithOffsets(text, options.pair, options.addSpecialTokens ?? false);
  }

  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    const text = this.native.decode(checkedIds(ids, this.vocabSize), options.skipSpecialTokens ?? false);
    return this.cleanUp ? cleanUpSpaces(text) : text;
  }

  async decodeBatch(batch: EncodedBatch, options: DecodeBatchOptions = {}): Promise<string[]> {
    const texts = await this.native.decodeBatch(checkedIds(batch.ids, this.vocabSize), batch.ends, options);
    return this.cleanUp ? texts.map(cleanUpSpaces) : texts;
  }

  streamDecoder(options: DecodeOptions = {}): StreamDecoder {
    if (this.byteLevel && !this.cleanUp) return byteStreamDecoder((id) => this.part(id, options));
    return textStreamDecoder(
      (ids) => this.decode(ids, options),
      (id) => (this.fallback ? fallbackByte(this.tokenOf(id)) : undefined),
    );
  }

  tokenBytes(id: number): number {
    return this.specialIds.has(checkId(id)) ? 0 : (this.part(id, {})?.length ?? 0);
  }

  async save(dir: string): Promise<void> {
    await writeFiles(dir, this.files);
  }

  /** What one token contributes, for byte-level vocabularies exactly, for others as an approximation of its text. */
  private part(id: number, options: DecodeOptions): Uint8Array | undefined {
    if (id >= this.vocabSize || (options.skipSpecialTokens && this.specialIds.has(id))) return undefined;
    let part = this.tokenParts.get(id);
    if (part === undefined) {
      part = this.native.bytesOf(id);
      this.tokenParts.set(id, part);
    }
    return part;
  }

  private companion(name: string, path: string): Json {
    const text = this.files.get(name);
    return text === undefined ? {} : parseObject(text, join(dirname(path), name));
  }
}

/** The byte that a byte-fallback token stands for. */
function fallbackByte(token: string | undefined): number | undefined {
  return token !== undefined && /^<0x[0-9A-F]{2}>$/i.test(token)
    ? Number.parseInt(token.slice(3, 5), 16)
    : undefined;
}

/** Reads tokenizer.json and its companions; `path` is the file or its folder. */
export async function readTokenizerFiles(
  path: string,
): Promise<{ files: Map<string, string>; file: string }> {
  const inFolder = join(path, "tokenizer.json");
  const folderText = await readIfPresent(inFolder);
  const file = folderText === undefined ? path : inFolder;
  const text = folderText ?? (await readIfPresent(path).catch(() => undefined));
  if (text === undefined) {
    throw new TokenizerError(
      `No tokenizer at ${path}: expected a tokenizer.json or a folder that has one. ` +
        'Use "char", "byte", or the path of a tokenizer.json; transformers writes one with save_pretrained.',
      { path },
    );
  }
  const files = new Map([["tokenizer.json", text]]);
  for (const name of TOKENIZER_FILES) {
    if (name === "tokenizer.json") continue;
    const companion = await readIfPresent(join(dirname(file), name));
    if (companion !== undefined) files.set(name, companion);
  }
  return { files, file };
}
