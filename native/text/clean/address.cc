// address.cc — whether a chunk is an address (URL, mail address, host with path), which is then one word.
#include "text/clean/words.h"
#include "text/unicode/properties.h"
#include "text/unicode/utf8.h"

namespace anneal::text::clean {
namespace {

bool isDigit(char byte) { return byte >= '0' && byte <= '9'; }
bool isLetter(char byte) { return static_cast<unsigned char>((byte | 0x20) - 'a') < 26; }

// Letters of host names: ASCII letters and digits, and U+00A1 to U+FFFF.
bool isHostCharacter(char32_t code) {
  if (code < 0x80) return isLetter(static_cast<char>(code)) || isDigit(static_cast<char>(code));
  return code >= 0xA1 && code <= 0xFFFF;
}

// Port and path: (:digits{2,5})? ([/?#] anything)? end.
bool isTail(std::string_view text) {
  size_t at = 0;
  if (at < text.size() && text[at] == ':') {
    size_t digits = at + 1;
    while (digits < text.size() && isDigit(text[digits])) ++digits;
    const size_t count = digits - at - 1;
    if (count < 2 || count > 5) return false;
    at = digits;
  }
  return at == text.size() || text[at] == '/' || text[at] == '?' || text[at] == '#';
}

// One or more labels of 1 to 64 characters with a full stop behind each, then 2 to 63 small letters, then the
// tail.
bool isNamedHost(std::string_view text) {
  const CharacterTable& table = CharacterTable::instance();
  const char* at = text.data();
  const char* const end = at + text.size();
  bool labels = false;
  for (;;) {
    const char* const begin = at;
    size_t length = 0;
    size_t small = 0;
    bool label = true;
    bool startsWell = false;
    bool endsWell = false;
    while (at < end) {
      const char* next = at;
      const char32_t code = decode(next);
      const bool host = isHostCharacter(code);
      const bool smallLetter = (table(code) & kLower) != 0;
      if (!host && !smallLetter && code != '_' && code != '-') break;
      label &= host || code == '_' || code == '-';
      if (at == begin) startsWell = host;
      endsWell = host;
      ++length;
      if (smallLetter) ++small;
      at = next;
    }
    if (at < end && *at == '.') {
      if (!label || !startsWell || !endsWell || length > 64) return false;
      labels = true;
      ++at;
      continue;
    }
    return labels && small == length && length >= 2 && length <= 63 &&
           isTail({at, static_cast<size_t>(end - at)});
  }
}

// Four numbers of an address that hosts on the public net may have, then the tail.
bool isNumberedHost(std::string_view text) {
  unsigned parts[4];
  size_t at = 0;
  for (int part = 0; part < 4; ++part) {
    if (part > 0 && (at >= text.size() || text[at++] != '.')) return false;
    const size_t begin = at;
    unsigned value = 0;
    while (at < text.size() && at - begin < 4 && isDigit(text[at]))
      value = value * 10 + static_cast<unsigned>(text[at++] - '0');
    const size_t digits = at - begin;
    if (digits == 0 || digits > 3 || value > 255) return false;
    // The first and last numbers have no leading zero.
    if ((part == 0 || part == 3) && text[begin] == '0') return false;
    parts[part] = value;
  }
  if (parts[0] > 223 || parts[3] > 254 || parts[0] == 10 || parts[0] == 127) return false;
  if (parts[0] == 169 && parts[1] == 254) return false;
  if (parts[0] == 192 && parts[1] == 168) return false;
  if (parts[0] == 172 && parts[1] >= 16 && parts[1] <= 31) return false;
  return isTail(text.substr(at));
}

bool isHost(std::string_view text) { return isNumberedHost(text) || isNamedHost(text); }

// What may stand before the host: user and an at sign, up to any at sign but one at the very beginning.
bool isAuthority(std::string_view text) {
  if (isHost(text)) return true;
  for (size_t at = text.rfind('@'); at != std::string_view::npos && at > 0; at = text.rfind('@', at - 1)) {
    if (isHost(text.substr(at + 1))) return true;
  }
  return false;
}

}  // namespace

bool isAddress(std::string_view text) {
  const size_t scheme = text.find("://");
  if (scheme != std::string_view::npos && scheme >= 2) {
    bool valid = true;
    for (const char* at = text.data(); valid && at < text.data() + scheme;) {
      const char32_t code = decode(at);
      valid = code == '_' || code == '+' || code == '-' || code == '.' ||
              inCategories(code, kLetterMask | kNumberMask);
    }
    if (valid && isAuthority(text.substr(scheme + 3))) return true;
  }
  return isAuthority(text);
}

}  // namespace anneal::text::clean
