// field.h — reading the parts of a tokenizer.json: typed access to members with messages that say where in
// the file something is missing or of the wrong kind.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "text/json/document.h"

namespace anneal::text {

// A value of the file and its place in it, such as "pre_tokenizer.pretokenizers[1].pattern". All failures are
// TextErrors of code ERR_TOKENIZER with `file` and `field` in their details.
class Field {
 public:
  Field(json::Value value, std::string place, const std::string& file)
      : value_(value), place_(std::move(place)), file_(&file) {}

  json::Value value() const { return value_; }
  const std::string& place() const { return place_; }
  const std::string& file() const { return *file_; }

  // Whether the member is there and not null.
  bool has(std::string_view name) const { return !value_.find(name).isNull(); }
  // A member; a null value where there is none.
  Field member(std::string_view name) const;
  Field item(size_t index) const;

  // This value, which must be of the kind.
  const Field& object() const { return require(json::Kind::object); }
  const Field& list() const { return require(json::Kind::array); }
  std::string string() const;
  bool boolean() const;
  // An integer in [0, limit].
  uint64_t count(uint64_t limit = 0xFFFFFFFFU) const;
  // A text of exactly one character.
  char32_t character() const;

  // Members that must be there.
  std::string string(std::string_view name) const { return present(name).string(); }
  bool boolean(std::string_view name) const { return present(name).boolean(); }
  // Members that may be absent or null.
  std::optional<std::string> optionalString(std::string_view name) const;
  bool boolean(std::string_view name, bool otherwise) const;

  // The "type" of a part.
  std::string type() const { return present("type").string(); }

  // "… must be <expected>, got <what is there>".
  [[noreturn]] void refuse(const std::string& expected) const;
  [[noreturn]] void fail(const std::string& message) const;
  // For a part whose "type" is not one of those `known`; `what` is such as "decoder".
  [[noreturn]] void unknown(const std::string& what, std::string_view known) const;

 private:
  const Field& require(json::Kind kind) const;
  // A member that must be there, though it may be null.
  Field present(std::string_view name) const;

  json::Value value_;
  std::string place_;
  const std::string* file_;
};

// A text in quotes for messages, shortened where it is long; control characters are escaped.
std::string quote(std::string_view text);

}  // namespace anneal::text
