// program.h — a compiled pattern: a list of instructions for the matcher.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "text/regex/code_set.h"
#include "text/regex/syntax.h"

namespace anneal::text {

enum class Operation : uint8_t {
  kBytes,        // the `b` bytes at literals[a]
  kSet,          // one character of set a
  kLoop,         // characters of set a, at least b and at most c, by `greed`
  kSplit,        // go on at a; where that fails, at b
  kJump,         // go on at a
  kEnterLoop,    // slot a remembers the position
  kLeaveLoop,    // go on at b where slot a's position is still this one
  kMark,         // slot a remembers how much there is to go back to, and the position
  kCommit,       // forgets what came since slot a's mark
  kCommitHere,   // the same, and returns to its position
  kNegative,     // kMark; where what follows fails, go on at b
  kNegativeEnd,  // forgets what came since slot a's mark, and fails
  kBack,         // a characters back
  kAssert,
  kMatch,
};

struct Instruction {
  Operation operation = Operation::kMatch;
  Greed greed = Greed::kGreedy;
  Assertion assertion = Assertion::kTextBegin;
  uint32_t a = 0;
  uint32_t b = 0;
  uint32_t c = 0;
};

class Program {
 public:
  std::vector<Instruction> code;
  std::vector<CodeSet> sets;
  std::string literals;
  uint32_t slots = 0;
  // Bytes with which a match can begin; all of them where a match may be empty.
  std::array<bool, 256> first{};
  // Whether the pattern begins with an unlimited loop: where it fails at one place of a run of the loop's
  // characters, it fails at all later ones, since they see a part of the same ends.
  bool leadingLoop = false;
};

Program compilePattern(const std::string& pattern, Dialect dialect);

}  // namespace anneal::text
