// pair_training.h — training of byte-pair encoding: from counted words to a vocabulary and merges, with the
// ids and the order of merges of Hugging Face tokenizers 0.23 (BpeTrainer; WordPieceTrainer is the same with
// "##").
//
// Ids: special tokens, then the alphabet by code point, then symbols with a prefix or suffix (here in order
// of their bytes; there in an order that changes from run to run), then what is merged. The pair that occurs
// most merges first, the one of smaller ids where counts are equal. Counts have 64 bits (there 32, which
// overflow).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/train/word_counts.h"

namespace anneal::text {

struct PairTrainingSettings {
  // Training stops at this many tokens. Special tokens and alphabet stay whole, even where they are more.
  size_t vocabSize = 30000;
  // Pairs seen fewer times do not merge.
  uint64_t minFrequency = 0;
  // They get the first ids, in this order; one that comes twice counts once.
  std::vector<std::string> specialTokens;
  // Most characters in the alphabet; the rarest are left out (of equally rare ones those of higher code
  // points).
  std::optional<size_t> limitAlphabet;
  // Characters that are in the alphabet whether seen or not, each in UTF-8; of longer strings the first one.
  // Byte-level: characters of the byte alphabet.
  std::vector<std::string> initialAlphabet;
  // Put before every symbol but a word's first, and behind its last.
  std::optional<std::string> continuingSubwordPrefix;
  std::optional<std::string> endOfWordSuffix;
  // Pairs whose token would have this many characters or more are not counted; as there, pairs of single
  // characters always are.
  std::optional<size_t> maxTokenLength;
  // Words are raw bytes, spelled in the byte alphabet in the vocabulary.
  bool byteLevel = false;
};

struct TrainedPairs {
  // By id.
  std::vector<std::string> tokens;
  // Best first; a pair that merged more than once is at its last place only, as there.
  std::vector<std::pair<uint32_t, uint32_t>> merges;
};

// The same for any number of threads and any order of counting. `counts` must be settled; they are left as
// they are. `tick` gets tokens made and vocabSize, and may throw to end the work.
TrainedPairs trainPairs(const WordCounts& counts, const PairTrainingSettings& settings, unsigned threads,
                        const Tick& tick);

}  // namespace anneal::text
