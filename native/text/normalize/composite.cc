// composite.cc — normalizers made of others: sequences, BERT's, and Replace.
#include "text/normalize/bert.h"
#include "text/normalize/normalizer.h"
#include "text/normalize/transform.h"
#include "text/regex/regex.h"
#include "text/unicode/properties.h"

namespace anneal::text {

namespace {

class Sequence final : public Normalizer {
 public:
  explicit Sequence(std::vector<NormalizerPointer> members) : members_(std::move(members)) {}
  bool leaves(std::string_view text) const override {
    for (const NormalizerPointer& member : members_) {
      if (!member->leaves(text)) return false;
    }
    return true;
  }
  void apply(std::string& text, Alignment* alignment) const override {
    for (const NormalizerPointer& member : members_) member->apply(text, alignment);
  }

 private:
  const std::vector<NormalizerPointer> members_;
};

// A space on both sides of every Chinese character.
class ChineseSpacer final : public Normalizer {
 public:
  bool leaves(std::string_view text) const override {
    const char* const end = text.data() + text.size();
    for (const char* at = text.data(); at < end;) {
      // The least of them is U+3400.
      if (static_cast<unsigned char>(*at) < 0xE3) {
        at += characterLength(static_cast<unsigned char>(*at));
      } else if (isChinese(decode(at))) {
        return false;
      }
    }
    return true;
  }

  void apply(std::string& text, Alignment* alignment) const override {
    if (leaves(text)) return;
    Transform out(text, alignment);
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    for (const char* at = begin; at < end;) {
      const char* from = at;
      const char32_t code = decode(at);
      if (!isChinese(code)) continue;
      out.keep(static_cast<size_t>(from - begin));
      out.put(' ', 0);
      out.put(code, 1);
      out.put(' ', 1);
    }
    out.keep(text.size());
    out.finish();
  }
};

class Replace final : public Normalizer {
 public:
  Replace(const std::string& pattern, bool isRegex, const std::string& content) : content_(content) {
    if (isRegex) {
      regex_ = std::make_unique<const Regex>(pattern);
    } else if (pattern.empty()) {
      regex_ = std::make_unique<const Regex>("");
    } else {
      literal_ = pattern;
    }
  }

  bool leaves(std::string_view text) const override {
    if (!regex_) return text.find(literal_) == std::string_view::npos;
    Match match;
    return !Matches(*regex_, text).next(match);
  }

  void apply(std::string& text, Alignment* alignment) const override {
    // HF tokenizers does not look for matches in an empty text.
    if (text.empty() || leaves(text)) return;
    Transform out(text, alignment);
    const auto replace = [&](size_t begin, size_t end) {
      out.keep(begin);
      out.insert(content_, end);
      out.skipTo(end);
    };
    if (regex_) {
      Matches matches(*regex_, text);
      for (Match match; matches.next(match);) replace(match.begin, match.end);
    } else {
      for (size_t at = text.find(literal_); at != std::string::npos; at = text.find(literal_, out.offset())) {
        replace(at, at + literal_.size());
      }
    }
    out.keep(text.size());
    out.finish();
  }

 private:
  const std::string content_;
  std::string literal_;
  std::unique_ptr<const Regex> regex_;
};

}  // namespace

NormalizerPointer makeReplace(const std::string& pattern, bool isRegex, const std::string& content) {
  return std::make_shared<Replace>(pattern, isRegex, content);
}

NormalizerPointer makeNormalizerSequence(std::vector<NormalizerPointer> members) {
  return std::make_shared<Sequence>(std::move(members));
}

NormalizerPointer makeBertNormalizer(const BertNormalizerOptions& options) {
  std::vector<NormalizerPointer> members;
  if (options.cleanText) members.push_back(makeBertCleaner());
  if (options.handleChineseChars) members.push_back(std::make_shared<ChineseSpacer>());
  if (options.stripAccents) {
    members.push_back(makeUnicodeNormalizer(NormalForm::kNfd));
    members.push_back(makeBertAccentStripper());
  }
  if (options.lowercase) members.push_back(makeLowercase());
  return makeNormalizerSequence(std::move(members));
}

}  // namespace anneal::text
