// normalizer.h — the normalizers of tokenizer.json files, with the results of HF tokenizers 0.23.2.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/normalize/alignment.h"

namespace anneal::text {

// Immutable, for any number of threads at once.
class Normalizer {
 public:
  virtual ~Normalizer() = default;

  // Changes `text` in place. `alignment` may be null; otherwise it is that of `text` (identityAlignment for
  // fresh text) and is kept in step.
  virtual void apply(std::string& text, Alignment* alignment) const = 0;

  // True where `apply` would surely change nothing: then the text need not be copied. Costs a pass over the
  // text at most; false says nothing.
  virtual bool leaves(std::string_view text) const = 0;
};

using NormalizerPointer = std::shared_ptr<const Normalizer>;

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

struct BertNormalizerOptions {
  bool cleanText = true;
  bool handleChineseChars = true;
  bool stripAccents = true;  // JSON null means: as `lowercase`
  bool lowercase = true;
};

NormalizerPointer makeUnicodeNormalizer(NormalForm form);
NormalizerPointer makeLowercase();
NormalizerPointer makeStrip(bool left, bool right);
NormalizerPointer makeStripAccents();
// Every match of `pattern` becomes `content`. A regular expression that cannot be compiled is a TextError.
NormalizerPointer makeReplace(const std::string& pattern, bool isRegex, const std::string& content);
NormalizerPointer makePrepend(const std::string& prefix);
NormalizerPointer makeNmt();
// Every byte becomes the character that stands for it in byte-level vocabularies.
NormalizerPointer makeByteLevelNormalizer();
NormalizerPointer makeBertNormalizer(const BertNormalizerOptions& options);
NormalizerPointer makeNormalizerSequence(std::vector<NormalizerPointer> members);

}  // namespace anneal::text
