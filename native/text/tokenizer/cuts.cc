#include "text/tokenizer/cuts.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "text/tokenizer/read.h"
#include "text/unicode/properties.h"
#include "text/unicode/utf8.h"

namespace anneal::text {
namespace {

constexpr std::string_view kBlock = "\xE2\x96\x81";  // U+2581

// Patterns no match of which has a letter followed by a space, by a line end, or a Chinese character followed
// by U+3002, and which look at nothing beyond such a place: GPT-2, GPT-4 (two forms), GPT-4o, Llama 3, Qwen 2
// and DeepSeek-V3's last.
constexpr std::array<std::string_view, 8> kSeparating{
    R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s)",
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};

// Patterns whose matches have digits, line ends or Chinese and Japanese letters only: they cut nothing that a
// place between a letter and a space could change.
constexpr std::array<std::string_view, 6> kHarmless{
    R"(\p{N}{1,3})",
    R"(\p{N})",
    R"(\p{N}+)",
    R"(\d)",
    "[\xE4\xB8\x80-\xE9\xBE\xA5\xE3\x81\x80-\xE3\x82\x9F\xE3\x82\xA0-\xE3\x83\xBF]+",
    "[\xE4\xB8\x80-\xE9\xBE\xA5]+"};

template <size_t count>
bool among(const std::array<std::string_view, count>& list, std::string_view pattern) {
  return std::find(list.begin(), list.end(), pattern) != list.end();
}

// What a part of the file does to places.
struct Effect {
  bool sound = true;    // nothing in it crosses or looks across a place
  CutRule cuts;         // places at which it cuts
  bool prefix = false;  // it puts a space before texts that have none
  bool block = false;   // spaces become U+2581
};

Effect unsound() {
  Effect effect;
  effect.sound = false;
  return effect;
}

Effect merge(Effect a, const Effect& b) {
  a.sound = a.sound && b.sound;
  a.cuts.space = a.cuts.space || b.cuts.space;
  a.cuts.newline = a.cuts.newline || b.cuts.newline;
  a.cuts.stop = a.cuts.stop || b.cuts.stop;
  a.prefix = a.prefix || b.prefix;
  a.block = a.block || b.block;
  return a;
}

Effect splitEffect(const Field& part) {
  const Pattern pattern = readPattern(part.member("pattern"));
  const std::string behavior = part.string("behavior");
  const bool invert = part.boolean("invert");
  if (!pattern.isRegex) return unsound();
  Effect effect;
  // These patterns leave nothing between their matches.
  const bool whole = (behavior == "Isolated" && !invert) || (behavior == "Removed" && invert);
  if (whole && among(kSeparating, pattern.text)) {
    effect.cuts = {true, true, true};
    return effect;
  }
  if (behavior == "Isolated" && !invert && among(kHarmless, pattern.text)) return effect;
  return unsound();
}

Effect preTokenizerEffect(const Field& part) {
  Effect effect;
  if (part.value().isNull()) return effect;
  const std::string type = part.type();
  if (type == "Sequence") {
    const Field list = part.member("pretokenizers");
    for (size_t i = 0; i < list.value().size(); ++i) {
      const Effect inner = preTokenizerEffect(list.item(i));
      // Parts behind one that rewrites the text see another.
      if (inner.block && list.value().size() > 1) return unsound();
      if (i + 1 < list.value().size() && list.item(i).type() == "ByteLevel") return unsound();
      effect = merge(effect, inner);
    }
  } else if (type == "Split") {
    effect = splitEffect(part);
  } else if (type == "ByteLevel") {
    effect.prefix = part.boolean("add_prefix_space");
    if (part.boolean("use_regex", true)) effect.cuts = {true, true, true};
  } else if (type == "Whitespace" || type == "BertPreTokenizer") {
    effect.cuts = {true, true, true};
  } else if (type == "WhitespaceSplit") {
    effect.cuts = {true, true, false};
  } else if (type == "Metaspace") {
    const MetaspaceFields fields = readMetaspace(part);
    if (fields.replacement != 0x2581) return unsound();
    effect.block = true;
    effect.prefix = fields.scheme != PrependScheme::kNever;
    effect.cuts.space = fields.split;
  } else if (type == "Digits") {
    // Sound as it is.
  } else if (type == "Punctuation") {
    effect.sound = !part.has("behavior") || part.string("behavior") == "Isolated";
  } else {
    return unsound();
  }
  return effect;
}

// `dropsSpaces`: whether the pre-tokenizer drops white space.
Effect normalizerEffect(const Field& part, bool dropsSpaces) {
  Effect effect;
  if (part.value().isNull()) return effect;
  const std::string type = part.type();
  if (type == "Sequence") {
    const Field list = part.member("normalizers");
    for (size_t i = 0; i < list.value().size(); ++i) {
      effect = merge(effect, normalizerEffect(list.item(i), dropsSpaces));
    }
  } else if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD" || type == "Lowercase" ||
             type == "StripAccents" || type == "Nmt") {
    // Letters followed by a space stay something visible followed by a space.
  } else if (type == "BertNormalizer") {
    // It puts spaces around Chinese characters, which matters only where spaces are kept.
    effect.sound = dropsSpaces;
  } else if (type == "Prepend") {
    effect.prefix = true;
  } else if (type == "Replace") {
    const Pattern pattern = readPattern(part.member("pattern"));
    if (!pattern.isRegex && pattern.text == " " && part.string("content") == kBlock) {
      effect.block = true;
    } else {
      const char* at = pattern.text.data();
      const char* end = at + pattern.text.size();
      effect.sound = !pattern.isRegex && at < end;
      while (at < end) {
        const char32_t code = decode(at);
        if (isWhitespace(code) || code == 0x2581 || code == 0x3002 || inCategories(code, kLetterMask)) {
          effect.sound = false;
        }
      }
    }
  } else {
    return unsound();
  }
  return effect;
}

// Whether an added token could be found across a place, or take along what stands behind it.
bool crosses(const AddedToken& token) {
  const std::string& content = token.content;
  if (token.rightStrip) return true;
  const char* begin = content.data();
  const char* end = begin + content.size();
  for (const char* at = begin; at < end;) {
    const bool first = at == begin;
    const char32_t code = decode(at);
    const bool behind = isWhitespace(code) || code == 0x2581 || code == 0x3002;
    // A normalizer may turn its beginning into anything, so normalized tokens must have none of these.
    if (behind && (!first || token.singleWord || token.normalized)) return true;
  }
  return token.normalized && (token.leftStrip || token.singleWord);
}

}  // namespace

size_t CutRule::next(std::string_view text, size_t from) const {
  const char* begin = text.data();
  const char* end = begin + text.size();
  for (const char* at = begin + std::max<size_t>(from, 1); at < end; ++at) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    if (*at == ' ' && space) {
      const char* before = at;
      if (letter(at[-1]) || (static_cast<unsigned char>(at[-1]) >= 0x80 &&
                             inCategories(decodeBackward(begin, before), kLetterMask))) {
        return static_cast<size_t>(at - begin);
      }
    } else if (*at == '\n' && newline) {
      if (letter(at[-1])) return static_cast<size_t>(at - begin);
    } else if (*at == '\xE3' && stop && end - at >= 3 && at[1] == '\x80' && at[2] == '\x82') {
      const char* before = at;
      const char32_t code = decodeBackward(begin, before);
      if (code >= 0x4E00 && code <= 0x9FA5) return static_cast<size_t>(at - begin);
    }
  }
  return text.size();
}

CutRule cutRule(const Field& root, const std::vector<AddedToken>& added, bool spaceWords) {
  const Field preTokenizer = root.member("pre_tokenizer");
  const std::string type = preTokenizer.value().isNull() ? "" : preTokenizer.type();
  const bool dropsSpaces = type == "BertPreTokenizer" || type == "Whitespace" || type == "WhitespaceSplit";
  const Effect before = normalizerEffect(root.member("normalizer"), dropsSpaces);
  const Effect cutting = preTokenizerEffect(preTokenizer);
  if (!before.sound || !cutting.sound) return {};
  if (std::any_of(added.begin(), added.end(), crosses)) return {};
  CutRule rule;
  if (before.block || cutting.block) {
    // Spaces are U+2581 where words are told apart: by Metaspace, or by a model that keeps them apart itself.
    const bool known = type.empty() || type == "Metaspace";
    rule.space = known && (spaceWords || (cutting.cuts.space && !before.block));
    return rule;
  }
  rule = cutting.cuts;
  if (before.prefix || cutting.prefix) rule.newline = rule.stop = false;
  return rule;
}

CutRule cutRule(std::string_view pattern, const std::vector<AddedToken>& added) {
  if (!among(kSeparating, pattern) || std::any_of(added.begin(), added.end(), crosses)) return {};
  return {true, true, true};
}

}  // namespace anneal::text
