/**
 * Room tokenizer: turns text into token ids and back, and saves and loads tokenizers in Hugging Face's folder format.
 * Three kinds: characters, UTF-8 bytes, and any `tokenizer.json`. Everything here is plain host code on strings and
 * integer arrays; it knows nothing of tensors, devices or models. Training of new vocabularies will live beside it.
 */

export { ByteTokenizer, type ByteTokenizerOptions } from "./byte.js";
export { byteAlphabet } from "./byte-alphabet.js";
export { CharTokenizer, type CharTokenizerOptions } from "./char.js";
export { HfTokenizer, type HfTokenizerOptions } from "./hf.js";
export { type LoadTokenizerOptions, loadTokenizer } from "./load.js";
export type {
  DecodeOptions,
  EncodedPiece,
  EncodeOptions,
  EncodeProgress,
  StreamDecoder,
  Tokenizer,
  TokenizerKind,
} from "./tokenizer.js";
