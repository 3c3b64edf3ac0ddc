// characters.cc — the table of character classes, unfolded once from its steps.
#include "text/clean/characters.h"

#include <algorithm>
#include <map>

#include "text/clean/character_tables.h"

namespace anneal::text::clean {

const CharacterTable& CharacterTable::instance() {
  static const CharacterTable table;
  return table;
}

CharacterTable::CharacterTable() {
  const size_t steps = std::size(kCharacterSteps);
  std::map<std::array<uint16_t, 128>, uint16_t> known;
  size_t step = 0;
  for (uint32_t block = 0; block < index_.size(); ++block) {
    std::array<uint16_t, 128> classes{};
    for (uint32_t at = 0; at < 128; ++at) {
      const uint32_t code = block * 128 + at;
      while (step + 1 < steps && kCharacterSteps[step + 1].first <= code) ++step;
      classes[at] = kCharacterSteps[step].classes;
    }
    const auto [found, fresh] = known.try_emplace(classes, static_cast<uint16_t>(known.size()));
    if (fresh) blocks_.insert(blocks_.end(), classes.begin(), classes.end());
    index_[block] = found->second;
  }
  std::copy_n(blocks_.begin() + index_[0] * 128, 128, ascii_.begin());
}

}  // namespace anneal::text::clean
