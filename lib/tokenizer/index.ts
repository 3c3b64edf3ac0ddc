/**
 * Room tokenizer: turns text into token ids and back, and saves and loads tokenizers in Hugging Face's folder format.
 * Three kinds: characters, UTF-8 bytes, and any `tokenizer.json`. The work is done by the native text room;
 * nothing here knows of tensors, devices or models.
 */

export { ByteTokenizer, type ByteTokenizerOptions } from "./byte.js";
export { byteAlphabet } from "./byte-alphabet.js";
export { CharTokenizer, type CharTokenizerOptions } from "./char.js";
export { HfTokenizer, type HfTokenizerOptions } from "./hf.js";
export { type LoadTokenizerOptions, loadTokenizer } from "./load.js";
export {
  type NormalizedText,
  normalizeText,
  type PreTokenizeOptions,
  preTokenize,
  type TextPiece,
  type TokenizerPart,
} from "./pretokenize.js";
export type { RankFileOptions } from "./tiktoken.js";
export type {
  DecodeBatchOptions,
  DecodeOptions,
  EncodeBatchOptions,
  EncodedBatch,
  EncodeOptions,
  EncodeProgress,
  EncodeWithOffsetsOptions,
  Encoding,
  StreamDecoder,
  Tokenizer,
  TokenizerKind,
} from "./tokenizer.js";
export {
  type TokenizerTrainingProgress,
  TRAINING_PATTERNS,
  type TrainedTokenizer,
  type TrainingPattern,
  type TrainTokenizerOptions,
  trainTokenizer,
} from "./train.js";
