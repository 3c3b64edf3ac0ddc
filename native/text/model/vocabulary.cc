#include "text/model/vocabulary.h"

#include <algorithm>

#include "text/error.h"
#include "text/model/hash.h"
#include "text/model/shown.h"

namespace anneal::text {
namespace {

// Ids may have gaps (padded vocabularies), but a table by id must stay in proportion to the file.
constexpr size_t kSparse = 16;
constexpr size_t kAlwaysAllowed = size_t{1} << 20;

uint64_t hashOf(std::string_view token) { return hashBytes(token.data(), token.size()); }

}  // namespace

Vocabulary::Vocabulary(const std::vector<VocabEntry>& entries) : count_(entries.size()) {
  const size_t limit = std::max(kAlwaysAllowed, kSparse * entries.size());
  size_t bytes = 0;
  uint32_t last = 0;
  for (const VocabEntry& entry : entries) {
    if (entry.id >= limit) {
      throw TextError("ERR_TOKENIZER",
                      "The token " + shown(entry.token) + " has the id " + std::to_string(entry.id) +
                          ", but the vocabulary has only " + std::to_string(entries.size()) +
                          " tokens; expected ids below " + std::to_string(limit) + ".",
                      {{"token", entry.token}, {"id", static_cast<double>(entry.id)}});
    }
    bytes += entry.token.size();
    last = std::max(last, entry.id);
  }
  bytes_.reserve(bytes);
  if (entries.empty()) return;
  spans_.resize(size_t{last} + 1);
  size_t capacity = 16;
  while (capacity < entries.size() * 2) capacity *= 2;
  slots_.resize(capacity);
  mask_ = capacity - 1;
  for (const VocabEntry& entry : entries) {
    Span& span = spans_[entry.id];
    if (span.present) {
      throw TextError("ERR_TOKENIZER",
                      "The id " + std::to_string(entry.id) + " belongs to two tokens, " +
                          shown(token(entry.id)) + " and " + shown(entry.token) +
                          "; every token needs an id of its own.",
                      {{"id", static_cast<double>(entry.id)}, {"token", entry.token}});
    }
    span = {bytes_.size(), static_cast<uint32_t>(entry.token.size()), true};
    bytes_ += entry.token;
    const uint64_t hash = hashOf(entry.token);
    const auto tag = static_cast<uint32_t>(hash >> 32);
    size_t at = hash & mask_;
    while (slots_[at].id != kNoToken) {
      if (slots_[at].hash == tag && token(slots_[at].id) == entry.token) {
        throw TextError("ERR_TOKENIZER",
                        "The token " + shown(entry.token) + " is in the vocabulary twice, with the ids " +
                            std::to_string(slots_[at].id) + " and " + std::to_string(entry.id) + ".",
                        {{"token", entry.token}, {"id", static_cast<double>(entry.id)}});
      }
      at = (at + 1) & mask_;
    }
    slots_[at] = {tag, entry.id};
  }
}

uint32_t Vocabulary::find(std::string_view wanted) const {
  if (slots_.empty()) return kNoToken;
  const uint64_t hash = hashOf(wanted);
  const auto tag = static_cast<uint32_t>(hash >> 32);
  for (size_t at = hash & mask_; slots_[at].id != kNoToken; at = (at + 1) & mask_) {
    if (slots_[at].hash == tag && token(slots_[at].id) == wanted) return slots_[at].id;
  }
  return kNoToken;
}

}  // namespace anneal::text
