// bpe.h — byte-pair encoding of one pre-token, with every option of tokenizer.json, and of rank files.
//
// Sennrich, Haddow and Birch 2016, as Hugging Face tokenizers runs it: of all adjacent pairs the one of
// lowest rank merges first, the leftmost where ranks are equal, until no pair has a rank.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/model/model.h"

namespace anneal::text {

// The fields of a tokenizer.json's model of type BPE, under their names there.
struct BpeSettings {
  std::vector<VocabEntry> vocab;
  // Best first; where a pair comes twice the later rank counts.
  std::vector<std::pair<std::string, std::string>> merges;
  // Pieces are raw bytes and tokens are spelled in the byte alphabet: the mapping that a ByteLevel
  // pre-tokenizer or normalizer would make is taken into the model.
  bool byteLevel = false;
  std::optional<std::string> unkToken;
  std::optional<std::string> continuingSubwordPrefix;
  std::optional<std::string> endOfWordSuffix;
  bool fuseUnk = false;
  bool byteFallback = false;
  bool ignoreMerges = false;
  // Probability in [0, 1] with which a possible merge is passed over each time; 0 for none.
  double dropout = 0;
  // Key of dropout's random numbers.
  uint64_t seed = 0;
};

// Throws TextError (ERR_TOKENIZER) where a merge names a token that is not in the vocabulary, or its result
// is not, and ERR_CONFIG for a dropout outside [0, 1].
std::unique_ptr<Model> makeBpe(BpeSettings settings);

// A rank file's model (tiktoken): tokens are raw bytes, `id` is the rank; a pair's rank is that of its
// joined bytes. A piece that is itself a token is that token. All 256 single bytes must have a rank;
// vocabulary() spells the tokens in the byte alphabet. Throws TextError (ERR_TOKENIZER).
std::unique_ptr<Model> makeRankBpe(const std::vector<VocabEntry>& ranks);

// Reads a rank file: a line per token, base64 of its bytes, a space, its rank. Throws TextError (ERR_FORMAT)
// with the line's number.
std::vector<VocabEntry> parseRankFile(std::string_view file);

}  // namespace anneal::text
