// exceptions.h — strings that the word splitter knows: contractions, abbreviations, smileys.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace anneal::text::clean {

// Up to four words in a string without white space; `cuts` are the bytes at which the second and later ones
// begin.
struct WordException {
  std::string text;
  std::vector<uint8_t> cuts;
  bool english = false;
  // Where the string would be cut if it were no exception.
  std::vector<uint8_t> plain;
};

class WordExceptions {
 public:
  static const WordExceptions& instance();

  // The exception that `text` is, or null.
  const WordException* find(std::string_view text) const {
    return !text.empty() && maybe(text) ? lookUp(text) : nullptr;
  }
  // False for most strings that are none; not for the empty one.
  bool maybe(std::string_view text) const {
    return text.size() <= longest_ && (bloom_[bloomBit(text) >> 6] >> (bloomBit(text) & 63) & 1) != 0;
  }
  size_t longest() const { return longest_; }

 private:
  WordExceptions();
  const WordException* lookUp(std::string_view text) const;
  static uint32_t bloomBit(std::string_view text) {
    const auto byte = [&](size_t at) { return static_cast<uint32_t>(static_cast<unsigned char>(text[at])); };
    const uint32_t key = byte(0) | byte(text.size() / 2) << 8 | byte(text.size() - 1) << 16;
    return ((key ^ static_cast<uint32_t>(text.size()) << 27) * 0x9E3779B1U) >> 18;
  }

  std::vector<WordException> entries_;
  std::vector<uint16_t> slots_;
  uint64_t bloom_[(1U << 14) / 64] = {};
  size_t longest_ = 0;
};

}  // namespace anneal::text::clean
