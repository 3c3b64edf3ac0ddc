#include "text/regex/pattern_reader.h"

#include "text/error.h"

namespace anneal::text {

void patternError(const std::string& pattern, size_t at, const std::string& problem) {
  throw TextError("ERR_TOKENIZER",
                  "Regular expression " + pattern + " cannot be used: " + problem + " at byte " +
                      std::to_string(at) + ".",
                  {{"pattern", pattern}, {"position", static_cast<double>(at)}, {"problem", problem}});
}

PatternReader::PatternReader(const std::string& pattern, Dialect dialect)
    : pattern_(pattern), rust_(dialect == Dialect::kRust) {
  if (const size_t bad = firstInvalid(pattern); bad != pattern.size())
    fail(bad, "the pattern is not valid UTF-8");
}

uint32_t PatternReader::hexadecimal(size_t least, size_t most) {
  const size_t start = at_;
  uint32_t value = 0;
  while (at_ - start < most) {
    const char c = peek();
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) break;
    value = value * 16 + static_cast<uint32_t>(digit);
    ++at_;
  }
  if (at_ - start < least) fail(start, "too few hexadecimal digits");
  return value;
}

char32_t PatternReader::checkedCode(uint32_t value, size_t start) const {
  if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) fail(start, "no code point");
  return value;
}

char32_t PatternReader::bytes(uint32_t lead, size_t start) {
  if (lead < 0x80) return lead;
  std::string utf8(1, static_cast<char>(lead));
  while (utf8.size() < characterLength(static_cast<unsigned char>(lead)) && take("\\x")) {
    utf8 += static_cast<char>(hexadecimal(2, 2));
  }
  if (firstInvalid(utf8) != utf8.size()) fail(start, "bytes that are not UTF-8");
  const char* from = utf8.data();
  return decode(from);
}

bool PatternReader::escapedCode(char32_t& code) {
  const size_t start = at_;
  at_ += 1;
  switch (peek()) {
    case 't':
      code = '\t';
      break;
    case 'n':
      code = '\n';
      break;
    case 'r':
      code = '\r';
      break;
    case 'f':
      code = '\f';
      break;
    case 'v':
      code = '\v';
      break;
    case 'a':
      code = '\a';
      break;
    case 'e':
      code = 0x1B;
      break;
    case 'u':
      ++at_;
      code = checkedCode(hexadecimal(4, 4), start);
      return true;
    case 'x':
      ++at_;
      if (take("{")) {
        code = checkedCode(hexadecimal(1, 8), start);
        if (!take("}")) fail(start, "'{' without '}'");
      } else {
        code = bytes(hexadecimal(1, 2), start);
      }
      return true;
    case '0': {
      uint32_t value = 0;
      for (int digits = 0; digits < 3 && peek() >= '0' && peek() <= '7'; ++digits, ++at_) {
        value = value * 8 + static_cast<uint32_t>(peek() - '0');
      }
      code = value;
      return true;
    }
    default: {
      const char c = peek();
      const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      if (at_ >= pattern_.size()) fail(start, "'\\' at the end");
      if (word) {
        at_ = start;
        return false;
      }
      code = takeCode();
      return true;
    }
  }
  ++at_;
  return true;
}

bool PatternReader::escapedSet(CodeRanges& set) {
  const size_t start = at_;
  const char c = peek(1);
  const CodeRanges* shorthand = nullptr;
  switch (c) {
    case 's':
    case 'S':
      shorthand = &whitespaceSet();
      break;
    case 'd':
    case 'D':
      shorthand = &digitSet();
      break;
    case 'w':
    case 'W':
      shorthand = rust_ ? &rustWordSet() : &wordSet();
      break;
    case 'h':
    case 'H':
      shorthand = &hexadecimalSet();
      break;
    default:
      break;
  }
  if (shorthand != nullptr) {
    at_ += 2;
    set = c >= 'a' ? *shorthand : shorthand->complement();
    return true;
  }
  if (c != 'p' && c != 'P') return false;
  at_ += 2;
  bool negative = c == 'P';
  std::string name;
  if (take("{")) {
    if (take("^")) negative = !negative;
    const size_t end = pattern_.find('}', at_);
    if (end == std::string::npos) fail(start, "'{' without '}'");
    name = pattern_.substr(at_, end - at_);
    at_ = end + 1;
  } else {
    name = std::string(1, peek());
    ++at_;
  }
  if (!namedProperty(name, set)) fail(start, "unknown property \"" + name + "\"");
  if (negative) set = set.complement();
  return true;
}

bool PatternReader::classAtom(PatternOptions options, int depth, char32_t& code, CodeRanges& set) {
  const size_t start = at_;
  if (peek() == '[') {
    if (peek(1) == ':') {
      const size_t end = pattern_.find(":]", at_ + 2);
      const bool negative = peek(2) == '^';
      if (end != std::string::npos) {
        const size_t from = at_ + (negative ? 3 : 2);
        if (posixClass(std::string_view(pattern_).substr(from, end - from), set)) {
          if (rust_) set = set.intersection(CodeRanges::of(0, 0x7F));
          if (negative) set = set.complement();
          at_ = end + 2;
          return false;
        }
      }
    }
    ++at_;
    set = characterClass(options, depth + 1);
    return false;
  }
  if (peek() != '\\') {
    code = takeCode();
    return true;
  }
  if (peek(1) == 'b') {
    at_ += 2;
    code = '\b';
    return true;
  }
  if (escapedSet(set)) return false;
  if (escapedCode(code)) return true;
  fail(start, std::string("\\") + peek(1) + " is not supported in a class");
}

CodeRanges PatternReader::characterClass(PatternOptions options, int depth) {
  const size_t start = at_ - 1;
  if (depth > kDeepestPattern) fail(start, "classes are nested too deeply");
  const bool negative = take("^");
  CodeRanges all;
  bool intersected = false;
  CodeRanges current;
  bool first = true;
  for (;; first = false) {
    if (atEnd()) fail(start, "'[' without ']'");
    if (peek() == ']' && (!first || pattern_.find(']', at_ + 1) == std::string::npos)) break;
    if (rust_ && (startsWith("--") || startsWith("~~")))
      fail(at_, "differences of classes are not supported");
    if (take("&&")) {
      current.settle();
      if (options.ignoreCase) current = current.folded();
      all = intersected ? all.intersection(current) : current;
      intersected = true;
      current = CodeRanges();
      continue;
    }
    char32_t low = 0;
    CodeRanges set;
    if (!classAtom(options, depth, low, set)) {
      current.collect(set);
      continue;
    }
    char32_t high = low;
    const bool range = peek() == '-' && peek(1) != ']' && at_ + 1 < pattern_.size();
    if (range) {
      const size_t dash = at_;
      ++at_;
      CodeRanges after;
      if (!classAtom(options, depth, high, after)) {
        // Not a range after all: '-' is a character.
        current.collect(low, low);
        current.collect('-', '-');
        current.collect(after);
        continue;
      }
      if (high < low) fail(dash, "a range from a higher to a lower character");
    }
    current.collect(low, high);
  }
  ++at_;
  current.settle();
  if (options.ignoreCase) current = current.folded();
  if (intersected) current = all.intersection(current);
  return negative ? current.complement() : current;
}

}  // namespace anneal::text
