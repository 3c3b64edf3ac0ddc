// compiler.cc — trees → programs.
#include <optional>

#include "text/regex/program.h"
#include "text/unicode/utf8.h"

namespace anneal::text {

namespace {

constexpr size_t kMostInstructions = 50000;
constexpr size_t kMostLiteralBytes = 1 << 20;
constexpr size_t kMostSets = 4096;
// Of the tree, counted as often as they are written out.
constexpr size_t kMostNodes = 1 << 20;
constexpr uint64_t kLongestBehind = 100000;

class Compiler {
 public:
  Compiler(const std::string& pattern, Dialect dialect) : pattern_(pattern), dialect_(dialect) {}

  Program compile() {
    const NodePointer tree = parsePattern(pattern_, dialect_);
    emit(*tree);
    add(Operation::kMatch);
    if (!collectFirst()) program_.first.fill(true);
    const Instruction& start = program_.code.front();
    program_.leadingLoop = start.operation == Operation::kLoop && start.c == kUnlimited && !searchBegin_;
    return std::move(program_);
  }

 private:
  uint32_t here() const { return static_cast<uint32_t>(program_.code.size()); }

  uint32_t add(Operation operation, uint32_t a = 0, uint32_t b = 0) {
    if (program_.code.size() >= kMostInstructions) tooLarge();
    Instruction instruction;
    instruction.operation = operation;
    instruction.a = a;
    instruction.b = b;
    program_.code.push_back(instruction);
    return here() - 1;
  }

  [[noreturn]] void tooLarge() const { patternError(pattern_, 0, "its repetitions make it too large"); }

  uint32_t addSet(const CodeRanges& ranges) {
    for (uint32_t i = 0; i < known_.size(); ++i) {
      if (known_[i].ranges() == ranges.ranges()) return i;
    }
    if (known_.size() >= kMostSets) patternError(pattern_, 0, "it has too many classes");
    known_.push_back(ranges);
    program_.sets.emplace_back(ranges);
    return static_cast<uint32_t>(known_.size() - 1);
  }

  static bool isCharacter(const Node& node) {
    return node.kind == NodeKind::kCode || node.kind == NodeKind::kSet;
  }

  uint32_t setOf(const Node& node) {
    return addSet(node.kind == NodeKind::kSet ? node.set : CodeRanges::of(node.code, node.code));
  }

  void emit(const Node& node) {
    if (++nodes_ > kMostNodes) tooLarge();
    switch (node.kind) {
      case NodeKind::kEmpty:
        break;
      case NodeKind::kCode:
        emitCode(node.code);
        break;
      case NodeKind::kSet:
        add(Operation::kSet, addSet(node.set));
        break;
      case NodeKind::kSequence:
        for (const NodePointer& child : node.children) emit(*child);
        break;
      case NodeKind::kAlternation:
        emitAlternation(node);
        break;
      case NodeKind::kRepeat:
        emitRepeat(node);
        break;
      case NodeKind::kAtomic: {
        const uint32_t slot = program_.slots++;
        add(Operation::kMark, slot);
        emit(*node.children[0]);
        add(Operation::kCommit, slot);
        break;
      }
      case NodeKind::kLook:
        emitLook(node);
        break;
      case NodeKind::kAssertion:
        searchBegin_ = searchBegin_ || node.assertion == Assertion::kSearchBegin;
        program_.code[add(Operation::kAssert)].assertion = node.assertion;
        break;
    }
  }

  // Neighbouring characters become one comparison, unless something jumps between them.
  void emitCode(char32_t code) {
    char utf8[4];
    const unsigned length = encode(code, utf8);
    if (program_.literals.size() >= kMostLiteralBytes) tooLarge();
    if (!program_.code.empty() && barrier_ != here()) {
      Instruction& last = program_.code.back();
      if (last.operation == Operation::kBytes && last.a + last.b == program_.literals.size()) {
        program_.literals.append(utf8, length);
        last.b += length;
        return;
      }
    }
    const auto offset = static_cast<uint32_t>(program_.literals.size());
    program_.literals.append(utf8, length);
    add(Operation::kBytes, offset, length);
  }

  uint32_t target() {
    barrier_ = here();
    return here();
  }

  void emitAlternation(const Node& node) {
    std::vector<uint32_t> jumps;
    for (size_t i = 0; i < node.children.size(); ++i) {
      if (i + 1 == node.children.size()) {
        emit(*node.children[i]);
        break;
      }
      const uint32_t split = add(Operation::kSplit);
      program_.code[split].a = target();
      emit(*node.children[i]);
      jumps.push_back(add(Operation::kJump));
      program_.code[split].b = target();
    }
    for (const uint32_t jump : jumps) program_.code[jump].a = target();
  }

  void emitRepeat(const Node& node) {
    const Node& child = *node.children[0];
    if (node.maximum == 0) return;
    if (isCharacter(child)) {
      if (node.minimum == 1 && node.maximum == 1) return emit(child);
      const uint32_t loop = add(Operation::kLoop, setOf(child), node.minimum);
      program_.code[loop].c = node.maximum;
      program_.code[loop].greed = node.greed;
      target();
      return;
    }
    if (node.greed == Greed::kPossessive) {
      const uint32_t slot = program_.slots++;
      add(Operation::kMark, slot);
      target();
      emitCounted(node, child, false);
      add(Operation::kCommit, slot);
      return;
    }
    emitCounted(node, child, node.greed == Greed::kLazy);
  }

  void emitCounted(const Node& node, const Node& child, bool lazy) {
    for (uint32_t i = 0; i < node.minimum; ++i) emit(child);
    const auto choice = [&](uint32_t split, bool inside) {
      Instruction& instruction = program_.code[split];
      (inside != lazy ? instruction.a : instruction.b) = target();
    };
    if (node.maximum == kUnlimited) {
      const uint32_t slot = program_.slots++;
      const uint32_t split = add(Operation::kSplit);
      choice(split, true);
      add(Operation::kEnterLoop, slot);
      target();
      emit(child);
      const uint32_t leave = add(Operation::kLeaveLoop, slot);
      add(Operation::kJump, split);
      choice(split, false);
      program_.code[leave].b = here();
      return;
    }
    std::vector<uint32_t> splits;
    for (uint32_t i = node.minimum; i < node.maximum; ++i) {
      splits.push_back(add(Operation::kSplit));
      choice(splits.back(), true);
      emit(child);
    }
    for (const uint32_t split : splits) choice(split, false);
  }

  // Characters of everything that the node can match; nothing where it is not always the same number.
  std::optional<uint64_t> fixedLength(const Node& node) const {
    switch (node.kind) {
      case NodeKind::kCode:
      case NodeKind::kSet:
        return 1;
      case NodeKind::kEmpty:
      case NodeKind::kLook:
      case NodeKind::kAssertion:
        return 0;
      case NodeKind::kSequence: {
        uint64_t sum = 0;
        for (const NodePointer& child : node.children) {
          const std::optional<uint64_t> length = fixedLength(*child);
          if (!length) return std::nullopt;
          sum += *length;
        }
        return sum;
      }
      case NodeKind::kAlternation: {
        const std::optional<uint64_t> length = fixedLength(*node.children[0]);
        for (size_t i = 1; i < node.children.size(); ++i) {
          if (fixedLength(*node.children[i]) != length) return std::nullopt;
        }
        return length;
      }
      case NodeKind::kRepeat: {
        const std::optional<uint64_t> length = fixedLength(*node.children[0]);
        if (!length || node.minimum != node.maximum || *length * node.minimum > kLongestBehind)
          return std::nullopt;
        return *length * node.minimum;
      }
      case NodeKind::kAtomic:
        return fixedLength(*node.children[0]);
    }
    return std::nullopt;
  }

  void emitBehind(const Node& node) {
    if (node.kind == NodeKind::kAlternation && !fixedLength(node)) {
      std::vector<uint32_t> jumps;
      for (size_t i = 0; i < node.children.size(); ++i) {
        if (i + 1 == node.children.size()) {
          emitBehind(*node.children[i]);
          break;
        }
        const uint32_t split = add(Operation::kSplit);
        program_.code[split].a = target();
        emitBehind(*node.children[i]);
        jumps.push_back(add(Operation::kJump));
        program_.code[split].b = target();
      }
      for (const uint32_t jump : jumps) program_.code[jump].a = target();
      return;
    }
    const std::optional<uint64_t> length = fixedLength(node);
    if (!length) patternError(pattern_, 0, "a lookbehind of changing length");
    add(Operation::kBack, static_cast<uint32_t>(*length));
    target();
    emit(node);
  }

  void emitLook(const Node& node) {
    const uint32_t slot = program_.slots++;
    const uint32_t mark = add(node.negative ? Operation::kNegative : Operation::kMark, slot);
    target();
    if (node.behind) {
      emitBehind(*node.children[0]);
    } else {
      emit(*node.children[0]);
    }
    add(node.negative ? Operation::kNegativeEnd : Operation::kCommitHere, slot);
    program_.code[mark].b = target();
    program_.code[mark].c = 1;
  }

  // False where a match may be empty or nothing is known.
  bool collectFirst() {
    std::vector<bool> seen(program_.code.size());
    std::vector<uint32_t> open{0};
    while (!open.empty()) {
      const uint32_t at = open.back();
      open.pop_back();
      if (seen[at]) continue;
      seen[at] = true;
      const Instruction& instruction = program_.code[at];
      switch (instruction.operation) {
        case Operation::kBytes:
          program_.first[static_cast<unsigned char>(program_.literals[instruction.a])] = true;
          break;
        case Operation::kSet:
          program_.sets[instruction.a].addFirstBytes(program_.first);
          break;
        case Operation::kLoop:
          program_.sets[instruction.a].addFirstBytes(program_.first);
          if (instruction.b == 0) open.push_back(at + 1);
          break;
        case Operation::kSplit:
          open.push_back(instruction.a);
          open.push_back(instruction.b);
          break;
        case Operation::kJump:
          open.push_back(instruction.a);
          break;
        case Operation::kLeaveLoop:
          open.push_back(instruction.b);
          open.push_back(at + 1);
          break;
        case Operation::kMark:
          // What a look says is left out: it can only exclude.
          open.push_back(instruction.c == 1 ? instruction.b : at + 1);
          break;
        case Operation::kNegative:
          open.push_back(instruction.b);
          break;
        case Operation::kMatch:
          return false;
        default:
          open.push_back(at + 1);
          break;
      }
    }
    return true;
  }

  const std::string& pattern_;
  const Dialect dialect_;
  Program program_;
  std::vector<CodeRanges> known_;
  uint32_t barrier_ = 0;
  size_t nodes_ = 0;
  bool searchBegin_ = false;
};

}  // namespace

Program compilePattern(const std::string& pattern, Dialect dialect) {
  return Compiler(pattern, dialect).compile();
}

}  // namespace anneal::text
