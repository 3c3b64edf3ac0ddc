/** The character tokenizer: every Unicode code point of a chosen text is a token. */
import { TokenizerError } from "../errors.js";
import { TextBatch } from "../native/text/batch.js";
import { NativeTokenizer } from "../native/text/tokenizer.js";
import { jobOptions } from "./batch-options.js";
import { checkedIds, checkId } from "./byte-stream.js";
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

export interface CharTokenizerOptions {
  /** Begin-of-text token. Default none. */
  bosToken?: string | null;
  /** End-of-text token. Default none. */
  eosToken?: string | null;
}

/** Any one code point, line ends included; written so that it means the same in every regex dialect. */
const ANY_CHARACTER = "[\\s\\S]";

/** A vocabulary of code points in increasing order (ids 0, 1, …), then the special tokens. */
export class CharTokenizer implements Tokenizer {
  readonly kind = "char";
  readonly name = "char";
  readonly vocabSize: number;
  readonly bosId?: number;
  readonly eosId?: number;
  readonly fingerprint: string;
  /** The characters, in the order of their ids. */
  readonly characters: readonly string[];
  private readonly specials: SpecialTokens;
  private nativeTokenizer?: NativeTokenizer;
  /** Ids of code points below 0x10000 (−1: unknown); the rest are in `astral`. */
  private readonly basic = new Int32Array(0x10000).fill(-1);
  private readonly astral = new Map<number, number>();

  /** @param characters the vocabulary: single code points, in the order of their ids. */
  constructor(characters: readonly string[], options: CharTokenizerOptions = {}) {
    if (characters.length === 0) {
      throw new TokenizerError("A character tokenizer needs at least one character; the text is empty.");
    }
    characters.forEach((character, id) => {
      const point = character.codePointAt(0);
      if (
        point === undefined ||
        String.fromCodePoint(point) !== character ||
        (point >= 0xd800 && point < 0xe000)
      ) {
        throw new TokenizerError(
          `Entry ${id} of a character vocabulary must be one Unicode character, got ${JSON.stringify(character)}.`,
          { id, character },
        );
      }
      if (this.idOf(point) !== -1) {
        throw new TokenizerError(`The character vocabulary has ${describe(character)} twice.`, {
          id,
          character,
        });
      }
      if (point < 0x10000) this.basic[point] = id;
      else this.astral.set(point, id);
    });
    this.characters = [...characters];
    const { bosToken, eosToken } = options;
    this.specials = new SpecialTokens(
      { bosToken: bosToken ?? undefined, eosToken: eosToken ?? undefined },
      characters.length,
    );
    this.vocabSize = characters.length + this.specials.contents.length;
    this.bosId = this.specials.bosId;
    this.eosId = this.specials.eosId;
    this.fingerprint = sha256(canonicalJson({ tokenizer: this.toJson(), names: this.specials.names }));
  }

  /** The vocabulary of one text: its distinct code points in increasing order. */
  static fromText(text: string, options: CharTokenizerOptions = {}): CharTokenizer {
    const found = new CodePointSet();
    found.add(text);
    return new CharTokenizer(found.sorted(), options);
  }

  /** The vocabulary of many texts, read one after the other. */
  static async fromTexts(
    texts: Iterable<string> | AsyncIterable<string>,
    options: CharTokenizerOptions = {},
  ): Promise<CharTokenizer> {
    const found = new CodePointSet();
    for await (const text of texts) found.add(text);
    return new CharTokenizer(found.sorted(), options);
  }

  encode(text: string): Int32Array {
    const ids = new Int32Array(text.length);
    let length = 0;
    for (const stretch of this.specials.split(text)) {
      if (stretch.id !== undefined) {
        ids[length++] = stretch.id;
        continue;
      }
      for (let i = 0; i < stretch.text.length; i++) {
        const point = stretch.text.codePointAt(i) as number;
        const id = this.idOf(point);
        if (id === -1) throw this.unknown(point, stretch.start + i);
        ids[length++] = id;
        if (point >= 0x10000) i++;
      }
    }
    return length === ids.length ? ids : ids.slice(0, length);
  }

  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    const parts: string[] = [];
    for (let i = 0; i < ids.length; i++) parts.push(this.part(ids[i], options));
    return parts.join("");
  }

  streamDecoder(options: DecodeOptions = {}): StreamDecoder {
    return { push: (id) => this.part(id, options), flush: () => "" };
  }

  async encodeBatch(
    batch: TextBatch | readonly string[],
    options: EncodeBatchOptions = {},
  ): Promise<EncodedBatch> {
    const texts = batch instanceof TextBatch ? batch : TextBatch.from(batch);
    try {
      return await this.native.encodeBatch(texts, jobOptions(options));
    } catch (error) {
      throw this.explained(error, (index) => texts.text(index));
    }
  }

  encodeWithOffsets(text: string, options: EncodeWithOffsetsOptions = {}): Encoding {
    try {
      return this.native.encodeWithOffsets(text, options.pair, false);
    } catch (error) {
      throw this.explained(
        this.explained(error, () => text),
        () => options.pair ?? "",
      );
    }
  }

  decodeBatch(batch: EncodedBatch, options: DecodeBatchOptions = {}): Promise<string[]> {
    return this.native.decodeBatch(checkedIds(batch.ids, this.vocabSize), batch.ends, options);
  }

  tokenBytes(id: number): number {
    const character = this.characters[checkId(id)];
    return character === undefined ? 0 : Buffer.byteLength(character);
  }

  /** Writes a word-level model behind a pre-tokenizer that makes every character a word. */
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

  /** The error that names the unknown character and its place, in place of the native tokenizer's. */
  private explained(error: unknown, textOf: (index: number) => string): unknown {
    if (!(error instanceof TokenizerError)) return error;
    const index = Number(error.details.text ?? 0);
    try {
      this.encode(textOf(index));
    } catch (precise) {
      if (!(precise instanceof TokenizerError)) return precise;
      return new TokenizerError(precise.message, { ...precise.details, text: index }, { cause: error });
    }
    return error;
  }

  private idOf(point: number): number {
    return point < 0x10000 ? this.basic[point] : (this.astral.get(point) ?? -1);
  }

  private part(id: number, options: DecodeOptions): string {
    const character = this.characters[checkId(id)];
    if (character !== undefined) return character;
    return options.skipSpecialTokens ? "" : (this.specials.content(id) ?? "");
  }

  private unknown(point: number, position: number): TokenizerError {
    const character = String.fromCodePoint(point);
    return new TokenizerError(
      `The character ${describe(character)} at position ${position} is not among the ${this.characters.length} ` +
        "characters of this tokenizer. Build the tokenizer from text that has it, or use the byte tokenizer.",
      { character, codePoint: point, position, vocabSize: this.vocabSize },
    );
  }

  private toJson(): object {
    return {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: this.specials.addedTokens(),
      normalizer: null,
      pre_tokenizer: {
        type: "Split",
        pattern: { Regex: ANY_CHARACTER },
        behavior: "Isolated",
        invert: false,
      },
      post_processor: null,
      decoder: { type: "Fuse" },
      // The unknown token is not in the vocabulary: an unknown character is an error there as well.
      model: {
        type: "WordLevel",
        vocab: Object.fromEntries(this.characters.map((character, id) => [character, id])),
        unk_token: "<unk>",
      },
    };
  }

  /** The vocabulary when a parsed tokenizer.json is a character tokenizer as `save` writes it, else undefined. */
  static vocabularyOf(json: Json): string[] | undefined {
    const { model, pre_tokenizer } = json;
    if (
      model?.type !== "WordLevel" ||
      pre_tokenizer?.type !== "Split" ||
      json.normalizer ||
      json.post_processor
    ) {
      return undefined;
    }
    if (pre_tokenizer.pattern?.Regex !== ANY_CHARACTER) return undefined;
    const characters: string[] = [];
    for (const [token, id] of Object.entries(model.vocab ?? {})) {
      if ([...token].length === 1) characters[id as number] = token;
    }
    return characters.length > 0 && characters.every((c) => c !== undefined) ? characters : undefined;
  }
}

/** Collects the distinct code points of texts. */
class CodePointSet {
  private readonly basic = new Uint8Array(0x10000);
  private readonly astral = new Set<number>();

  add(text: string): void {
    for (let i = 0; i < text.length; i++) {
      const point = text.codePointAt(i) as number;
      if (point < 0x10000) {
        this.basic[point] = 1;
      } else {
        this.astral.add(point);
        i++;
      }
    }
  }

  sorted(): string[] {
    const points: number[] = [];
    this.basic.forEach((seen, point) => {
      if (seen) points.push(point);
    });
    points.push(...[...this.astral].sort((a, b) => a - b));
    return points.map((point) => String.fromCodePoint(point));
  }
}

/** A character for messages: quoted, with its code point. */
function describe(character: string): string {
  const point = character.codePointAt(0) as number;
  return `${JSON.stringify(character)} (U+${point.toString(16).toUpperCase().padStart(4, "0")})`;
}
