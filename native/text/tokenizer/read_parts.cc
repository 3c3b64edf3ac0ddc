// read_parts.cc — normalizers and pre-tokenizers of a tokenizer.json.
#include <cctype>
#include <utility>
#include <vector>

#include "text/normalize/precompiled.h"
#include "text/tokenizer/read.h"

namespace anneal::text {
namespace {

constexpr int kDeepest = 16;

SplitBehavior readBehavior(const Field& behavior) {
  const std::string name = behavior.string();
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  behavior.refuse("\"Removed\", \"Isolated\", \"MergedWithPrevious\", \"MergedWithNext\" or \"Contiguous\"");
}

NormalizerPointer readNormalizerAt(const Field& part, int depth) {
  if (depth > kDeepest) part.fail("normalizers are nested deeper than 16 levels");
  const std::string type = part.type();
  if (type == "Sequence") {
    std::vector<NormalizerPointer> members;
    const Field list = part.member("normalizers");
    for (size_t i = 0; i < list.list().value().size(); ++i) {
      members.push_back(readNormalizerAt(list.item(i), depth + 1));
    }
    return makeNormalizerSequence(std::move(members));
  }
  if (type == "NFC") return makeUnicodeNormalizer(NormalForm::kNfc);
  if (type == "NFD") return makeUnicodeNormalizer(NormalForm::kNfd);
  if (type == "NFKC") return makeUnicodeNormalizer(NormalForm::kNfkc);
  if (type == "NFKD") return makeUnicodeNormalizer(NormalForm::kNfkd);
  if (type == "Lowercase") return makeLowercase();
  if (type == "Strip") return makeStrip(part.boolean("strip_left"), part.boolean("strip_right"));
  if (type == "StripAccents") return makeStripAccents();
  if (type == "Replace") return readReplace(part);
  if (type == "Prepend") return makePrepend(part.string("prepend"));
  if (type == "Nmt") return makeNmt();
  if (type == "ByteLevel") return makeByteLevelNormalizer();
  if (type == "Precompiled") {
    const std::string charsmap = part.string("precompiled_charsmap");
    return inPart(part, [&] { return makePrecompiled(charsmap); });
  }
  if (type == "BertNormalizer") {
    BertNormalizerOptions options;
    options.cleanText = part.boolean("clean_text");
    options.handleChineseChars = part.boolean("handle_chinese_chars");
    options.lowercase = part.boolean("lowercase");
    options.stripAccents = part.has("strip_accents") ? part.boolean("strip_accents") : options.lowercase;
    return makeBertNormalizer(options);
  }
  part.unknown("normalizer",
               "NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents, Replace, Prepend, Nmt, ByteLevel, "
               "BertNormalizer, Precompiled and Sequence");
}

PreTokenizerPointer readPreTokenizerAt(const Field& part, bool mapBytes, int depth) {
  if (depth > kDeepest) part.fail("pre-tokenizers are nested deeper than 16 levels");
  const std::string type = part.type();
  if (type == "Sequence") {
    std::vector<PreTokenizerPointer> members;
    const Field list = part.member("pretokenizers");
    for (size_t i = 0; i < list.list().value().size(); ++i) {
      members.push_back(readPreTokenizerAt(list.item(i), mapBytes, depth + 1));
    }
    return makePreTokenizerSequence(std::move(members));
  }
  if (type == "ByteLevel") {
    part.boolean("trim_offsets");
    return makeByteLevel(part.boolean("add_prefix_space"), part.boolean("use_regex", true), mapBytes);
  }
  if (type == "Split") {
    const Pattern pattern = readPattern(part.member("pattern"));
    const SplitBehavior behavior = readBehavior(part.member("behavior"));
    const bool invert = part.boolean("invert");
    return inPart(part.member("pattern"),
                  [&] { return makeSplit(pattern.text, pattern.isRegex, behavior, invert); });
  }
  if (type == "Metaspace") {
    const MetaspaceFields fields = readMetaspace(part);
    return makeMetaspace(fields.replacement, fields.scheme, fields.split);
  }
  if (type == "Whitespace") return makeWhitespace();
  if (type == "WhitespaceSplit") return makeWhitespaceSplit();
  if (type == "BertPreTokenizer") return makeBertPreTokenizer();
  if (type == "Punctuation") {
    return makePunctuation(part.has("behavior") ? readBehavior(part.member("behavior"))
                                                : SplitBehavior::kIsolated);
  }
  if (type == "Digits") return makeDigits(part.boolean("individual_digits"));
  if (type == "CharDelimiterSplit") return makeCharDelimiterSplit(part.member("delimiter").character());
  if (type == "UnicodeScripts") return makeUnicodeScripts();
  if (type == "FixedLength") {
    const uint64_t length = part.has("length") ? part.member("length").count() : 5;
    if (length == 0) part.member("length").refuse("at least 1");
    return makeFixedLength(static_cast<uint32_t>(length));
  }
  part.unknown(
      "pre-tokenizer",
      "Split, ByteLevel, Metaspace, Whitespace, WhitespaceSplit, BertPreTokenizer, Punctuation, Digits, "
      "CharDelimiterSplit, UnicodeScripts, FixedLength and Sequence");
}

}  // namespace

NormalizerPointer readNormalizer(const Field& part) { return readNormalizerAt(part, 0); }

PreTokenizerPointer readPreTokenizer(const Field& part, bool mapBytes) {
  return readPreTokenizerAt(part, mapBytes, 0);
}

bool endsInByteLevel(const Field& part) {
  if (part.value().isNull()) return false;
  const std::string type = part.type();
  if (type == "ByteLevel") return true;
  if (type != "Sequence") return false;
  const Field list = part.member("pretokenizers");
  const size_t size = list.list().value().size();
  // A spelling in the middle would be looked at by the members after it.
  for (size_t i = 0; i + 1 < size; ++i) {
    const std::string inner = list.item(i).type();
    if (inner == "ByteLevel" || inner == "Sequence") return false;
  }
  return size > 0 && endsInByteLevel(list.item(size - 1));
}

MetaspaceFields readMetaspace(const Field& part) {
  MetaspaceFields fields{part.member("replacement").character(), PrependScheme::kAlways,
                         part.boolean("split", true)};
  if (part.has("prepend_scheme")) {
    const Field scheme = part.member("prepend_scheme");
    const std::string name = scheme.string();
    if (name == "first") {
      fields.scheme = PrependScheme::kFirst;
    } else if (name == "never") {
      fields.scheme = PrependScheme::kNever;
    } else if (name != "always") {
      scheme.refuse("\"first\", \"never\" or \"always\"");
    }
  }
  if (!part.boolean("add_prefix_space", true) && fields.scheme != PrependScheme::kNever) {
    part.fail(part.place() + " has add_prefix_space false, which goes with prepend_scheme \"never\" only");
  }
  return fields;
}

Pattern readPattern(const Field& pattern) {
  pattern.object();
  const bool regex = pattern.has("Regex");
  if (regex == pattern.has("String")) pattern.refuse("{\"String\": …} or {\"Regex\": …}");
  return {pattern.member(regex ? "Regex" : "String").string(), regex};
}

NormalizerPointer readReplace(const Field& part) {
  const Pattern pattern = readPattern(part.member("pattern"));
  const std::string content = part.string("content");
  return inPart(part.member("pattern"), [&] { return makeReplace(pattern.text, pattern.isRegex, content); });
}

}  // namespace anneal::text
