/** The encoder library behind `HfTokenizer`, with the corrections that make it agree with the reference. */
import * as library from "@huggingface/tokenizers";
import { TokenizerError } from "../errors.js";
import { type Json, tokenContent } from "./hf-json.js";

/** The part of the library's tokenizer that is used here. */
export interface Encoder {
  encode(
    text: string,
    options: { add_special_tokens: boolean },
  ): { ids: (number | undefined)[]; tokens: string[] };
  decode(ids: number[], options: { skip_special_tokens: boolean }): string;
  id_to_token(id: number): string | undefined;
  token_to_id(token: string): number | undefined;
  get_vocab(): Map<string, number>;
  decoder: DecoderPart | null;
}

/** A decoder of the library; byte fallback has a text decoder, sequences have parts. */
interface DecoderPart {
  text_decoder?: { decode(bytes: Uint8Array): string };
  decoders?: DecoderPart[];
}

/**
 * Builds an encoder.
 * @param json a tokenizer.json that went through `prepareJson`
 * @param config the tokenizer_config.json beside it
 * @throws TokenizerError when the library does not know one of its parts.
 */
export function createEncoder(json: Json, config: Json, path: string): Encoder {
  // Fields of the configuration that steer the library are set to what the file itself says.
  const settings = {
    ...config,
    clean_up_tokenization_spaces: config.clean_up_tokenization_spaces ?? false,
    unk_token: json.model.unk_token ?? tokenContent(config.unk_token),
  };
  let encoder: Encoder;
  try {
    encoder = new library.Tokenizer(json, settings) as unknown as Encoder;
  } catch (error) {
    throw new TokenizerError(
      `${path} cannot be used: ${(error as Error).message}. Use a tokenizer whose parts are supported, or the byte tokenizer.`,
      { path },
      { cause: error },
    );
  }
  useReferenceFallback(encoder.decoder);
  return encoder;
}

/**
 * Ids of a text in one go.
 * @param name the tokenizer's name, for messages
 * @throws TokenizerError when a token has no id, or the text is too long for the library.
 */
export function encodeIds(
  encoder: Encoder,
  text: string,
  addSpecialTokens: boolean,
  name: string,
): Int32Array {
  let encoding: ReturnType<Encoder["encode"]>;
  try {
    encoding = encoder.encode(text, { add_special_tokens: addSpecialTokens });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new TokenizerError(
      `${name}: ${text.length} characters are too many to encode at once, and there is no place to cut them safely. ` +
        "Break the text into shorter documents.",
      { length: text.length },
      { cause: error },
    );
  }
  const { ids, tokens } = encoding;
  const missing = ids.indexOf(undefined);
  if (missing !== -1) {
    throw new TokenizerError(
      `${name}: the vocabulary has no ${JSON.stringify(tokens[missing])} and no unknown token to stand for it. ` +
        "Use a tokenizer that covers the text, for example a byte-level one.",
      { token: tokens[missing] },
    );
  }
  return Int32Array.from(ids as number[]);
}

/**
 * Makes byte fallback decode as the reference does: a byte order mark stays, and bytes that are not UTF-8 become one
 * U+FFFD each.
 */
function useReferenceFallback(part: DecoderPart | null): void {
  for (const inner of part?.decoders ?? []) useReferenceFallback(inner);
  if (part?.text_decoder === undefined) return;
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  part.text_decoder = {
    decode(bytes) {
      try {
        return strict.decode(bytes);
      } catch {
        return "\uFFFD".repeat(bytes.length);
      }
    },
  };
}
