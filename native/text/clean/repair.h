// repair.h — steps that make texts uniform before the rules see them; each by itself, all off unless chosen.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace anneal::text::clean {

// In the order in which they are done.
enum Repair : uint32_t {
  kRepairMojibake = 1 << 0,     // UTF-8 that was read as Windows-1252 and written again: "â€™" → "’"
  kRepairLineEnds = 1 << 1,     // CR LF and CR → LF
  kRepairControls = 1 << 2,     // control characters but tab and newline (and CR, where it is kept) go
  kRepairInvisible = 1 << 3,    // zero-width spaces, byte-order marks, soft hyphens, directional marks go
  kRepairSpaces = 1 << 4,       // no-break and typographic spaces → space
  kRepairComposition = 1 << 5,  // Unicode normalisation form C
  kRepairBlankLines = 1 << 6,   // white space at ends of lines goes; of three or more newlines two are left
};

// The text after the chosen steps, in `out`; false where nothing changed, and then `out` is not touched.
// Joiners (U+200C, U+200D) and variation selectors stay: scripts and emoji need them.
bool repair(std::string_view text, uint32_t steps, std::string& out);

}  // namespace anneal::text::clean
