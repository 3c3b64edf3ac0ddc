// phrases.h — places of a few fixed phrases in a text, whatever the case of their letters A to Z.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace anneal::text::clean {

struct PhraseHit {
  uint32_t at;      // byte of its beginning
  uint32_t phrase;  // number in the list
};

class PhraseFinder {
 public:
  // Phrases in small letters; empty ones are never found.
  explicit PhraseFinder(std::vector<std::string> phrases);

  // Appends all places; in no particular order.
  void find(std::string_view text, std::vector<PhraseHit>& hits) const;
  size_t length(uint32_t phrase) const { return phrases_[phrase].size(); }

 private:
  struct Trigger {
    uint32_t phrase;
    uint32_t offset;
  };
  void look(std::string_view text, size_t at, std::vector<PhraseHit>& hits) const;

  std::vector<std::string> phrases_;
  std::array<std::vector<Trigger>, 256> triggers_;  // by the first of a phrase's rarest two bytes
  // One bit per phrase, modulo 8: whether a byte is the first or the second of its two.
  std::array<uint8_t, 256> firsts_{};
  std::array<uint8_t, 256> seconds_{};
};

}  // namespace anneal::text::clean
