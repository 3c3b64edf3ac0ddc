// parser.h — from the bytes of a JSON text to a Document, by RFC 8259 to the letter, and stricter where it
// leaves freedom: UTF-8 only, no byte order mark, no duplicate keys, no half of a surrogate pair, limited
// depth.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "text/json/document.h"

namespace anneal::text::json {

struct ParseOptions {
  // What the text is, for messages.
  std::string name = "The text";
  // The code of errors.
  const char* code = "ERR_FORMAT";
  // Arrays and objects inside one another at most.
  size_t maxDepth = 256;
  // Escapes of half a surrogate pair: U+FFFD where true, an error otherwise.
  bool replaceLoneSurrogates = false;
  // Reals as a whole number of digits times or by a power of ten, each rounded to a double, as Rust's
  // serde_json reads them: a last bit may differ from the nearest double. For files whose scores must compare
  // as they do there.
  bool realsAsSerde = false;
};

// Parses one JSON value with nothing but white space around it. Takes less than 4 GiB. The strings of the
// document may lie in `text`, which must outlive it.
// Throws TextError with `offset` (bytes from 0), `line` and `column` (characters, both from 1) in its
// details.
Document parse(std::string_view text, const ParseOptions& options = {});

}  // namespace anneal::text::json
