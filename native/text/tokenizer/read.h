// read.h — from the parts of a tokenizer.json to normalizers, pre-tokenizers and models.
#pragma once

#include <memory>
#include <string>

#include "text/error.h"
#include "text/model/model.h"
#include "text/normalize/normalizer.h"
#include "text/pretokenize/pretokenizer.h"
#include "text/tokenizer/field.h"

namespace anneal::text {

NormalizerPointer readNormalizer(const Field& part);

// `mapBytes`: whether a ByteLevel part spells bytes in the byte alphabet; false where the model takes raw
// bytes.
PreTokenizerPointer readPreTokenizer(const Field& part, bool mapBytes);

// Whether the last thing done to pieces is a ByteLevel pre-tokenizer's spelling, and nothing looks at it
// before the model: then a byte-level BPE may take raw bytes. `part` may be null.
bool endsInByteLevel(const Field& part);

// `byteLevel`: whether pieces come as raw bytes.
std::unique_ptr<Model> readModel(const Field& part, bool byteLevel);
// "BPE", "WordPiece", "WordLevel" or "Unigram"; files of old versions do not say it, their fields do.
std::string modelType(const Field& part);

// Members that several parts have in common.
struct MetaspaceFields {
  char32_t replacement;
  PrependScheme scheme;
  bool split;
};
MetaspaceFields readMetaspace(const Field& part);
NormalizerPointer readReplace(const Field& part);

// {"String": "…"} or {"Regex": "…"}.
struct Pattern {
  std::string text;
  bool isRegex;
};
Pattern readPattern(const Field& pattern);

// Calls `make` and says the part's place in the message of a TextError that it throws.
template <typename Make>
auto inPart(const Field& part, const Make& make) {
  try {
    return make();
  } catch (const TextError& error) {
    throw TextError("ERR_TOKENIZER", part.file() + ": " + part.place() + ": " + error.what(), error.details);
  }
}

}  // namespace anneal::text
