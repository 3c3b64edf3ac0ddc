// count.h — the room of counting: what people ask first of a corpus. One pass over the bytes of each text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "text/batch.h"

namespace anneal::text {

// Counts of one text.
struct TextCounts {
  double characters;   // code points
  double lines;        // line ends, and a last line without one
  double words;        // stretches without ASCII white space
  double ascii;        // bytes below 128
  double letters;      // ASCII letters and all characters beyond ASCII
  double digits;       // ASCII digits
  double longestLine;  // bytes
};

constexpr size_t kTextCounts = sizeof(TextCounts) / sizeof(double);

TextCounts countText(std::string_view text);

// Counts of every text of a batch, on up to `threads` threads.
void countBatch(const TextBatch& batch, unsigned threads, TextCounts* out);

}  // namespace anneal::text
