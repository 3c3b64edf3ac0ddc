// unigram.h — unigram language models (Kudo 2018, SentencePiece): of all ways to write a piece as tokens the
// most probable one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "text/model/model.h"

namespace anneal::text {

// In Scratch::lengths: the id stands for the same bytes as the one before it, together with it. That is how
// the byte tokens of one unknown character come.
inline constexpr uint32_t kSameBytes = 0xffffffff;

// The fields of a tokenizer.json's model of type Unigram.
struct UnigramSettings {
  std::vector<std::string> tokens;  // the id is the index
  std::vector<double> scores;       // logarithms of probabilities
  std::optional<uint32_t> unkId;
  bool byteFallback = false;
};

// Throws TextError (ERR_TOKENIZER) where a token comes twice or is empty, or the unknown token is not there.
std::unique_ptr<Model> makeUnigram(UnigramSettings settings);

}  // namespace anneal::text
