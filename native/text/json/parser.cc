#include "text/json/parser.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "text/error.h"
#include "text/json/keys.h"
#include "text/json/numbers.h"
#include "text/unicode/utf8.h"

namespace anneal::text::json {
namespace {

constexpr size_t kChunkBytes = size_t{64} << 10;

// Whether one of eight bytes is a quote, a backslash or below 0x20.
bool hasSpecial(uint64_t word) {
  constexpr uint64_t ones = 0x0101010101010101U;
  constexpr uint64_t highs = 0x8080808080808080U;
  const auto zeroIn = [](uint64_t value) { return (value - ones) & ~value & highs; };
  const uint64_t control = (word - ones * 0x20) & ~word & highs;
  return (zeroIn(word ^ (ones * '"')) | zeroIn(word ^ (ones * '\\')) | control) != 0;
}

std::string quoted(unsigned char byte) {
  if (byte == '"') return "'\"'";
  if (byte > 0x20 && byte < 0x7F) return std::string("\"") + static_cast<char>(byte) + "\"";
  if (byte == ' ') return "a space";
  if (byte == '\n') return "a line end";
  constexpr char digits[] = "0123456789ABCDEF";
  return std::string("the byte 0x") + digits[byte >> 4] + digits[byte & 15];
}

}  // namespace

// One parse. Values whose container is still open wait on a stack; when it closes, its items move next to one
// another into the document. No recursion: the depth of the text costs heap, and only as far as allowed.
class Parser {
 public:
  Parser(std::string_view text, const ParseOptions& options) : text_(text), options_(options) {}

  Document parse() {
    if (text_.size() > std::numeric_limits<uint32_t>::max() - 1) {
      throw TextError(options_.code,
                      options_.name + " has 4 GiB or more; JSON texts of that size are not read.",
                      {{"bytes", static_cast<double>(text_.size())}});
    }
    const size_t valid = firstInvalid(text_);
    if (valid < text_.size()) fail(valid, "the bytes are not UTF-8");
    if (text_.substr(0, 3) == "\xEF\xBB\xBF") fail(0, "it begins with a byte order mark; remove it");
    run();
    document_.nodes_.push_back(waiting_.back());
    return std::move(document_);
  }

 private:
  struct Frame {
    bool object;
    // Where its items begin in `waiting_`.
    size_t begin;
  };

  void run() {
    for (;;) {
      // A value begins here.
      skipSpace();
      if (at_ == text_.size()) fail(at_, "the text ends where a value is expected");
      const char lead = text_[at_];
      if (lead == '{' || lead == '[') {
        open(lead == '{');
        skipSpace();
        if (at_ < text_.size() && text_[at_] == (lead == '{' ? '}' : ']')) {
          ++at_;
          close();
        } else {
          if (lead == '{') readKey();
          continue;
        }
      } else {
        waiting_.push_back(readScalar(lead));
      }
      // A value has ended: its container goes on or ends, and that may end the one around it.
      for (;;) {
        skipSpace();
        if (frames_.empty()) {
          if (at_ < text_.size()) fail(at_, "something follows the end of the value: " + got());
          return;
        }
        const bool object = frames_.back().object;
        if (at_ == text_.size())
          fail(at_, std::string("the text ends inside ") + (object ? "an object" : "a list"));
        const char next = text_[at_];
        if (next == ',') {
          ++at_;
          if (object) {
            skipSpace();
            readKey();
          }
          break;
        }
        if (next != (object ? '}' : ']')) {
          fail(at_, std::string("expected \",\" or \"") + (object ? '}' : ']') + "\", got " + got());
        }
        ++at_;
        close();
      }
    }
  }

  void open(bool object) {
    if (frames_.size() == options_.maxDepth) {
      fail(at_, "lists and objects are nested deeper than " + std::to_string(options_.maxDepth) + " levels");
    }
    frames_.push_back({object, waiting_.size()});
    ++at_;
  }

  void close() {
    const Frame frame = frames_.back();
    frames_.pop_back();
    const size_t count = waiting_.size() - frame.begin;
    if (frame.object) refuseDuplicates(frame.begin, count / 2);
    Node node;
    node.kind = frame.object ? Kind::object : Kind::array;
    node.size = static_cast<uint32_t>(frame.object ? count / 2 : count);
    node.first = static_cast<uint32_t>(document_.nodes_.size());
    document_.nodes_.insert(document_.nodes_.end(), waiting_.begin() + static_cast<ptrdiff_t>(frame.begin),
                            waiting_.end());
    waiting_.resize(frame.begin);
    waiting_.push_back(node);
  }

  void refuseDuplicates(size_t begin, size_t members) {
    const auto key = [&](size_t member) {
      const Node& node = waiting_[begin + 2 * member];
      return std::string_view(node.bytes, node.size);
    };
    const size_t again = keys_.firstRepeated(members, key);
    if (again < members) failDuplicate(key(again));
  }

  [[noreturn]] void failDuplicate(std::string_view key) {
    size_t shown = key.size() < 80 ? key.size() : 80;
    while (shown < key.size() && (static_cast<unsigned char>(key[shown]) & 0xC0) == 0x80) --shown;
    fail(at_ - 1, "the object that ends here has the key \"" + std::string(key.substr(0, shown)) +
                      (shown < key.size() ? "…" : "") + "\" twice");
  }

  void readKey() {
    if (at_ == text_.size()) fail(at_, "the text ends inside an object");
    if (text_[at_] != '"') fail(at_, "expected a key in quotes, got " + got());
    waiting_.push_back(readString());
    skipSpace();
    if (at_ == text_.size()) fail(at_, "the text ends inside an object");
    if (text_[at_] != ':') fail(at_, "expected \":\" after a key, got " + got());
    ++at_;
  }

  Node readScalar(char lead) {
    Node node;
    switch (lead) {
      case '"':
        return readString();
      case 't':
        word("true");
        node.kind = Kind::boolean;
        node.boolean = true;
        return node;
      case 'f':
        word("false");
        node.kind = Kind::boolean;
        node.boolean = false;
        return node;
      case 'n':
        word("null");
        return node;
      default:
        if (lead == '-' || digitAt(at_)) return readNumber();
        fail(at_, "expected a value, got " + got());
    }
  }

  void word(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) {
      fail(at_, "expected a value, got something that begins like \"" + std::string(expected) + "\"");
    }
    at_ += expected.size();
  }

  bool digitAt(size_t at) const { return at < text_.size() && text_[at] >= '0' && text_[at] <= '9'; }

  Node readNumber() {
    const size_t begin = at_;
    if (text_[at_] == '-') ++at_;
    if (!digitAt(at_)) fail(at_, "a number has no digit after its sign");
    if (text_[at_] == '0') {
      ++at_;
      if (digitAt(at_)) fail(begin, "a number must not begin with 0");
    } else {
      while (digitAt(at_)) ++at_;
    }
    bool whole = true;
    if (at_ < text_.size() && text_[at_] == '.') {
      whole = false;
      ++at_;
      if (!digitAt(at_)) fail(at_, "a number has no digit after its point");
      while (digitAt(at_)) ++at_;
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      whole = false;
      ++at_;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      if (!digitAt(at_)) fail(at_, "a number has no digit in its exponent");
      while (digitAt(at_)) ++at_;
    }
    const std::string_view number = text_.substr(begin, at_ - begin);
    Node node;
    // −0 is kept as a real number, the only form that has its sign.
    if (whole && number != "-0") {
      node.kind = Kind::integer;
      const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), node.integer);
      if (error == std::errc()) return node;
    }
    node.kind = Kind::real;
    node.real = options_.realsAsSerde ? serdeReal(number) : nearestReal(number);
    if (!std::isfinite(node.real)) fail(begin, "a number is too large for a double");
    return node;
  }

  Node readString() {
    const size_t begin = ++at_;
    scanPlain();
    Node node;
    node.kind = Kind::string;
    if (at_ < text_.size() && text_[at_] == '"') {
      node.size = static_cast<uint32_t>(at_ - begin);
      node.bytes = text_.data() + begin;
      ++at_;
      return node;
    }
    // It has escapes: they only ever make a string shorter.
    scratch_.assign(text_.data() + begin, at_ - begin);
    for (;;) {
      if (at_ == text_.size()) fail(begin - 1, "the string that begins here does not end");
      const unsigned char byte = static_cast<unsigned char>(text_[at_]);
      if (byte == '"') break;
      if (byte < 0x20) fail(at_, "a string has " + got() + " that is not escaped");
      if (byte == '\\') readEscape();
      const size_t from = at_;
      scanPlain();
      scratch_.append(text_.data() + from, at_ - from);
    }
    ++at_;
    node.size = static_cast<uint32_t>(scratch_.size());
    node.bytes = keep(scratch_);
    return node;
  }

  // Goes on to the next quote, backslash or control character.
  void scanPlain() {
    const char* bytes = text_.data();
    const size_t size = text_.size();
    while (at_ + 8 <= size) {
      uint64_t word;
      std::memcpy(&word, bytes + at_, 8);
      if (hasSpecial(word)) break;
      at_ += 8;
    }
    while (at_ < size) {
      const unsigned char byte = static_cast<unsigned char>(bytes[at_]);
      if (byte == '"' || byte == '\\' || byte < 0x20) return;
      ++at_;
    }
  }

  void readEscape() {
    const size_t begin = at_++;
    if (at_ == text_.size()) fail(begin, "the text ends inside an escape");
    const char letter = text_[at_++];
    constexpr std::string_view letters = "\"\\/bfnrt";
    constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
    const size_t known = letters.find(letter);
    if (known != std::string_view::npos) {
      scratch_.push_back(meanings[known]);
      return;
    }
    if (letter != 'u')
      fail(begin, "a string has the unknown escape \\ and " + quoted(static_cast<unsigned char>(letter)));
    uint32_t point = readHex(begin);
    if (point >= 0xD800 && point < 0xE000) {
      const bool first = point < 0xDC00;
      const size_t after = at_;
      if (first && text_.substr(at_, 2) == "\\u") {
        at_ += 2;
        const uint32_t second = readHex(begin);
        if (second >= 0xDC00 && second < 0xE000) {
          append(scratch_, 0x10000 + ((point - 0xD800) << 10) + (second - 0xDC00));
          return;
        }
        at_ = after;
      }
      if (!options_.replaceLoneSurrogates) fail(begin, "a string has half of a surrogate pair");
      point = 0xFFFD;
    }
    append(scratch_, point);
  }

  uint32_t readHex(size_t begin) {
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char digit = at_ < text_.size() ? text_[at_] : '\0';
      uint32_t part;
      if (digit >= '0' && digit <= '9') {
        part = static_cast<uint32_t>(digit - '0');
      } else if (digit >= 'a' && digit <= 'f') {
        part = static_cast<uint32_t>(digit - 'a' + 10);
      } else if (digit >= 'A' && digit <= 'F') {
        part = static_cast<uint32_t>(digit - 'A' + 10);
      } else {
        fail(begin, "the escape \\u needs four hexadecimal digits");
      }
      value = value << 4 | part;
    }
    return value;
  }

  // A copy that lives as long as the document.
  const char* keep(const std::string& value) {
    const size_t size = value.size();
    if (size == 0) return text_.data();
    if (size > chunkLeft_) {
      const size_t room = size > kChunkBytes ? size : kChunkBytes;
      document_.chunks_.push_back(std::make_unique<char[]>(room));
      chunkNext_ = document_.chunks_.back().get();
      chunkLeft_ = room;
    }
    char* copy = chunkNext_;
    std::memcpy(copy, value.data(), size);
    chunkNext_ += size;
    chunkLeft_ -= size;
    return copy;
  }

  void skipSpace() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
      ++at_;
    }
  }

  // What is at the current place, for messages.
  std::string got() const {
    if (at_ == text_.size()) return "the end";
    const unsigned char byte = static_cast<unsigned char>(text_[at_]);
    if (byte < 0x80) return quoted(byte);
    size_t end = at_ + 1;
    while (end < text_.size() && (static_cast<unsigned char>(text_[end]) & 0xC0) == 0x80) ++end;
    return "\"" + std::string(text_.substr(at_, end - at_)) + "\"";
  }

  [[noreturn]] void fail(size_t offset, const std::string& what) const {
    size_t line = 1;
    size_t begin = 0;
    for (size_t i = 0; i < offset && i < text_.size(); ++i) {
      if (text_[i] == '\n') {
        ++line;
        begin = i + 1;
      }
    }
    size_t column = 1;
    for (size_t i = begin; i < offset && i < text_.size(); ++i) {
      column += (static_cast<unsigned char>(text_[i]) & 0xC0) != 0x80;
    }
    throw TextError(options_.code,
                    options_.name + " is not valid JSON: at line " + std::to_string(line) + ", column " +
                        std::to_string(column) + " (byte " + std::to_string(offset) + ") " + what + ".",
                    {{"offset", static_cast<double>(offset)},
                     {"line", static_cast<double>(line)},
                     {"column", static_cast<double>(column)}});
  }

  std::string_view text_;
  const ParseOptions& options_;
  Document document_;
  size_t at_ = 0;
  std::vector<Node> waiting_;
  std::vector<Frame> frames_;
  KeyTable keys_;
  std::string scratch_;
  char* chunkNext_ = nullptr;
  size_t chunkLeft_ = 0;
};

Document parse(std::string_view text, const ParseOptions& options) { return Parser(text, options).parse(); }

}  // namespace anneal::text::json
