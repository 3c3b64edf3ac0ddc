// vocabulary.h — tokens and their ids: strings in one stretch of memory, a flat hash from string to id.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace anneal::text {

// No id: what a search that finds nothing gives.
inline constexpr uint32_t kNoToken = 0xffffffff;

struct VocabEntry {
  std::string token;
  uint32_t id = 0;
};

// Immutable after construction; safe to read from any number of threads.
class Vocabulary {
 public:
  Vocabulary() = default;
  // Throws TextError (ERR_TOKENIZER) where a token or an id comes twice, or an id is far beyond the number of
  // tokens (so that a damaged file cannot ask for gigabytes).
  explicit Vocabulary(const std::vector<VocabEntry>& entries);

  // Number of tokens.
  size_t size() const { return count_; }
  // One more than the largest id; 0 when empty.
  uint32_t idEnd() const { return static_cast<uint32_t>(spans_.size()); }
  // The id of a token, or kNoToken.
  uint32_t find(std::string_view token) const;
  // Whether an id has a token; ids may have gaps.
  bool has(uint32_t id) const { return id < spans_.size() && spans_[id].present; }
  // The token of an id; empty for an id without one.
  std::string_view token(uint32_t id) const {
    if (id >= spans_.size()) return {};
    return {bytes_.data() + spans_[id].begin, spans_[id].length};
  }

 private:
  struct Span {
    uint64_t begin = 0;
    uint32_t length = 0;
    bool present = false;
  };
  struct Slot {
    uint32_t hash = 0;
    uint32_t id = kNoToken;
  };

  std::string bytes_;
  std::vector<Span> spans_;
  std::vector<Slot> slots_;
  size_t mask_ = 0;
  size_t count_ = 0;
};

}  // namespace anneal::text
