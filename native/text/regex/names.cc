// names.cc — the names of properties in patterns.
#include <map>
#include <string>

#include "text/regex/code_set.h"
#include "text/unicode/properties.h"

namespace anneal::text {

namespace {

CodeRanges categories(uint32_t mask) {
  return CodeRanges::where([mask](uint8_t bits) { return ((mask >> (bits & kCategoryBits)) & 1) != 0; });
}

CodeRanges listed(const uint32_t* bounds, size_t size) {
  CodeRanges set;
  for (size_t i = 0; i < size; i += 2) {
    set.add(bounds[i], (i + 1 < size ? bounds[i + 1] : kCodePoints) - 1);
  }
  return set;
}

std::string plain(std::string_view name) {
  std::string result;
  for (const char c : name) {
    if (c == ' ' || c == '_' || c == '-') continue;
    result += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  return result;
}

const std::map<std::string, uint32_t>& categoryNames() {
  static const std::map<std::string, uint32_t> names = [] {
    std::map<std::string, uint32_t> map{{"l", kLetterMask},
                                        {"letter", kLetterMask},
                                        {"m", kMarkMask},
                                        {"mark", kMarkMask},
                                        {"combiningmark", kMarkMask},
                                        {"n", kNumberMask},
                                        {"number", kNumberMask},
                                        {"p", kPunctuationMask},
                                        {"punctuation", kPunctuationMask},
                                        {"punct", kPunctuationMask},
                                        {"s", kSymbolMask},
                                        {"symbol", kSymbolMask},
                                        {"z", kSeparatorMask},
                                        {"separator", kSeparatorMask},
                                        {"c", kOtherMask},
                                        {"other", kOtherMask},
                                        {"lc", 0x7},
                                        {"casedletter", 0x7}};
    const char* const shortNames[] = {"lu", "ll", "lt", "lm", "lo", "mn", "mc", "me", "nd", "nl",
                                      "no", "pc", "pd", "ps", "pe", "pi", "pf", "po", "sm", "sc",
                                      "sk", "so", "zs", "zl", "zp", "cc", "cf", "cs", "co", "cn"};
    const char* const longNames[] = {
        "uppercaseletter",    "lowercaseletter",  "titlecaseletter",  "modifierletter",
        "otherletter",        "nonspacingmark",   "spacingmark",      "enclosingmark",
        "decimalnumber",      "letternumber",     "othernumber",      "connectorpunctuation",
        "dashpunctuation",    "openpunctuation",  "closepunctuation", "initialpunctuation",
        "finalpunctuation",   "otherpunctuation", "mathsymbol",       "currencysymbol",
        "modifiersymbol",     "othersymbol",      "spaceseparator",   "lineseparator",
        "paragraphseparator", "control",          "format",           "surrogate",
        "privateuse",         "unassigned"};
    for (unsigned i = 0; i < 30; ++i) {
      map[shortNames[i]] = 1U << i;
      map[longNames[i]] = 1U << i;
    }
    return map;
  }();
  return names;
}

CodeRanges uppercase() {
  CodeRanges set = categories(categoryBit(Category::kLu));
  set.add(listed(kOtherUppercase, kOtherUppercaseSize));
  return set;
}

CodeRanges lowercaseLetters() {
  CodeRanges set = categories(categoryBit(Category::kLl));
  set.add(listed(kOtherLowercase, kOtherLowercaseSize));
  return set;
}

CodeRanges withBit(uint8_t bit) {
  return CodeRanges::where([bit](uint8_t bits) { return (bits & bit) != 0; });
}

CodeRanges alphabetic() { return withBit(kAlphabeticBit); }

// White space, controls and unassigned characters are not visible.
CodeRanges visible() {
  CodeRanges hidden =
      categories(categoryBit(Category::kCc) | categoryBit(Category::kCn) | categoryBit(Category::kCs));
  hidden.add(withBit(kSpaceBit));
  return hidden.complement();
}

bool script(const std::string& name, CodeRanges& set) {
  const uint32_t* at = kScriptRanges;
  for (size_t i = 0; i < kScriptNamesSize; ++i) {
    if (plain(kScriptNames[i]) == name) {
      set = listed(at + 1, *at);
      return true;
    }
    at += 1 + *at;
  }
  return false;
}

}  // namespace

const CodeRanges& whitespaceSet() {
  static const CodeRanges set = withBit(kSpaceBit);
  return set;
}

const CodeRanges& digitSet() {
  static const CodeRanges set = categories(categoryBit(Category::kNd));
  return set;
}

const CodeRanges& wordSet() {
  // \w takes superscripts and fractions of Latin-1 for words; [[:word:]] does not.
  static const CodeRanges set = [] {
    CodeRanges ranges = withBit(kWordBit);
    ranges.add(categories(kNumberMask).intersection(CodeRanges::of(0, 0xFF)));
    return ranges;
  }();
  return set;
}

const CodeRanges& rustWordSet() {
  static const CodeRanges set = [] {
    CodeRanges ranges = withBit(kWordBit);
    ranges.add(0x200C, 0x200D);
    return ranges;
  }();
  return set;
}

const CodeRanges& hexadecimalSet() {
  static const CodeRanges set = [] {
    CodeRanges ranges = CodeRanges::of('0', '9');
    ranges.add('A', 'F');
    ranges.add('a', 'f');
    return ranges;
  }();
  return set;
}

bool posixClass(std::string_view given, CodeRanges& set) {
  const std::string name(given);
  if (name == "alpha") {
    set = alphabetic();
  } else if (name == "alnum") {
    set = alphabetic();
    set.add(digitSet());
  } else if (name == "digit") {
    set = digitSet();
  } else if (name == "space") {
    set = whitespaceSet();
  } else if (name == "upper") {
    set = uppercase();
  } else if (name == "lower") {
    set = lowercaseLetters();
  } else if (name == "punct") {
    set = categories(kPunctuationMask | kSymbolMask);
  } else if (name == "cntrl") {
    set = categories(categoryBit(Category::kCc));
  } else if (name == "blank") {
    set = categories(categoryBit(Category::kZs));
    set.add('\t', '\t');
  } else if (name == "xdigit") {
    set = hexadecimalSet();
  } else if (name == "word") {
    set = withBit(kWordBit);
  } else if (name == "graph") {
    set = visible();
  } else if (name == "print") {
    set = visible();
    set.add(categories(categoryBit(Category::kZs)));
  } else if (name == "ascii") {
    set = CodeRanges::of(0, 0x7F);
  } else {
    return false;
  }
  return true;
}

bool namedProperty(std::string_view given, CodeRanges& set) {
  const std::string name = plain(given);
  const auto found = categoryNames().find(name);
  if (found != categoryNames().end()) {
    set = categories(found->second);
    return true;
  }
  if (name == "any") {
    set = CodeRanges::all();
  } else if (name == "assigned") {
    set = categories(categoryBit(Category::kCn)).complement();
  } else if (name == "alphabetic") {
    set = alphabetic();
  } else if (name == "whitespace") {
    set = whitespaceSet();
  } else if (name == "uppercase") {
    set = uppercase();
  } else if (name == "lowercase") {
    set = lowercaseLetters();
  } else {
    return posixClass(name, set) || script(name, set);
  }
  return true;
}

}  // namespace anneal::text
