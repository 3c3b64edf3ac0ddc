/** Finds the right tokenizer for a name or a path. */
import { readFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { suggest, TokenizerError } from "../errors.js";
import { ByteTokenizer } from "./byte.js";
import { CharTokenizer } from "./char.js";
import { parseObject } from "./files.js";
import { HfTokenizer, readTokenizerFiles } from "./hf.js";
import { addedTokens, type Json, tokenContent } from "./hf-json.js";
import { isRankFile, type RankFileOptions, rankTokenizer } from "./tiktoken.js";
import type { Tokenizer } from "./tokenizer.js";

export interface LoadTokenizerOptions {
  /** Texts that the character tokenizer's vocabulary is built from; needed for `"char"` only. */
  texts?: Iterable<string> | AsyncIterable<string>;
  /** Content of the begin-of-text token; default as the tokenizer has it. */
  bosToken?: string;
  /** Content of the end-of-text token; default as the tokenizer has it. */
  eosToken?: string;
  /** For a rank file: what cuts texts into pieces; default by the file's name, where it is one of OpenAI's. */
  pattern?: RankFileOptions["pattern"];
  /** For a rank file: special tokens and their ids; default by the file's name. */
  specialTokens?: RankFileOptions["specialTokens"];
}

/**
 * Loads a tokenizer.
 * @param spec `"char"` (a new vocabulary from `options.texts`), `"byte"`, the path of a tokenizer.json or of a model
 * folder that has one, or the path of a rank file (`.tiktoken`). Character and byte tokenizers saved by anneal come back as what they were.
 * @throws TokenizerError when there is no such tokenizer or its files are damaged.
 */
export async function loadTokenizer(spec: string, options: LoadTokenizerOptions = {}): Promise<Tokenizer> {
  const { bosToken, eosToken } = options;
  if (spec === "byte") return new ByteTokenizer({ bosToken, eosToken });
  if (spec === "char") {
    if (options.texts === undefined) {
      throw new TokenizerError(
        'The tokenizer "char" takes its vocabulary from a text: pass { texts }, or the folder of a saved tokenizer.',
        { spec },
      );
    }
    return CharTokenizer.fromTexts(options.texts, { bosToken, eosToken });
  }
  if (isRankFile(spec)) return rankTokenizer(await readRanks(spec), spec, options);
  let read: Awaited<ReturnType<typeof readTokenizerFiles>>;
  try {
    read = await readTokenizerFiles(spec);
  } catch (error) {
    const near = suggest(spec, ["char", "byte"]);
    if (near === undefined || !(error instanceof TokenizerError)) throw error;
    throw new TokenizerError(`${error.message} Did you mean "${near}"?`, error.details, { cause: error });
  }
  const { files, file } = read;
  const json: Json = parseObject(files.get("tokenizer.json") as string, file);
  const own = ownTokenizer(json, files, file, options);
  return own ?? new HfTokenizer(basename(dirname(file)), files, file, { bosToken, eosToken });
}

async function readRanks(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new TokenizerError(`Cannot read ${path}: ${(error as Error).message}`, { path }, { cause: error });
  }
}

/** A character or byte tokenizer, when the files are those of one. */
function ownTokenizer(
  json: Json,
  files: ReadonlyMap<string, string>,
  file: string,
  options: LoadTokenizerOptions,
): Tokenizer | undefined {
  const characters = CharTokenizer.vocabularyOf(json);
  if (characters === undefined && !ByteTokenizer.matches(json)) return undefined;
  const configText = files.get("tokenizer_config.json");
  const config: Json = configText === undefined ? {} : parseObject(configText, file);
  const names = {
    bosToken: options.bosToken ?? tokenContent(config.bos_token) ?? null,
    eosToken: options.eosToken ?? tokenContent(config.eos_token) ?? null,
  };
  const own = characters === undefined ? new ByteTokenizer(names) : new CharTokenizer(characters, names);
  // Any further added token would get other ids here than in the file: then the file's own rules apply.
  const added = addedTokens(json, file);
  const same = added.every(({ id, content, special }) => special && own.decode([id]) === content);
  return same && own.vocabSize === (characters?.length ?? 256) + added.length ? own : undefined;
}
