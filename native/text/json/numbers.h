// numbers.h — from the digits of a JSON number to a double.
#pragma once

#include <string_view>

namespace anneal::text::json {

// `number` is written as RFC 8259 has it. Infinite where it is beyond every double.

// The nearest double.
double nearestReal(std::string_view number);
// The digits as far as they fit 64 bits, times or by a power of ten, each rounded: what Rust's serde_json
// gives.
double serdeReal(std::string_view number);

}  // namespace anneal::text::json
