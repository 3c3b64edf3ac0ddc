#include "text/dedup/fold.h"

#include <algorithm>
#include <iterator>

#include "text/dedup/fold_tables.h"
#include "text/error.h"
#include "text/unicode/utf8.h"

namespace anneal::text::dedup {
namespace {

enum Kind : uint16_t { kPlain, kSpace, kDigit, kDropped, kCapitalSigma, kHangul, kFirstString };
constexpr uint16_t kWordOfItsOwn = 0x8000;
constexpr char32_t kCodes = 0x110000;
constexpr unsigned kPageBits = 8;

struct ShortString {
  uint8_t size = 0;
  char bytes[15] = {};
};

// Kind of every character, in pages.
class FoldTable {
 public:
  FoldTable() : pages_(kCodes >> kPageBits, 0), entries_(1 << kPageBits, kPlain) {
    for (const CodeRange& range : kDigits) fill(range, kDigit);
    for (const CodeRange& range : kSpaces) fill(range, kSpace);
    for (const CodeRange& range : kRemoved) fill(range, kDropped);
    fill({0xAC00, 0xD7A3}, kHangul);
    for (const CodeShift& shift : kShifts) {
      for (uint32_t code = shift.first; code <= shift.last; code += shift.step) {
        ShortString target;
        target.size = static_cast<uint8_t>(encode(code + shift.distance, target.bytes));
        add(code, target);
      }
    }
    for (const CodeString& string : kStrings) {
      const std::string_view text(string.text);
      ShortString target;
      target.size = static_cast<uint8_t>(std::min(text.size(), sizeof target.bytes));
      std::copy_n(text.data(), target.size, target.bytes);
      add(string.code, target);
    }
    entry(0x3A3) = kCapitalSigma;
    for (const CodeRange& range : kUnspaced) {
      for (uint32_t code = range.first; code <= range.last; ++code) entry(code) |= kWordOfItsOwn;
    }
    for (char32_t code = 0; code < 128; ++code) {
      const uint16_t kind = (*this)[code];
      ascii_[code] = kind >= kFirstString ? strings_[kind - kFirstString].bytes[0]
                     : kind == kPlain     ? static_cast<char>(code)
                     : kind == kDigit     ? '0'
                                          : ' ';
    }
  }

  uint16_t operator[](char32_t code) const {
    return entries_[(static_cast<size_t>(pages_[code >> kPageBits]) << kPageBits) + (code & 0xFF)];
  }
  const ShortString& string(uint16_t kind) const { return strings_[kind - kFirstString]; }
  // What an ASCII character becomes.
  char ascii(unsigned char byte) const { return ascii_[byte]; }

 private:
  uint16_t& entry(char32_t code) {
    uint16_t& page = pages_[code >> kPageBits];
    if (page == 0) {
      page = static_cast<uint16_t>(entries_.size() >> kPageBits);
      entries_.resize(entries_.size() + (1 << kPageBits), kPlain);
    }
    return entries_[(static_cast<size_t>(page) << kPageBits) + (code & 0xFF)];
  }
  void fill(const CodeRange& range, uint16_t kind) {
    for (uint32_t code = range.first; code <= range.last; ++code) entry(code) = kind;
  }
  void add(char32_t code, const ShortString& target) {
    entry(code) = static_cast<uint16_t>(kFirstString + strings_.size());
    strings_.push_back(target);
  }

  std::vector<uint16_t> pages_;
  std::vector<uint16_t> entries_;
  std::vector<ShortString> strings_;
  char ascii_[128] = {};
};

const FoldTable& foldTable() {
  static const FoldTable table;
  return table;
}

template <size_t N>
bool inRanges(const CodeRange (&ranges)[N], char32_t code) {
  const CodeRange* found =
      std::upper_bound(std::begin(ranges), std::end(ranges), code,
                       [](char32_t c, const CodeRange& range) { return c < range.first; });
  return found != ranges && code <= found[-1].last;
}

bool isCased(char32_t code) { return inRanges(kCased, code); }
bool isIgnorable(char32_t code) { return inRanges(kCaseIgnorable, code); }

// Whether the capital sigma in [at, after) ends a word: a cased letter before it and none after it.
bool isFinalSigma(std::string_view text, const char* at, const char* after) {
  bool before = false;
  while (at > text.data()) {
    const char32_t code = decodeBackward(text.data(), at);
    if (isIgnorable(code)) continue;
    before = isCased(code);
    break;
  }
  if (!before) return false;
  const char* const end = text.data() + text.size();
  while (after < end) {
    const char32_t code = decode(after);
    if (isIgnorable(code)) continue;
    return !isCased(code);
  }
  return true;
}

// The decimal separators that may join two runs of digits.
bool isSeparator(char32_t code) {
  return code == U'.' || code == U',' || code == 0x60C || code == 0x66B || (code >= 0x2396 && code <= 0x2398);
}

class Folding {
 public:
  Folding(std::string_view text, Words words, bool sources, FoldedText& out)
      : table_(foldTable()), text_(text), scripts_(words == Words::kScripts), sources_(sources), out_(out) {}

  void run() {
    const char* at = text_.data();
    const char* const end = at + text_.size();
    // Every byte gives one byte at most, and one more for the space before a word that no space of the
    // original precedes; what gives more (room()) makes more room first.
    out_.text.resize(text_.size() + kSlack);
    write_ = out_.text.data();
    while (at < end) {
      const auto lead = static_cast<unsigned char>(*at);
      if (lead >= 0x80) {
        at = wide(at, end);
        continue;
      }
      const char folded = table_.ascii(lead);
      if (folded == ' ') {
        open_ = false;
        ++at;
      } else if (folded == '0') {
        at = number(at, end);
      } else {
        begin(at);
        at = letters(at, end);
        finish(at);
      }
    }
    const size_t size = static_cast<size_t>(write_ - out_.text.data());
    out_.text.resize(size);
    out_.starts.push_back(static_cast<uint32_t>(size + (size == 0 ? 0 : 1)));
  }

 private:
  // Longest thing written for one character, with a space before it and one paid for the word behind it.
  static constexpr size_t kSlack = 24;

  // ASCII letters from `at` on; where they end. Written through a copy of the place: a store of bytes could
  // change any member, as far as the compiler knows.
  const char* letters(const char* at, const char* end) {
    char* to = write_;
    do {
      const auto lead = static_cast<unsigned char>(*at);
      if (lead >= 0x80) break;
      const char folded = table_.ascii(lead);
      if (folded <= '0') break;
      *to++ = folded;
    } while (++at < end);
    write_ = to;
    return at;
  }

  // The character at `at`, which is not ASCII; where it ends.
  const char* wide(const char* at, const char* end) {
    const char* after = at;
    const char32_t code = decode(after);
    const uint16_t entry = table_[code];
    const bool alone = scripts_ && (entry & kWordOfItsOwn) != 0;
    const auto kind = static_cast<uint16_t>(entry & ~kWordOfItsOwn);
    if (kind == kDigit) return number(at, end);
    if (kind == kSpace) {
      open_ = false;
    } else if (kind != kDropped) {
      room(static_cast<size_t>(end - after));
      if (alone) open_ = false;
      begin(at);
      write(kind, code, at, after);
      finish(after);
      if (alone) open_ = false;
    }
    return after;
  }

  void room(size_t left) {
    const size_t size = static_cast<size_t>(write_ - out_.text.data());
    if (out_.text.size() - size >= left + kSlack) return;
    out_.text.resize(out_.text.size() + left + kSlack);
    write_ = out_.text.data() + size;
  }

  // Opens a word unless one is open.
  void begin(const char* at) {
    if (open_) return;
    const char* const first = out_.text.data();
    if (write_ != first) *write_++ = ' ';
    out_.starts.push_back(static_cast<uint32_t>(write_ - first));
    if (sources_) {
      out_.sourceBegins.push_back(static_cast<uint32_t>(at - text_.data()));
      out_.sourceEnds.push_back(0);
    }
    open_ = true;
  }

  void finish(const char* after) {
    if (sources_) out_.sourceEnds.back() = static_cast<uint32_t>(after - text_.data());
  }

  bool isDigitAt(const char* at, const char* end) const {
    return at < end && (table_[decode(at)] & ~kWordOfItsOwn) == kDigit;
  }

  // Digits, and one separator with more digits behind it, are one "0".
  const char* number(const char* at, const char* end) {
    begin(at);
    *write_++ = '0';
    while (isDigitAt(at, end)) decode(at);
    const char* next = at;
    if (at < end && isSeparator(decode(next)) && isDigitAt(next, end)) {
      at = next;
      while (isDigitAt(at, end)) decode(at);
    }
    finish(at);
    return at;
  }

  void write(uint16_t kind, char32_t code, const char* at, const char* after) {
    if (kind == kPlain) {
      write_ = std::copy(at, after, write_);
    } else if (kind == kCapitalSigma) {
      write_ += encode(isFinalSigma(text_, at, after) ? 0x3C2 : 0x3C3, write_);
    } else if (kind == kHangul) {
      // A syllable is its leading consonant, vowel and, where there is one, trailing consonant.
      const char32_t index = code - 0xAC00;
      write_ += encode(0x1100 + index / 588, write_);
      write_ += encode(0x1161 + index % 588 / 28, write_);
      if (index % 28 != 0) write_ += encode(0x11A7 + index % 28, write_);
    } else {
      const ShortString& target = table_.string(kind);
      write_ = std::copy_n(target.bytes, target.size, write_);
    }
  }

  const FoldTable& table_;
  const std::string_view text_;
  const bool scripts_;
  const bool sources_;
  FoldedText& out_;
  char* write_ = nullptr;
  bool open_ = false;
};

}  // namespace

void fold(std::string_view text, Words words, bool sources, FoldedText& out) {
  if (text.size() >= size_t{1} << 30) {
    throw TextError("ERR_DATA",
                    "A document of " + std::to_string(text.size()) +
                        " bytes cannot be folded: the limit is 1 GiB. Cut it into several documents.",
                    {{"bytes", static_cast<double>(text.size())}});
  }
  out.text.clear();
  out.starts.clear();
  out.sourceBegins.clear();
  out.sourceEnds.clear();
  Folding(text, words, sources, out).run();
}

}  // namespace anneal::text::dedup
