// Rank files: base64 and its lines.
#include <charconv>

#include "text/error.h"
#include "text/model/bpe.h"
#include "text/model/shown.h"

namespace anneal::text {
namespace {

int sextet(char digit) {
  if (digit >= 'A' && digit <= 'Z') return digit - 'A';
  if (digit >= 'a' && digit <= 'z') return digit - 'a' + 26;
  if (digit >= '0' && digit <= '9') return digit - '0' + 52;
  if (digit == '+') return 62;
  return digit == '/' ? 63 : -1;
}

// Whether `text` is base64 with its padding; the bytes go to `bytes`.
bool fromBase64(std::string_view text, std::string& bytes) {
  if (text.empty() || text.size() % 4 != 0) return false;
  size_t padding = 0;
  while (padding < 2 && text[text.size() - 1 - padding] == '=') ++padding;
  bytes.clear();
  for (size_t at = 0; at < text.size(); at += 4) {
    const bool last = at + 4 == text.size();
    uint32_t group = 0;
    for (size_t i = 0; i < 4; ++i) {
      const bool pad = last && i >= 4 - padding;
      const int value = pad ? 0 : sextet(text[at + i]);
      if (value < 0) return false;
      group = group << 6 | static_cast<uint32_t>(value);
    }
    const size_t count = last ? 3 - padding : 3;
    for (size_t i = 0; i < count; ++i) bytes.push_back(static_cast<char>(group >> (16 - 8 * i) & 0xff));
  }
  return true;
}

[[noreturn]] void fail(size_t line, std::string_view text) {
  throw TextError("ERR_FORMAT",
                  "Line " + std::to_string(line) +
                      " of the rank file must be a token in base64, a space and its rank; got " +
                      shown(text) + ".",
                  {{"line", static_cast<double>(line)}});
}

}  // namespace

std::vector<VocabEntry> parseRankFile(std::string_view file) {
  std::vector<VocabEntry> ranks;
  size_t number = 0;
  for (size_t at = 0; at < file.size();) {
    size_t end = file.find('\n', at);
    if (end == std::string_view::npos) end = file.size();
    std::string_view line = file.substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const size_t space = line.find(' ');
    if (space == std::string_view::npos) fail(number, line);
    VocabEntry entry;
    if (!fromBase64(line.substr(0, space), entry.token)) fail(number, line);
    const char* last = line.data() + line.size();
    const auto [rest, error] = std::from_chars(line.data() + space + 1, last, entry.id);
    if (error != std::errc() || rest != last) fail(number, line);
    ranks.push_back(std::move(entry));
  }
  return ranks;
}

}  // namespace anneal::text
