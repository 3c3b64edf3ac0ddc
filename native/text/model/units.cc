#include "text/model/units.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "text/model/byte_alphabet.h"
#include "text/unicode/utf8.h"

namespace anneal::text {

size_t unitLength(std::string_view rest, bool bytesAreUnits) {
  if (bytesAreUnits) return 1;
  return std::min<size_t>(characterLength(static_cast<unsigned char>(rest[0])), rest.size());
}

UnitIds::UnitIds(const Vocabulary& vocabulary, std::string prefix, std::string suffix, bool byteLevel)
    : prefix_(std::move(prefix)), suffix_(std::move(suffix)), byteLevel_(byteLevel) {
  places_ = prefix_.empty() && suffix_.empty() ? 1 : 4;
  for (size_t place = 0; place < places_; ++place) {
    const bool first = (place & 1) != 0;
    const bool last = (place & 2) != 0;
    const std::string_view before = first ? std::string_view() : std::string_view(prefix_);
    const std::string_view behind = last ? std::string_view(suffix_) : std::string_view();
    std::vector<Slot> units;
    for (uint32_t id = 0; id < vocabulary.idEnd(); ++id) {
      std::string_view token = vocabulary.token(id);
      if (!vocabulary.has(id) || token.size() <= before.size() + behind.size()) continue;
      if (!token.starts_with(before) || !token.ends_with(behind)) continue;
      token.remove_prefix(before.size());
      token.remove_suffix(behind.size());
      if (unitLength(token, false) != token.size()) continue;
      if (!byteLevel) {
        units.push_back({key(token), id});
        continue;
      }
      const std::optional<std::string> bytes = bytesOfSpelling(token);
      if (bytes) units.push_back({key(*bytes), id});
    }
    add(tables_[place], units);
  }
}

void UnitIds::add(Table& table, const std::vector<Slot>& units) const {
  if (byteLevel_) {
    table.bytes.assign(256, kNoToken);
    for (const Slot& unit : units) table.bytes[unit.key] = unit.id;
    return;
  }
  size_t capacity = 16;
  while (capacity < units.size() * 2) capacity *= 2;
  table.slots.resize(capacity);
  for (const Slot& unit : units) {
    size_t at = unit.key * 0x9e3779b1U & (capacity - 1);
    while (table.slots[at].id != kNoToken) at = (at + 1) & (capacity - 1);
    table.slots[at] = unit;
  }
}

uint32_t UnitIds::key(std::string_view unit) {
  uint32_t value = 0;
  for (const char byte : unit) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

uint32_t UnitIds::findCharacter(const Table& table, uint32_t key) {
  const size_t mask = table.slots.size() - 1;
  for (size_t at = key * 0x9e3779b1U & mask; table.slots[at].id != kNoToken; at = (at + 1) & mask) {
    if (table.slots[at].key == key) return table.slots[at].id;
  }
  return kNoToken;
}

std::string UnitIds::spelled(std::string_view unit, UnitPlace place) const {
  std::string text = place.first ? std::string() : prefix_;
  text += byteLevel_ ? spellBytes(unit) : std::string(unit);
  if (place.last) text += suffix_;
  return text;
}

}  // namespace anneal::text
