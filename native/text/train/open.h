// open.h — word counts whose words are cut as a tokenizer.json says.
#pragma once

#include <memory>
#include <string_view>

#include "text/train/word_counts.h"

namespace anneal::text {

struct OpenCounts {
  std::unique_ptr<WordCounts> counts;
  // Whether words are the raw bytes that a byte-level vocabulary spells.
  bool byteLevel = false;
};

// `parts`: JSON with the "normalizer" and the "pre_tokenizer" of a tokenizer.json; either may be null. `bpe`:
// whether the words are for byte-pair encoding, which works on raw bytes where the pre-tokenizer ends in
// ByteLevel. Throws TextError (ERR_TOKENIZER) naming the part that is wrong.
OpenCounts openCounts(std::string_view parts, bool bpe);

}  // namespace anneal::text
