// unicode_forms.cc — NFC, NFD, NFKC and NFKD, in a stream: characters are decomposed, marks put in order, and
// put together again. Each carries the change by which Transform aligns it.
#include <algorithm>
#include <vector>

#include "text/normalize/normalizer.h"
#include "text/normalize/transform.h"
#include "text/unicode/normal_forms.h"

namespace anneal::text {

namespace {

struct Part {
  uint8_t combining;
  char32_t code;
  int change;
};

// Puts parts together; they come in canonical order.
class Composer {
 public:
  explicit Composer(Transform& out) : out_(out) {}

  void push(const Part& part) {
    if (!has_) {
      if (part.combining != 0) {
        out_.put(part.code, part.change);
      } else {
        start(part);
      }
      return;
    }
    if (marks_.empty() || marks_.back().combining < part.combining) {
      if (const char32_t both = composition(starter_.code, part.code)) {
        starter_.code = both;
        starter_.change += part.change - 1;
        return;
      }
    }
    if (part.combining == 0) {
      flush();
      start(part);
    } else {
      marks_.push_back(part);
    }
  }

  void flush() {
    if (has_) out_.put(starter_.code, starter_.change);
    for (const Part& mark : marks_) out_.put(mark.code, mark.change);
    marks_.clear();
    has_ = false;
  }

 private:
  void start(const Part& part) {
    starter_ = part;
    has_ = true;
  }

  Transform& out_;
  Part starter_{};
  bool has_ = false;
  std::vector<Part> marks_;
};

class UnicodeNormalizer final : public Normalizer {
 public:
  explicit UnicodeNormalizer(NormalForm form)
      : compatibility_(form == NormalForm::kNfkc || form == NormalForm::kNfkd),
        composed_(form == NormalForm::kNfc || form == NormalForm::kNfkc) {}

  bool leaves(std::string_view text) const override {
    uint8_t last = 0;
    const char* const end = text.data() + text.size();
    for (const char* at = text.data(); at < end;) {
      const size_t ascii = asciiPrefix({at, static_cast<size_t>(end - at)});
      if (ascii > 0) {
        at += ascii;
        last = 0;
        continue;
      }
      const char32_t code = decode(at);
      if (!normalInForm(code, compatibility_, composed_)) return false;
      const uint8_t combining = combiningClass(code);
      if (combining != 0 && combining < last) return false;
      last = combining;
    }
    return true;
  }

  void apply(std::string& text, Alignment* alignment) const override {
    if (leaves(text)) return;
    Transform out(text, alignment);
    Composer composer(out);
    std::vector<Part> pending;
    const auto emit = [&](const Part& part) {
      if (composed_) {
        composer.push(part);
      } else {
        out.put(part.code, part.change);
      }
    };
    const auto flush = [&] {
      std::stable_sort(pending.begin(), pending.end(),
                       [](const Part& a, const Part& b) { return a.combining < b.combining; });
      for (const Part& part : pending) emit(part);
      pending.clear();
    };
    const auto push = [&](char32_t code, bool first) {
      const uint8_t combining = combiningClass(code);
      if (combining == 0) flush();
      pending.push_back({combining, code, first ? 0 : 1});
    };
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    for (const char* at = begin; at < end;) {
      const size_t ascii = asciiPrefix({at, static_cast<size_t>(end - at)});
      if (ascii > 1) {
        // Only the last one can take part in anything.
        flush();
        composer.flush();
        out.keep(static_cast<size_t>(at - begin) + ascii - 1);
        at += ascii - 1;
      }
      const char32_t code = decode(at);
      if (isHangulSyllable(code)) {
        const char32_t index = code - kHangulFirst;
        push(kLeadingFirst + index / (kVowelCount * kTrailingCount), true);
        push(kVowelFirst + index % (kVowelCount * kTrailingCount) / kTrailingCount, false);
        if (index % kTrailingCount != 0) push(kTrailingBefore + index % kTrailingCount, false);
        continue;
      }
      const Decomposition parts = decomposition(code, compatibility_);
      if (parts.length == 0) {
        push(code, true);
        continue;
      }
      for (uint32_t i = 0; i < parts.length; ++i) push(parts.codes[i], i == 0);
    }
    flush();
    composer.flush();
    out.finish();
  }

 private:
  const bool compatibility_;
  const bool composed_;
};

}  // namespace

NormalizerPointer makeUnicodeNormalizer(NormalForm form) { return std::make_shared<UnicodeNormalizer>(form); }

}  // namespace anneal::text
