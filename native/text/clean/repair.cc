// repair.cc — uniform characters, spaces and line ends.
#include "text/clean/repair.h"

#include <algorithm>
#include <array>

#include "text/clean/characters.h"
#include "text/normalize/normalizer.h"

namespace anneal::text::clean {
namespace {

// What Windows-1252 makes of the bytes 80 to 9F; its five unused bytes stand for themselves.
constexpr std::array<uint16_t, 32> kWindows = {
    0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};

// The byte that a character was read from, or -1.
int windowsByte(char32_t code) {
  if (code < 0x80 || (code >= 0xA0 && code <= 0xFF)) return static_cast<int>(code);
  const auto found = std::find(kWindows.begin(), kWindows.end(), code);
  if (found != kWindows.end()) return 0x80 + static_cast<int>(found - kWindows.begin());
  return code >= 0x80 && code < 0xA0 ? static_cast<int>(code) : -1;
}

// Where characters from `at` on are the bytes of one character beyond ASCII, that character, and `at` behind
// them.
bool misread(const char*& at, const char* end, char32_t& code) {
  const char* next = at;
  const int lead = windowsByte(decode(next));
  // Two bytes: only what Latin-1 letters and signs become; other pairs occur in real text.
  const unsigned length = lead == 0xC2 || lead == 0xC3   ? 2
                          : lead >= 0xE0 && lead <= 0xEF ? 3
                          : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                         : 0;
  if (length == 0) return false;
  char bytes[4] = {static_cast<char>(lead)};
  for (unsigned i = 1; i < length; ++i) {
    if (next >= end) return false;
    const int byte = windowsByte(decode(next));
    if (byte < 0x80 || byte > 0xBF) return false;
    bytes[i] = static_cast<char>(byte);
  }
  if (firstInvalid({bytes, length}) != length) return false;
  const char* read = bytes;
  code = decode(read);
  at = next;
  return true;
}

bool isInvisible(char32_t code) {
  return code == 0xAD || code == 0x200B || code == 0x200E || code == 0x200F ||
         (code >= 0x202A && code <= 0x202E) || (code >= 0x2060 && code <= 0x2064) ||
         (code >= 0x2066 && code <= 0x206F) || code == 0xFEFF || code == 0x61C || code == 0x180E ||
         (code >= 0xFFF9 && code <= 0xFFFB);
}

bool isOddSpace(char32_t code) {
  return code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x202F ||
         code == 0x205F || code == 0x3000;
}

std::string withoutMojibake(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    const auto byte = static_cast<unsigned char>(*at);
    char32_t code;
    // Leads of misread characters are U+00C2 to U+00F4.
    if (byte == 0xC3 && misread(at, end, code)) {
      append(out, code);
      continue;
    }
    const unsigned length = characterLength(byte);
    out.append(at, length);
    at += length;
  }
  return out;
}

std::string withPlainCharacters(std::string_view text, uint32_t steps) {
  std::string out;
  out.reserve(text.size());
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    const char* const begin = at;
    const char32_t code = decode(at);
    if (code == '\r' && (steps & kRepairLineEnds) != 0) {
      if (at < end && *at == '\n') ++at;
      out += '\n';
    } else if ((code < 0x20 && code != '\t' && code != '\n' && code != '\r') ||
               (code >= 0x7F && code < 0xA0)) {
      if ((steps & kRepairControls) == 0) out.append(begin, at);
    } else if (code >= 0xA0 && (steps & kRepairInvisible) != 0 && isInvisible(code)) {
      continue;
    } else if (code >= 0xA0 && (steps & kRepairSpaces) != 0 && isOddSpace(code)) {
      out += ' ';
    } else {
      out.append(begin, at);
    }
  }
  return out;
}

std::string withoutBlanks(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t newlines = 0;
  size_t kept = 0;
  for (const char byte : text) {
    if (byte == '\n') {
      out.resize(kept);
      if (++newlines <= 2) out += '\n';
      kept = out.size();
      continue;
    }
    out += byte;
    if (byte != ' ' && byte != '\t') {
      newlines = 0;
      kept = out.size();
    }
  }
  out.resize(kept);
  return out;
}

}  // namespace

bool repair(std::string_view text, uint32_t steps, std::string& out) {
  std::string current;
  std::string_view view = text;
  const auto take = [&](std::string next) {
    if (next == view) return;
    current = std::move(next);
    view = current;
  };
  if ((steps & kRepairMojibake) != 0 && !isAscii(view)) take(withoutMojibake(view));
  const uint32_t plain = steps & (kRepairLineEnds | kRepairControls | kRepairInvisible | kRepairSpaces);
  if (plain != 0) take(withPlainCharacters(view, plain));
  if ((steps & kRepairComposition) != 0 && !isAscii(view)) {
    static const NormalizerPointer composed = makeUnicodeNormalizer(NormalForm::kNfc);
    if (!composed->leaves(view)) {
      std::string next(view);
      composed->apply(next, nullptr);
      take(std::move(next));
    }
  }
  if ((steps & kRepairBlankLines) != 0) take(withoutBlanks(view));
  if (view == text) return false;
  out.assign(view);
  return true;
}

}  // namespace anneal::text::clean
