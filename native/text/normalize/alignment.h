// alignment.h — the room of normalizers: what is done to text before it is cut. This file keeps track of
// where text came from: for every byte of the text the bytes of the original that it stands for.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace anneal::text {

// Bytes [begin, end).
struct ByteRange {
  uint32_t begin = 0;
  uint32_t end = 0;
  bool operator==(const ByteRange&) const = default;
};

// One range of the original for every byte of the text, as HF tokenizers' NormalizedString has it: all bytes
// of a character share their range; a character that replaces another has that one's range; inserted
// characters have their left neighbour's (the very first: {0, 0}), prepended ones the first character's; what
// was removed appears nowhere. The original of text [a, b) is {alignment[a].begin, alignment[b - 1].end}.
using Alignment = std::vector<ByteRange>;

// Text that is its own original: every byte has the range of its character.
Alignment identityAlignment(std::string_view text);

}  // namespace anneal::text
