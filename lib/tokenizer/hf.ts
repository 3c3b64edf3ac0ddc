/** Tokenizers from Hugging Face's `tokenizer.json`: BPE, WordPiece, Unigram and word-level vocabularies. */
import { basename, dirname, join } from "node:path";
import { TokenizerError } from "../errors.js";
import { alphabetBytes } from "./byte-alphabet.js";
import { byteStreamDecoder, checkId, decodeParts, type TokenPart } from "./byte-stream.js";
import { safePieces } from "./cut-points.js";
import { canonicalJson, parseObject, readIfPresent, sha256, TOKENIZER_FILES, writeFiles } from "./files.js";
import { createEncoder, type Encoder, encodeIds } from "./hf-encoder.js";
import { addedTokens, type Json, prepareJson, tokenContent, withoutPrefix } from "./hf-json.js";
import { textStreamDecoder } from "./text-stream.js";
import type { DecodeOptions, EncodedPiece, EncodeOptions, StreamDecoder, Tokenizer } from "./tokenizer.js";

export interface HfTokenizerOptions {
  /** Content of the begin-of-text token; default as the folder's files say. */
  bosToken?: string;
  /** Content of the end-of-text token; default as the folder's files say. */
  eosToken?: string;
}

/** End-of-text tokens by the names that are in use, for a tokenizer.json that comes without its companion files. */
const KNOWN_EOS = ["<|endoftext|>", "</s>", "<|end_of_text|>", "<｜end▁of▁sentence｜>", "<eos>"];
const KNOWN_BOS = ["<s>", "<|begin_of_text|>", "<｜begin▁of▁sentence｜>", "<bos>"];

/** Encodes and decodes as the Hugging Face library does, and saves the very files it was loaded from. */
export class HfTokenizer implements Tokenizer {
  readonly kind = "hf";
  readonly vocabSize: number;
  readonly bosId?: number;
  readonly eosId?: number;
  readonly fingerprint: string;
  private readonly encoder: Encoder;
  /** For all pieces of a text but the first, where the tokenizer puts a prefix before every text. */
  private readonly continuation?: Encoder;
  private readonly byteLevel: boolean;
  /** Whether the vocabulary spells unknown characters as byte tokens `<0x00>` … `<0xFF>`. */
  private readonly fallback: boolean;
  private readonly added: ReadonlyMap<number, { content: string; special: boolean }>;
  private readonly tokenParts = new Map<number, TokenPart>();

  /** Use `HfTokenizer.load`; this constructor takes what was read from a folder: file name → text. */
  constructor(
    readonly name: string,
    private readonly files: ReadonlyMap<string, string>,
    path: string,
    options: HfTokenizerOptions = {},
  ) {
    const raw: Json = parseObject(files.get("tokenizer.json") ?? "", path);
    const config: Json = this.companion("tokenizer_config.json", path);
    const json = prepareJson(raw, path);
    this.encoder = createEncoder(json, config, path);
    const continued = withoutPrefix(json);
    this.continuation = continued && createEncoder(continued, config, path);
    this.fallback = json.model.byte_fallback === true;
    this.byteLevel = json.decoder?.type === "ByteLevel";
    this.added = new Map(
      addedTokens(raw, path).map(({ id, content, special }) => [id, { content, special }]),
    );
    let largest = -1;
    for (const id of this.encoder.get_vocab().values()) if (id > largest) largest = id;
    this.vocabSize = largest + 1;

    const map: Json = this.companion("special_tokens_map.json", path);
    const specialId = (option: "bosToken" | "eosToken", key: string, known: readonly string[]) => {
      const named = options[option] ?? tokenContent(config[key]) ?? tokenContent(map[key]);
      if (named !== undefined) {
        const id = this.encoder.token_to_id(named);
        if (id !== undefined) return id;
        if (options[option] === undefined) return undefined;
        throw new TokenizerError(`${option} ${JSON.stringify(named)} is not in the vocabulary of ${path}.`, {
          path,
          token: named,
        });
      }
      return [...this.added].find(([, token]) => token.special && known.includes(token.content))?.[0];
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

  encode(text: string, options: EncodeOptions = {}): Int32Array {
    if (options.addSpecialTokens) {
      // A post-processor sees the whole text at once.
      const ids = encodeIds(this.encoder, text, true, this.name);
      options.onProgress?.({ done: text.length, total: text.length });
      return ids;
    }
    const parts: Int32Array[] = [];
    let done = 0;
    let length = 0;
    for (const { text: piece, ids } of this.encodePieces(text)) {
      parts.push(ids);
      length += ids.length;
      done += piece.length;
      options.onProgress?.({ done, total: text.length });
    }
    if (parts.length === 1) return parts[0];
    const all = new Int32Array(length);
    let offset = 0;
    for (const part of parts) {
      all.set(part, offset);
      offset += part.length;
    }
    return all;
  }

  /** @param length length aimed at for one piece, in UTF-16 code units; default 65,536. */
  *encodePieces(text: string, length?: number): Generator<EncodedPiece> {
    // A prefix also goes before the text after each added token, which only the encoder itself can tell.
    const plain = () => [...this.added.values()].every(({ content }) => !text.includes(content));
    const later = this.continuation !== undefined && plain() ? this.continuation : this.encoder;
    let encoder = this.encoder;
    for (const piece of safePieces(text, (part) => encodeIds(later, part, false, this.name), length)) {
      yield { text: piece, ids: encodeIds(encoder, piece, false, this.name) };
      encoder = later;
    }
  }

  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    if (this.byteLevel) return decodeParts(ids, (id) => this.part(id, options));
    const known: number[] = [];
    for (let i = 0; i < ids.length; i++) {
      if (this.encoder.id_to_token(checkId(ids[i])) === undefined) continue;
      if (options.skipSpecialTokens && this.added.get(ids[i])?.special) continue;
      known.push(ids[i]);
    }
    return known.length === 0 ? "" : this.encoder.decode(known, { skip_special_tokens: false });
  }

  streamDecoder(options: DecodeOptions = {}): StreamDecoder {
    if (this.byteLevel) return byteStreamDecoder((id) => this.part(id, options));
    return textStreamDecoder(
      (ids) => this.decode(ids, options),
      (id) => (this.fallback ? fallbackByte(this.encoder.id_to_token(checkId(id))) : undefined),
    );
  }

  tokenBytes(id: number): number {
    if (this.added.get(checkId(id))?.special) return 0;
    const part = this.part(id, {});
    return part === undefined ? 0 : typeof part === "string" ? Buffer.byteLength(part) : part.length;
  }

  async save(dir: string): Promise<void> {
    await writeFiles(dir, this.files);
  }

  /** What one token contributes, for byte-level vocabularies exactly, for others as an approximation of its text. */
  private part(id: number, options: DecodeOptions): TokenPart {
    const added = this.added.get(id);
    if (added !== undefined) return added.special && options.skipSpecialTokens ? undefined : added.content;
    if (!this.tokenParts.has(id)) {
      const token = this.encoder.id_to_token(id);
      let part: TokenPart = token;
      if (token !== undefined && this.byteLevel) part = alphabetBytes(token) ?? Buffer.from(token);
      else if (token !== undefined) {
        const byte = this.fallback ? fallbackByte(token) : undefined;
        part = byte === undefined ? token.replaceAll("▁", " ").replace(/^##/, "") : Uint8Array.of(byte);
      }
      this.tokenParts.set(id, part);
    }
    return this.tokenParts.get(id);
  }

  private companion(name: string, path: string): Json {
    const text = this.files.get(name);
    return text === undefined ? {} : parseObject(text, join(dirname(path), name));
  }
}

/** The byte that a byte-fallback token stands for. */
function fallbackByte(token: string | undefined): number | undefined {
  return token !== undefined && /^<0x[0-9A-F]{2}>$/.test(token)
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
