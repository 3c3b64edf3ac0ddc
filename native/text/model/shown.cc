#include "text/model/shown.h"

#include <cstdio>

#include "text/unicode/utf8.h"

namespace anneal::text {

std::string shown(std::string_view text) {
  constexpr size_t kLongest = 80;
  std::string_view kept = text;
  if (text.size() > kLongest) {
    size_t end = kLongest;
    while (end > 0 && isContinuation(text[end])) --end;
    kept = text.substr(0, end);
  }
  std::string result = "\"";
  for (const char c : kept) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned char>(c));
      result += escape;
    } else {
      result += c;
    }
  }
  result += kept.size() < text.size() ? "…\"" : "\"";
  return result;
}

}  // namespace anneal::text
