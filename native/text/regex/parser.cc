// parser.cc — patterns in Oniguruma's default syntax or in that of Rust → trees.
#include <string>

#include "text/regex/pattern_reader.h"
#include "text/regex/syntax.h"

namespace anneal::text {

namespace {

constexpr uint32_t kMostRepeats = 100000;

NodePointer make(NodeKind kind) { return std::make_unique<Node>(kind); }

NodePointer makeSet(CodeRanges set) {
  NodePointer node = make(NodeKind::kSet);
  node->set = std::move(set);
  return node;
}

NodePointer makeCode(char32_t code) {
  NodePointer node = make(NodeKind::kCode);
  node->code = code;
  return node;
}

class Parser : private PatternReader {
 public:
  using PatternReader::PatternReader;

  NodePointer parse() {
    PatternOptions options;
    options.lines = !rust_;
    NodePointer node = alternation(options, 0);
    if (!atEnd()) fail(at_, "')' without '('");
    return node;
  }

 private:
  // Up to ')' or the end.
  NodePointer alternation(PatternOptions options, int depth) {
    if (depth > kDeepestPattern) fail(at_, "groups are nested too deeply");
    std::vector<NodePointer> branches;
    branches.push_back(sequence(options, depth));
    while (take("|")) branches.push_back(sequence(options, depth));
    if (branches.size() == 1) return std::move(branches.front());
    NodePointer node = make(NodeKind::kAlternation);
    node->children = std::move(branches);
    return node;
  }

  // In Rust's syntax an option inside the sequence holds for what follows, in later branches too.
  NodePointer sequence(PatternOptions& options, int depth) {
    NodePointer node = make(NodeKind::kSequence);
    for (;;) {
      if (options.extended && skipExtended()) continue;
      if (atEnd() || peek() == '|' || peek() == ')') break;
      if (take("(?#")) {
        comment();
        continue;
      }
      bool restOfGroup = false;
      NodePointer atom = element(options, depth, restOfGroup);
      node->children.push_back(restOfGroup ? std::move(atom) : quantified(std::move(atom), options));
    }
    if (node->children.size() == 1) return std::move(node->children.front());
    return node;
  }

  bool skipExtended() {
    if (take(" ") || take("\t") || take("\n") || take("\r") || take("\f") || take("\v")) return true;
    if (!take("#")) return false;
    while (!atEnd() && peek() != '\n') ++at_;
    return true;
  }

  void comment() {
    while (!atEnd() && peek() != ')') at_ += peek() == '\\' ? 2 : 1;
    if (at_ >= pattern_.size()) fail(pattern_.size(), "a comment without its end");
    ++at_;
  }

  NodePointer element(PatternOptions& options, int depth, bool& restOfGroup) {
    const size_t start = at_;
    switch (peek()) {
      case '(':
        ++at_;
        return group(options, depth, restOfGroup);
      case '[':
        ++at_;
        return makeSet(characterClass(options, depth));
      case '.':
        ++at_;
        return makeSet(options.dotAll ? CodeRanges::all() : CodeRanges::of('\n', '\n').complement());
      case '^':
        ++at_;
        return assertion(options.lines ? Assertion::kLineBegin : Assertion::kTextBegin);
      case '$':
        ++at_;
        return assertion(options.lines ? Assertion::kLineEnd : Assertion::kTextEnd);
      case '*':
      case '+':
      case '?':
        fail(start, "a repetition of nothing");
      case '\\':
        return escape(options);
      default:
        return literal(takeCode(), options);
    }
  }

  static NodePointer assertion(Assertion which) {
    NodePointer node = make(NodeKind::kAssertion);
    node->assertion = which;
    return node;
  }

  static NodePointer literal(char32_t code, PatternOptions options) {
    if (options.ignoreCase) {
      CodeRanges set = CodeRanges::of(code, code).folded();
      if (set.ranges().size() > 1 || set.ranges()[0].first != set.ranges()[0].second)
        return makeSet(std::move(set));
    }
    return makeCode(code);
  }

  NodePointer close(NodePointer node) {
    if (!take(")")) fail(at_, "'(' without ')'");
    return node;
  }

  NodePointer group(PatternOptions& outer, int depth, bool& restOfGroup) {
    PatternOptions options = outer;
    const size_t start = at_ - 1;
    if (!take("?")) {
      if (peek() == '*') fail(start, "callouts are not supported");
      return close(alternation(options, depth + 1));
    }
    if (take(":")) return close(alternation(options, depth + 1));
    if (take(">")) {
      NodePointer node = make(NodeKind::kAtomic);
      node->children.push_back(close(alternation(options, depth + 1)));
      return node;
    }
    const bool behind = startsWith("<=") || startsWith("<!");
    if (behind || peek() == '=' || peek() == '!') {
      if (behind) ++at_;
      NodePointer node = make(NodeKind::kLook);
      node->behind = behind;
      node->negative = peek() == '!';
      ++at_;
      node->children.push_back(close(alternation(options, depth + 1)));
      return node;
    }
    if (peek() == '<' || peek() == '\'' || startsWith("P<")) {
      if (peek() == 'P') ++at_;
      const char closing = peek() == '<' ? '>' : '\'';
      const size_t end = pattern_.find(closing, at_ + 1);
      if (end == std::string::npos || end == at_ + 1) fail(start, "a group's name without its end");
      at_ = end + 1;
      return close(alternation(options, depth + 1));
    }
    bool on = true;
    for (;;) {
      if (take(")")) {
        restOfGroup = true;
        if (rust_) {
          outer = options;
          return make(NodeKind::kEmpty);
        }
        // Oniguruma: as if a group began here that ends with the one around.
        return alternation(options, depth + 1);
      }
      if (take(":")) return close(alternation(options, depth + 1));
      if (take("-")) {
        on = false;
      } else if (take("i")) {
        options.ignoreCase = on;
      } else if (take("m")) {
        (rust_ ? options.lines : options.dotAll) = on;
      } else if (rust_ && take("s")) {
        options.dotAll = on;
      } else if (take("x")) {
        options.extended = on;
      } else {
        fail(start, "this kind of group is not supported");
      }
    }
  }

  bool interval(uint32_t& minimum, uint32_t& maximum) {
    const size_t start = at_;
    const auto number = [this](uint32_t& value) {
      const size_t from = at_;
      uint64_t sum = 0;
      while (peek() >= '0' && peek() <= '9') {
        sum = sum * 10 + static_cast<uint64_t>(peek() - '0');
        if (sum > kMostRepeats) fail(from, "more than " + std::to_string(kMostRepeats) + " repetitions");
        ++at_;
      }
      value = static_cast<uint32_t>(sum);
      return at_ > from;
    };
    ++at_;
    const bool low = number(minimum);
    bool valid = low;
    if (!low) minimum = 0;
    if (take(",")) {
      const bool high = number(maximum);
      valid = low || high;
      if (!high) maximum = kUnlimited;
    } else {
      maximum = minimum;
    }
    if (valid && take("}")) return true;
    at_ = start;
    return false;
  }

  NodePointer quantified(NodePointer atom, PatternOptions options) {
    for (int stacked = 0;; ++stacked) {
      if (stacked > kDeepestPattern) fail(at_, "repetitions are nested too deeply");
      if (options.extended && skipExtended()) continue;
      uint32_t minimum = 0;
      uint32_t maximum = kUnlimited;
      Greed greed = Greed::kGreedy;
      bool optionalAfter = false;
      if (take("*")) {
      } else if (take("+")) {
        minimum = 1;
      } else if (take("?")) {
        maximum = 1;
      } else if (peek() == '{' && interval(minimum, maximum)) {
        if (minimum > maximum) {
          if (rust_) fail(at_, "an interval from more to less");
          std::swap(minimum, maximum);
          greed = Greed::kPossessive;
        } else if (peek() == '?') {
          ++at_;
          // In Oniguruma a{n}? is (?:a{n})?.
          optionalAfter = minimum == maximum && !rust_;
          if (!optionalAfter) greed = Greed::kLazy;
        } else if (rust_ && take("+")) {
          greed = Greed::kPossessive;
        }
        atom = repeated(std::move(atom), minimum, maximum, greed);
        if (optionalAfter) atom = repeated(std::move(atom), 0, 1, Greed::kGreedy);
        continue;
      } else {
        return atom;
      }
      if (take("?")) {
        greed = Greed::kLazy;
      } else if (take("+")) {
        greed = Greed::kPossessive;
      }
      atom = repeated(std::move(atom), minimum, maximum, greed);
    }
  }

  static NodePointer repeated(NodePointer atom, uint32_t minimum, uint32_t maximum, Greed greed) {
    NodePointer node = make(NodeKind::kRepeat);
    node->minimum = minimum;
    node->maximum = maximum;
    node->greed = greed;
    node->children.push_back(std::move(atom));
    return node;
  }

  NodePointer escape(PatternOptions options) {
    const size_t start = at_;
    CodeRanges set;
    if (escapedSet(set)) return makeSet(std::move(set));
    char32_t code = 0;
    if (escapedCode(code)) return literal(code, options);
    const char c = peek(1);
    at_ += 2;
    switch (c) {
      case 'A':
        return assertion(Assertion::kTextBegin);
      case 'z':
        return assertion(Assertion::kTextEnd);
      case 'Z':
        return assertion(Assertion::kTextEndOrNewline);
      case 'b':
        return assertion(Assertion::kWordBoundary);
      case 'B':
        return assertion(Assertion::kNoWordBoundary);
      case 'G':
        return assertion(Assertion::kSearchBegin);
      case 'N':
        return makeSet(CodeRanges::of('\n', '\n').complement());
      case 'O':
        return makeSet(CodeRanges::all());
      case 'R':
        return newline();
      default:
        break;
    }
    if (c >= '1' && c <= '9') fail(start, "back references are not supported");
    fail(start, std::string("\\") + c + " is not supported");
  }

  // (?>\r\n|[\n-\r\u0085\u2028\u2029])
  static NodePointer newline() {
    NodePointer both = make(NodeKind::kSequence);
    both->children.push_back(makeCode('\r'));
    both->children.push_back(makeCode('\n'));
    CodeRanges single = CodeRanges::of('\n', '\r');
    single.add(0x85, 0x85);
    single.add(0x2028, 0x2029);
    NodePointer either = make(NodeKind::kAlternation);
    either->children.push_back(std::move(both));
    either->children.push_back(makeSet(std::move(single)));
    NodePointer atomic = make(NodeKind::kAtomic);
    atomic->children.push_back(std::move(either));
    return atomic;
  }
};

}  // namespace

NodePointer parsePattern(const std::string& pattern, Dialect dialect) {
  return Parser(pattern, dialect).parse();
}

}  // namespace anneal::text
