// matcher.cc — runs programs: backtracking with a stack of its own, so that neither nesting nor length of a
// text can exhaust the thread's; a loop over characters of a set needs one entry for all its characters.
#include <cstring>

#include "text/error.h"
#include "text/regex/program.h"
#include "text/regex/regex.h"
#include "text/unicode/utf8.h"

namespace anneal::text {

namespace {

// Where to go on when the present way fails.
struct Frame {
  enum Kind : uint32_t {
    kBranch,   // at `code`, `position`
    kGreedy,   // at `code`, one character less than `position`, not below `other`
    kLazy,     // one character more (at most `other` times more) of the loop before `code`
    kRestore,  // slot `code` held `other`
  };
  Kind kind;
  uint32_t code;
  size_t position;
  size_t other;
};

// Of ways back at the same time; 32 bytes each.
constexpr size_t kMostFrames = size_t{1} << 24;
// Those whose memory a thread keeps for the next search.
constexpr size_t kKeptFrames = size_t{1} << 14;

struct Mark {
  size_t height = 0;
  size_t position = 0;
};

struct Scratch {
  std::vector<Frame> frames;
  std::vector<Mark> marks;
};

class Run {
 public:
  Run(const Program& program, const std::string& pattern, std::string_view text, size_t from,
      uint64_t& budget, Scratch& scratch)
      : program_(program), pattern_(pattern), text_(text), from_(from), budget_(budget), scratch_(scratch) {}

  // Whether the pattern matches at `start`; then `end` is the match's.
  bool matches(size_t start, size_t& end) {
    scratch_.frames.clear();
    size_t position = start;
    uint32_t code = 0;
    for (;;) {
      spend(1);
      const Instruction& instruction = program_.code[code];
      bool ok = true;
      switch (instruction.operation) {
        case Operation::kBytes:
          ok = text_.size() - position >= instruction.b &&
               std::memcmp(text_.data() + position, program_.literals.data() + instruction.a,
                           instruction.b) == 0;
          position += ok ? instruction.b : 0;
          ++code;
          break;
        case Operation::kSet:
          ok = takeOne(program_.sets[instruction.a], position);
          ++code;
          break;
        case Operation::kLoop:
          ok = loop(instruction, code, position);
          ++code;
          break;
        case Operation::kSplit:
          if (scratch_.frames.size() >= kMostFrames) exhausted();
          scratch_.frames.push_back({Frame::kBranch, instruction.b, position, 0});
          code = instruction.a;
          break;
        case Operation::kJump:
          code = instruction.a;
          break;
        case Operation::kEnterLoop:
          scratch_.frames.push_back(
              {Frame::kRestore, instruction.a, 0, scratch_.marks[instruction.a].position});
          scratch_.marks[instruction.a].position = position;
          ++code;
          break;
        case Operation::kLeaveLoop:
          code = scratch_.marks[instruction.a].position == position ? instruction.b : code + 1;
          break;
        case Operation::kMark:
          scratch_.marks[instruction.a] = {scratch_.frames.size(), position};
          ++code;
          break;
        case Operation::kCommit:
          forget(scratch_.marks[instruction.a].height);
          ++code;
          break;
        case Operation::kCommitHere:
          forget(scratch_.marks[instruction.a].height);
          position = scratch_.marks[instruction.a].position;
          ++code;
          break;
        case Operation::kNegative:
          scratch_.marks[instruction.a] = {scratch_.frames.size(), position};
          scratch_.frames.push_back({Frame::kBranch, instruction.b, position, 0});
          ++code;
          break;
        case Operation::kNegativeEnd:
          forget(scratch_.marks[instruction.a].height);
          ok = false;
          break;
        case Operation::kBack:
          ok = back(instruction.a, position);
          ++code;
          break;
        case Operation::kAssert:
          ok = holds(instruction.assertion, position);
          ++code;
          break;
        case Operation::kMatch:
          end = position;
          return true;
      }
      if (!ok && !resume(code, position)) return false;
    }
  }

  // The first place behind `start` that can begin a match, given that `start` did not.
  size_t next(size_t start) const {
    size_t at = start;
    if (program_.leadingLoop && takeOne(program_.sets[program_.code[0].a], at)) {
      while (takeOne(program_.sets[program_.code[0].a], at)) {
      }
      return at;
    }
    return start + (start < text_.size() ? characterLength(byte(start)) : 1);
  }

 private:
  unsigned char byte(size_t at) const { return static_cast<unsigned char>(text_[at]); }

  [[noreturn]] void exhausted() const {
    throw TextError(
        "ERR_TOKENIZER",
        "Regular expression " + pattern_ + " takes too many steps on a text of " +
            std::to_string(text_.size()) +
            " bytes: it goes back over the same characters again and again. Use a pattern without nested "
            "repetitions, or shorter texts.",
        {{"pattern", pattern_}, {"bytes", static_cast<double>(text_.size())}});
  }

  void spend(uint64_t steps) {
    if (budget_ < steps) exhausted();
    budget_ -= steps;
  }

  // Forgets ways back, but not what slots held before.
  void forget(size_t height) {
    std::vector<Frame>& frames = scratch_.frames;
    size_t kept = height;
    for (size_t i = height; i < frames.size(); ++i) {
      if (frames[i].kind == Frame::kRestore) frames[kept++] = frames[i];
    }
    frames.resize(kept);
  }

  bool takeOne(const CodeSet& set, size_t& position) const {
    if (position >= text_.size()) return false;
    if (byte(position) < 0x80) {
      if (!set.ascii(byte(position))) return false;
      ++position;
      return true;
    }
    const char* at = text_.data() + position;
    if (!set.contains(decode(at))) return false;
    position = static_cast<size_t>(at - text_.data());
    return true;
  }

  bool loop(const Instruction& instruction, uint32_t code, size_t& position) {
    const CodeSet& set = program_.sets[instruction.a];
    const size_t start = position;
    for (uint32_t i = 0; i < instruction.b; ++i) {
      if (!takeOne(set, position)) return false;
    }
    const size_t least = position;
    const uint32_t more = instruction.c == kUnlimited ? kUnlimited : instruction.c - instruction.b;
    if (instruction.greed == Greed::kLazy) {
      if (more > 0) scratch_.frames.push_back({Frame::kLazy, code + 1, position, more});
      return true;
    }
    for (uint32_t i = 0; i < more && takeOne(set, position);) {
      if (more != kUnlimited) ++i;
    }
    spend((position - start) >> 4);
    if (position > least && instruction.greed == Greed::kGreedy) {
      scratch_.frames.push_back({Frame::kGreedy, code + 1, position, least});
    }
    return true;
  }

  bool resume(uint32_t& code, size_t& position) {
    std::vector<Frame>& frames = scratch_.frames;
    while (!frames.empty()) {
      Frame& frame = frames.back();
      switch (frame.kind) {
        case Frame::kBranch:
          code = frame.code;
          position = frame.position;
          frames.pop_back();
          return true;
        case Frame::kGreedy: {
          const char* at = text_.data() + frame.position;
          decodeBackward(text_.data() + frame.other, at);
          code = frame.code;
          position = static_cast<size_t>(at - text_.data());
          if (position == frame.other) {
            frames.pop_back();
          } else {
            frame.position = position;
          }
          return true;
        }
        case Frame::kLazy:
          code = frame.code;
          position = frame.position;
          if (!takeOne(program_.sets[program_.code[code - 1].a], position)) {
            frames.pop_back();
            continue;
          }
          if (frame.other != kUnlimited) --frame.other;
          if (frame.other == 0) {
            frames.pop_back();
          } else {
            frame.position = position;
          }
          return true;
        case Frame::kRestore:
          scratch_.marks[frame.code].position = frame.other;
          frames.pop_back();
          continue;
      }
    }
    return false;
  }

  bool back(uint32_t characters, size_t& position) const {
    const char* at = text_.data() + position;
    for (uint32_t i = 0; i < characters; ++i) {
      if (at == text_.data()) return false;
      decodeBackward(text_.data(), at);
    }
    position = static_cast<size_t>(at - text_.data());
    return true;
  }

  bool wordAt(size_t position) const {
    if (position >= text_.size()) return false;
    const char* at = text_.data() + position;
    return wordSet_().contains(decode(at));
  }

  bool wordBefore(size_t position) const {
    if (position == 0) return false;
    const char* at = text_.data() + position;
    return wordSet_().contains(decodeBackward(text_.data(), at));
  }

  static const CodeSet& wordSet_() {
    static const CodeSet set{wordSet()};
    return set;
  }

  bool holds(Assertion assertion, size_t position) const {
    switch (assertion) {
      case Assertion::kLineBegin:
        // Not behind a line end with which the text ends, except where the text is that.
        return position == 0 || (text_[position - 1] == '\n' && position < text_.size());
      case Assertion::kLineEnd:
        return position == text_.size() || text_[position] == '\n';
      case Assertion::kTextBegin:
        return position == 0;
      case Assertion::kTextEnd:
        return position == text_.size();
      case Assertion::kTextEndOrNewline:
        return position == text_.size() || (position + 1 == text_.size() && text_[position] == '\n');
      case Assertion::kWordBoundary:
        return wordBefore(position) != wordAt(position);
      case Assertion::kNoWordBoundary:
        return wordBefore(position) == wordAt(position);
      case Assertion::kSearchBegin:
        return position == from_;
    }
    return false;
  }

  const Program& program_;
  const std::string& pattern_;
  const std::string_view text_;
  const size_t from_;
  uint64_t& budget_;
  Scratch& scratch_;
};

}  // namespace

Regex::Regex(const std::string& pattern, Dialect dialect)
    : pattern_(pattern), program_(std::make_unique<const Program>(compilePattern(pattern, dialect))) {}

Regex::~Regex() = default;

bool Regex::find(std::string_view text, size_t from, Match& match, uint64_t& budget) const {
  thread_local Scratch scratch;
  if (scratch.frames.capacity() > kKeptFrames) {
    scratch.frames.clear();
    scratch.frames.shrink_to_fit();
  }
  if (scratch.marks.size() < program_->slots) scratch.marks.resize(program_->slots);
  Run run(*program_, pattern_, text, from, budget, scratch);
  for (size_t start = from; start <= text.size();) {
    if (start < text.size() ? program_->first[static_cast<unsigned char>(text[start])]
                            : program_->first[0xFF]) {
      size_t end = 0;
      if (run.matches(start, end)) {
        match = {start, end};
        return true;
      }
      start = run.next(start);
      continue;
    }
    ++start;
    while (start < text.size() && isContinuation(text[start])) ++start;
  }
  return false;
}

bool Matches::next(Match& match) {
  while (from_ <= text_.size()) {
    if (!regex_.find(text_, from_, match, budget_)) {
      from_ = text_.size() + 1;
      return false;
    }
    if (match.begin == match.end && match.begin == lastEnd_) {
      from_ += from_ < text_.size() ? characterLength(static_cast<unsigned char>(text_[from_])) : 1;
      continue;
    }
    from_ = match.end;
    lastEnd_ = match.end;
    return true;
  }
  return false;
}

}  // namespace anneal::text
