#include "text/pretokenize/patterns.h"

#include <algorithm>
#include <initializer_list>
#include <vector>

namespace anneal::text {

namespace {

const char* const kDeepSeekPatterns[3] = {
    R"(\p{N}{1,3})",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
};

// Line ends may stand in a pattern as they are or as escapes.
std::string canonical(const std::string& pattern) {
  std::string result;
  for (const char c : pattern) {
    if (c == '\r') {
      result += "\\r";
    } else if (c == '\n') {
      result += "\\n";
    } else {
      result += c;
    }
  }
  return result;
}

// The alternatives at the pattern's top level.
std::vector<std::string> alternatives(const std::string& pattern) {
  std::vector<std::string> parts(1);
  int depth = 0;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '|' && depth == 0) {
      parts.emplace_back();
      continue;
    }
    parts.back() += c;
    if (c == '\\' && i + 1 < pattern.size()) {
      parts.back() += pattern[++i];
    } else if (c == '(' || c == '[') {
      ++depth;
    } else if (c == ')' || c == ']') {
      --depth;
    }
  }
  return parts;
}

// Reads alternatives one after the other.
class Reader {
 public:
  explicit Reader(std::vector<std::string> parts) : parts_(std::move(parts)) {}
  bool take(std::initializer_list<const char*> forms) {
    if (at_ == parts_.size()) return false;
    for (const char* form : forms) {
      if (parts_[at_] == form) {
        ++at_;
        return true;
      }
    }
    return false;
  }
  bool done() const { return at_ == parts_.size(); }

 private:
  std::vector<std::string> parts_;
  size_t at_ = 0;
};

bool isGpt2(Reader parts) {
  const bool together = parts.take({"'(?:[sdmt]|ll|ve|re)"});
  const bool apart = !together && parts.take({"'s"}) && parts.take({"'t"}) && parts.take({"'re"}) &&
                     parts.take({"'ve"}) && parts.take({"'m"}) && parts.take({"'ll"}) && parts.take({"'d"});
  if (!together && !apart) return false;
  if (!parts.take({R"( ?\p{L}+)", R"( ?\p{L}++)", R"( ?[\p{L}]+)"})) return false;
  if (!parts.take({R"( ?\p{N}+)", R"( ?\p{N}++)", R"( ?[\p{N}]+)"})) return false;
  if (!parts.take({R"( ?[^\s\p{L}\p{N}]+)", R"( ?[^\s\p{L}\p{N}]++)"})) return false;
  parts.take({R"(\s++$)", R"(\s++\z)"});
  return parts.take({R"(\s+(?!\S))"}) && parts.take({R"(\s+)", R"(\s)"}) && parts.done();
}

bool isGpt4(Reader parts, Dialect dialect, Gpt4Rules& rules) {
  if (!parts.take({"(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'(?i:[sdmt]|ll|ve|re)"})) return false;
  if (!parts.take(
          {R"([^\r\n\p{L}\p{N}]?\p{L}+)", R"([^\r\n\p{L}\p{N}]?+\p{L}+)", R"([^\r\n\p{L}\p{N}]?+\p{L}++)"})) {
    return false;
  }
  const bool threes = parts.take({R"(\p{N}{1,3}+)"});
  if (threes || parts.take({R"(\p{N}{1,2}+)"})) {
    // To Oniguruma this is {1,3} again and again.
    rules.digits = dialect == Dialect::kOniguruma ? 0 : threes ? 3 : 2;
  } else if (parts.take({R"(\p{N}{1,3})"})) {
    rules.digits = 3;
  } else if (parts.take({R"(\p{N}{1,2})"})) {
    rules.digits = 2;
  } else if (parts.take({R"(\p{N})"})) {
    rules.digits = 1;
  } else if (parts.take({R"(\p{N}+)"})) {
    rules.digits = 0;
  } else {
    return false;
  }
  if (!parts.take({R"( ?[^\s\p{L}\p{N}]+[\r\n]*)", R"( ?[^\s\p{L}\p{N}]++[\r\n]*)",
                   R"( ?[^\s\p{L}\p{N}]++[\r\n]*+)"})) {
    return false;
  }
  rules.wholeTail = parts.take({R"(\s++$)", R"(\s++\z)"});
  return parts.take({R"(\s*[\r\n]+)", R"(\s*[\r\n])"}) && parts.take({R"(\s+(?!\S))"}) &&
         parts.take({R"(\s+)", R"(\s)"}) && parts.done();
}

bool isGpt4o(Reader parts) {
  const char* const contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?";
  const std::string lower =
      std::string(R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)") +
      contraction;
  const std::string upper =
      std::string(R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)") +
      contraction;
  return parts.take({lower.c_str()}) && parts.take({upper.c_str()}) && parts.take({R"(\p{N}{1,3})"}) &&
         parts.take({R"( ?[^\s\p{L}\p{N}]+[\r\n/]*)"}) && parts.take({R"(\s*[\r\n]+)"}) &&
         parts.take({R"(\s+(?!\S))"}) && parts.take({R"(\s+)"}) && parts.done();
}

}  // namespace

bool isDeepSeekPattern(const std::string& pattern, size_t index) {
  return canonical(pattern) == kDeepSeekPatterns[index];
}

PreTokenizerPointer scannerOf(const std::string& pattern, Dialect dialect) {
  const Reader parts(alternatives(canonical(pattern)));
  Gpt4Rules rules;
  if (isGpt2(parts)) return makeGpt2Scanner();
  if (isGpt4(parts, dialect, rules)) return makeGpt4Scanner(rules);
  if (isGpt4o(parts)) return makeGpt4oScanner();
  return nullptr;
}

}  // namespace anneal::text
