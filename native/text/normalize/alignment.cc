#include "text/normalize/alignment.h"

#include "text/unicode/utf8.h"

namespace anneal::text {

Alignment identityAlignment(std::string_view text) {
  Alignment ranges;
  ranges.reserve(text.size());
  for (uint32_t at = 0; at < text.size();) {
    const uint32_t end = at + characterLength(static_cast<unsigned char>(text[at]));
    ranges.insert(ranges.end(), end - at, {at, end});
    at = end;
  }
  return ranges;
}

}  // namespace anneal::text
