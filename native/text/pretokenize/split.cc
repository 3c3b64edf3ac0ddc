// split.cc — Split: cuts at the matches of a pattern; and sequences of pre-tokenizers.
#include "text/pretokenize/folder.h"
#include "text/pretokenize/patterns.h"
#include "text/regex/regex.h"

namespace anneal::text {

namespace {

class RegexSplit final : public PreTokenizer {
 public:
  RegexSplit(const std::string& pattern, bool isRegex, SplitBehavior behavior, bool invert,
             Dialect dialect = Dialect::kOniguruma)
      : pattern_(pattern), isRegex_(isRegex), behavior_(behavior), invert_(invert) {
    if (isRegex &&
        (behavior == SplitBehavior::kIsolated || (behavior == SplitBehavior::kRemoved && invert))) {
      scanner_ = scannerOf(pattern, dialect);
    }
    if (!scanner_) regex_ = std::make_unique<const Regex>(isRegex ? pattern : escaped(pattern), dialect);
  }

  bool covers() const override { return scanner_ != nullptr || behavior_ != SplitBehavior::kRemoved; }
  using PreTokenizer::split;

  void split(std::string_view text, Piece whole, std::vector<Piece>& out) const override {
    if (scanner_) return scanner_->split(text, whole, out);
    Folder folder(behavior_, out);
    const uint32_t size = whole.end - whole.begin;
    Matches matches(*regex_, text.substr(whole.begin, size));
    uint32_t behind = 0;
    for (Match match; matches.next(match);) {
      const auto begin = static_cast<uint32_t>(match.begin);
      const auto end = static_cast<uint32_t>(match.end);
      if (behind != begin) folder.add({whole.begin + behind, whole.begin + begin}, invert_);
      folder.add({whole.begin + begin, whole.begin + end}, !invert_);
      behind = end;
    }
    if (behind != size) folder.add({whole.begin + behind, whole.end}, invert_);
    folder.finish();
  }

  // Whether this is step `index` of DeepSeek-V3's.
  bool isDeepSeek(size_t index) const {
    return isRegex_ && behavior_ == SplitBehavior::kIsolated && !invert_ &&
           isDeepSeekPattern(pattern_, index);
  }

 private:
  static std::string escaped(const std::string& text) {
    std::string pattern;
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      if (byte < 0x80 && byte > ' ' && !word) pattern += '\\';
      pattern += c;
    }
    return pattern;
  }

  const std::string pattern_;
  const bool isRegex_;
  const SplitBehavior behavior_;
  const bool invert_;
  // The patterns that have scanners match every character of every text, so that Isolated and an inverted
  // Removed are the same.
  PreTokenizerPointer scanner_;
  std::unique_ptr<const Regex> regex_;
};

class Sequence final : public PreTokenizer {
 public:
  explicit Sequence(std::vector<PreTokenizerPointer> members) : members_(std::move(members)) {}

  bool rewrites() const override {
    for (const PreTokenizerPointer& member : members_) {
      if (member->rewrites()) return true;
    }
    return false;
  }

  bool covers() const override {
    for (const PreTokenizerPointer& member : members_) {
      if (!member->covers()) return false;
    }
    return true;
  }

  bool idle() const override { return members_.empty(); }

  using PreTokenizer::split;
  void split(std::string_view text, Piece whole, std::vector<Piece>& out) const override {
    std::vector<Piece> pieces{whole};
    std::vector<Piece> cut;
    for (size_t i = 0; i < members_.size(); ++i) {
      std::vector<Piece>& target = i + 1 == members_.size() ? out : cut;
      for (const Piece piece : pieces) members_[i]->split(text, piece, target);
      pieces.swap(cut);
      cut.clear();
    }
    if (members_.empty()) out.push_back(whole);
  }

  void apply(Section& section) const override {
    for (const PreTokenizerPointer& member : members_) member->apply(section);
  }

 private:
  std::vector<PreTokenizerPointer> members_;
};

}  // namespace

PreTokenizerPointer makeSplit(const std::string& pattern, bool isRegex, SplitBehavior behavior, bool invert) {
  return std::make_shared<RegexSplit>(pattern, isRegex, behavior, invert);
}

PreTokenizerPointer makeTiktokenSplit(const std::string& pattern) {
  return std::make_shared<RegexSplit>(pattern, true, SplitBehavior::kRemoved, true, Dialect::kRust);
}

PreTokenizerPointer makePreTokenizerSequence(std::vector<PreTokenizerPointer> members) {
  std::vector<PreTokenizerPointer> kept;
  for (PreTokenizerPointer& member : members) {
    if (member->idle()) continue;
    kept.push_back(std::move(member));
    if (kept.size() < 3) continue;
    bool deepSeek = true;
    for (size_t i = 0; i < 3; ++i) {
      const auto* split = dynamic_cast<const RegexSplit*>(kept[kept.size() - 3 + i].get());
      deepSeek = deepSeek && split != nullptr && split->isDeepSeek(i);
    }
    if (!deepSeek) continue;
    kept.resize(kept.size() - 3);
    kept.push_back(makeDeepSeekScanner());
  }
  if (kept.size() == 1) return kept[0];
  return std::make_shared<Sequence>(std::move(kept));
}

}  // namespace anneal::text
