// error.h — the one exception of the text room: a code that lib/native turns into a typed error, a message
// for people, and the values involved.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace anneal::text {

// A value of an error's details.
using Detail = std::variant<double, std::string>;

// `code` is one of the package's: ERR_TOKENIZER, ERR_FORMAT, ERR_DATA, ERR_CONFIG, ERR_OUT_OF_MEMORY.
class TextError : public std::runtime_error {
 public:
  TextError(const char* errorCode, const std::string& message,
            std::vector<std::pair<std::string, Detail>> errorDetails = {})
      : std::runtime_error(message), code(errorCode), details(std::move(errorDetails)) {}

  const char* code;
  std::vector<std::pair<std::string, Detail>> details;
};

}  // namespace anneal::text
