#include "text/tokenizer/field.h"

#include "text/error.h"
#include "text/unicode/utf8.h"

namespace anneal::text {
namespace {

constexpr size_t kShown = 60;

// What a value is, for messages: short ones in full.
std::string shown(json::Value value) {
  switch (value.kind()) {
    case json::Kind::string:
      return quote(value.string());
    case json::Kind::integer:
      return std::to_string(value.integer());
    case json::Kind::boolean:
      return value.boolean() ? "true" : "false";
    default:
      return json::describe(value.kind());
  }
}

}  // namespace

std::string quote(std::string_view text) {
  size_t end = text.size() < kShown ? text.size() : kShown;
  while (end < text.size() && end > 0 && isContinuation(text[end])) --end;
  std::string out = "\"";
  constexpr char digits[] = "0123456789abcdef";
  for (const char c : text.substr(0, end)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7F) {
      out += "\\u00";
      out += digits[byte >> 4];
      out += digits[byte & 15];
    } else {
      out += c;
    }
  }
  return out + (end < text.size() ? "…\"" : "\"");
}

Field Field::member(std::string_view name) const {
  return {value_.find(name), place_.empty() ? std::string(name) : place_ + "." + std::string(name), *file_};
}

Field Field::item(size_t index) const {
  return {value_.item(index), place_ + "[" + std::to_string(index) + "]", *file_};
}

const Field& Field::require(json::Kind kind) const {
  if (!value_.is(kind)) refuse(json::describe(kind));
  return *this;
}

std::string Field::string() const {
  require(json::Kind::string);
  return std::string(value_.string());
}

bool Field::boolean() const {
  require(json::Kind::boolean);
  return value_.boolean();
}

uint64_t Field::count(uint64_t limit) const {
  if (!value_.is(json::Kind::integer) || value_.integer() < 0 ||
      static_cast<uint64_t>(value_.integer()) > limit) {
    refuse("an integer from 0 to " + std::to_string(limit));
  }
  return static_cast<uint64_t>(value_.integer());
}

char32_t Field::character() const {
  const std::string text = string();
  if (text.empty() || countCodePoints(text) != 1) refuse("a text of one character");
  const char* at = text.data();
  return decode(at);
}

std::optional<std::string> Field::optionalString(std::string_view name) const {
  if (!has(name)) return std::nullopt;
  return member(name).string();
}

bool Field::boolean(std::string_view name, bool otherwise) const {
  return value_.has(name) ? member(name).boolean() : otherwise;
}

Field Field::present(std::string_view name) const {
  object();
  if (!value_.has(name)) {
    fail((place_.empty() ? std::string("the file") : place_) + " has no \"" + std::string(name) + "\"");
  }
  return member(name);
}

void Field::refuse(const std::string& expected) const {
  fail(place_ + " must be " + expected + ", got " + shown(value_));
}

void Field::fail(const std::string& message) const {
  throw TextError("ERR_TOKENIZER", *file_ + ": " + message + ".", {{"path", *file_}, {"field", place_}});
}

void Field::unknown(const std::string& what, std::string_view known) const {
  const std::string type = this->type();
  throw TextError("ERR_TOKENIZER",
                  *file_ + " cannot be used: " + place_ + " names the " + what + " " + quote(type) +
                      ", which is not known. Known are " + std::string(known) + ".",
                  {{"path", *file_}, {"field", place_}, {"type", type}});
}

}  // namespace anneal::text
