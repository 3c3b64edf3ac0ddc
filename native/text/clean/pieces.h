// pieces.h — lines and paragraphs of a text, and which of them came before.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/clean/characters.h"

namespace anneal::text::clean {

// A stretch of a text, in bytes.
struct Span {
  uint32_t begin = 0;
  uint32_t end = 0;
};

// Without Python's white space at either end.
std::string_view strip(std::string_view text);
std::string_view stripLeft(std::string_view text);
std::string_view stripRight(std::string_view text);

// Appends lines as Python's str.splitlines cuts them, without their ends.
void splitLines(std::string_view text, std::vector<std::string_view>& lines);
// Appends what lies between runs of at least `least` newlines, empty pieces included.
void splitNewlines(std::string_view text, size_t least, std::vector<std::string_view>& pieces);

// 64 bits of a string.
uint64_t hashBytes(const char* bytes, size_t count);

struct Duplicates {
  uint64_t count = 0;       // pieces that came before
  uint64_t characters = 0;  // code points in them
  std::string_view first;   // the first of them
};

// Finds pieces that are equal to an earlier one. Keeps its memory for the next text.
class DuplicateFinder {
 public:
  Duplicates find(const std::vector<std::string_view>& pieces);

 private:
  struct Slot {
    uint64_t hash;
    uint32_t piece;  // from 1; 0: free
  };
  std::vector<Slot> slots_;
};

}  // namespace anneal::text::clean
