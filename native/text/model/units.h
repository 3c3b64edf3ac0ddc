// units.h — the symbols that byte-pair encoding begins with: one for each unit of a piece, which is a byte in
// byte-level models and a character otherwise.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/model/vocabulary.h"

namespace anneal::text {

// Where a unit stands in its piece: a prefix goes before all units but the first, a suffix behind the last.
struct UnitPlace {
  bool first = false;
  bool last = false;
};

// Bytes of the unit at the front of `rest` (1 where bytes are units); never more than there are.
size_t unitLength(std::string_view rest, bool bytesAreUnits);

// Ids of the units of a vocabulary, for each place that a unit can have.
class UnitIds {
 public:
  UnitIds() = default;
  // `prefix` and `suffix` may be empty. `byteLevel`: units are bytes, spelled in the byte alphabet in the
  // vocabulary.
  UnitIds(const Vocabulary& vocabulary, std::string prefix, std::string suffix, bool byteLevel);

  // The id of a unit, or kNoToken.
  uint32_t find(std::string_view unit, UnitPlace place) const {
    const Table& table = tables_[places_ == 1 ? 0 : index(place)];
    if (byteLevel_) return table.bytes[static_cast<unsigned char>(unit[0])];
    return findCharacter(table, key(unit));
  }
  // Ids by byte, where there is neither prefix nor suffix.
  const uint32_t* bytes() const { return tables_[0].bytes.data(); }

  // How the vocabulary writes a unit at a place.
  std::string spelled(std::string_view unit, UnitPlace place) const;

 private:
  struct Slot {
    uint32_t key = 0;
    uint32_t id = kNoToken;
  };
  struct Table {
    // By byte, in byte-level models.
    std::vector<uint32_t> bytes;
    // By character, otherwise.
    std::vector<Slot> slots;
  };

  static size_t index(UnitPlace place) { return (place.first ? 1 : 0) + (place.last ? 2 : 0); }
  // The bytes of a character as a number; different characters have different ones.
  static uint32_t key(std::string_view unit);
  static uint32_t findCharacter(const Table& table, uint32_t key);
  void add(Table& table, const std::vector<Slot>& units) const;

  std::array<Table, 4> tables_;
  // 1 where all places are alike, else 4.
  size_t places_ = 1;
  std::string prefix_;
  std::string suffix_;
  bool byteLevel_ = false;
};

}  // namespace anneal::text
