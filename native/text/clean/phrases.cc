// phrases.cc — phrases are looked for where their two rarest neighbouring bytes may stand.
#include "text/clean/phrases.h"

namespace anneal::text::clean {
namespace {

// Bytes from frequent to rare in running text; all others are rarer.
constexpr std::string_view kFrequent = " etaoinshrdlucmfwgypb,.vk-";

size_t rarity(char byte) {
  const size_t at = kFrequent.find(byte);
  return at == std::string_view::npos ? kFrequent.size() : at;
}

char small(char byte) { return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte | 0x20) : byte; }

}  // namespace

PhraseFinder::PhraseFinder(std::vector<std::string> phrases) : phrases_(std::move(phrases)) {
  const auto mark = [](std::array<uint8_t, 256>& table, char byte, size_t phrase) {
    const auto bit = static_cast<uint8_t>(1U << phrase % 8);
    table[static_cast<unsigned char>(byte)] |= bit;
    if (byte >= 'a' && byte <= 'z') table[static_cast<unsigned char>(byte & ~0x20)] |= bit;
  };
  for (size_t phrase = 0; phrase < phrases_.size(); ++phrase) {
    const std::string& text = phrases_[phrase];
    if (text.empty()) continue;
    size_t best = 0;
    size_t most = 0;
    for (size_t at = 0; at < text.size(); ++at) {
      const size_t score = rarity(text[at]) + (at + 1 < text.size() ? rarity(text[at + 1]) : 0);
      if (score > most) {
        most = score;
        best = at;
      }
    }
    const char byte = text[best];
    const Trigger trigger{static_cast<uint32_t>(phrase), static_cast<uint32_t>(best)};
    triggers_[static_cast<unsigned char>(byte)].push_back(trigger);
    if (byte >= 'a' && byte <= 'z') triggers_[static_cast<unsigned char>(byte & ~0x20)].push_back(trigger);
    mark(firsts_, byte, phrase);
    if (best + 1 < text.size()) {
      mark(seconds_, text[best + 1], phrase);
    } else {
      for (uint8_t& bits : seconds_) bits |= static_cast<uint8_t>(1U << phrase % 8);
    }
  }
}

// Looks for the phrases whose two bytes may stand at `at`.
void PhraseFinder::look(std::string_view text, size_t at, std::vector<PhraseHit>& hits) const {
  for (const Trigger& trigger : triggers_[static_cast<unsigned char>(text[at])]) {
    const std::string& phrase = phrases_[trigger.phrase];
    if (at < trigger.offset || text.size() - (at - trigger.offset) < phrase.size()) continue;
    const size_t begin = at - trigger.offset;
    bool same = true;
    for (size_t i = 0; same && i < phrase.size(); ++i) same = small(text[begin + i]) == phrase[i];
    if (same) hits.push_back({static_cast<uint32_t>(begin), trigger.phrase});
  }
}

void PhraseFinder::find(std::string_view text, std::vector<PhraseHit>& hits) const {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  const size_t size = text.size();
  const auto may = [&](size_t at) { return firsts_[bytes[at]] & seconds_[bytes[at + 1]]; };
  size_t at = 0;
  for (; at + 9 <= size; at += 8) {
    int any = 0;
    for (size_t i = 0; i < 8; ++i) any |= may(at + i);
    if (any == 0) continue;
    for (size_t i = 0; i < 8; ++i) {
      if (may(at + i) != 0) look(text, at + i, hits);
    }
  }
  for (; at < size; ++at) {
    if (firsts_[bytes[at]] != 0) look(text, at, hits);
  }
}

}  // namespace anneal::text::clean
