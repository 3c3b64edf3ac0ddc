// keys.h — finding keys that come twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/model/hash.h"

namespace anneal::text::json {

// Keeps its memory from one object to the next.
class KeyTable {
 public:
  // The first member whose key an earlier one has; `members` where there is none. key(member) is a
  // string_view.
  template <typename Key>
  size_t firstRepeated(size_t members, const Key& key) {
    if (members < kTableFrom) {
      for (size_t i = 1; i < members; ++i) {
        for (size_t j = 0; j < i; ++j) {
          if (key(i) == key(j)) return i;
        }
      }
      return members;
    }
    size_t room = 32;
    while (room < 2 * members) room *= 2;
    slots_.assign(room, 0);
    for (size_t i = 0; i < members; ++i) {
      const std::string_view wanted = key(i);
      size_t slot = hashBytes(wanted.data(), wanted.size()) & (room - 1);
      for (; slots_[slot] != 0; slot = (slot + 1) & (room - 1)) {
        if (key(slots_[slot] - 1) == wanted) return i;
      }
      slots_[slot] = static_cast<uint32_t>(i + 1);
    }
    return members;
  }

 private:
  // Below this, pair by pair is faster.
  static constexpr size_t kTableFrom = 12;

  // Member + 1, or 0.
  std::vector<uint32_t> slots_;
};

}  // namespace anneal::text::json
