// syntax.h — what a pattern says, as a tree.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "text/regex/code_set.h"
#include "text/regex/regex.h"

namespace anneal::text {

enum class NodeKind {
  kEmpty,
  kCode,  // one character: `code`
  kSet,   // one character of `set`
  kSequence,
  kAlternation,
  kRepeat,  // `minimum` to `maximum` times the only child
  kAtomic,
  kLook,  // `behind`, `negative`
  kAssertion,
};

enum class Greed : uint8_t { kGreedy, kLazy, kPossessive };

enum class Assertion : uint8_t {
  kLineBegin,
  kLineEnd,
  kTextBegin,
  kTextEnd,
  kTextEndOrNewline,
  kWordBoundary,
  kNoWordBoundary,
  kSearchBegin,
};

constexpr uint32_t kUnlimited = UINT32_MAX;

struct Node {
  explicit Node(NodeKind k) : kind(k) {}
  NodeKind kind;
  char32_t code = 0;
  CodeRanges set;
  std::vector<std::unique_ptr<Node>> children;
  uint32_t minimum = 0;
  uint32_t maximum = 0;
  Greed greed = Greed::kGreedy;
  bool behind = false;
  bool negative = false;
  Assertion assertion = Assertion::kTextBegin;
};

using NodePointer = std::unique_ptr<Node>;

// Throws TextError (ERR_TOKENIZER).
NodePointer parsePattern(const std::string& pattern, Dialect dialect);

// How parser and compiler report: "Regular expression …: `problem`", with the byte of the pattern.
[[noreturn]] void patternError(const std::string& pattern, size_t at, const std::string& problem);

}  // namespace anneal::text
