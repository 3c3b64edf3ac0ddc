#include "text/json/numbers.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <system_error>
#include <vector>

namespace anneal::text::json {
namespace {

// Beyond every double, yet far from the end of an int.
constexpr int kLargestExponent = 100000;

// The nearest double; infinity beyond the largest.
double powerOfTen(int exponent) {
  static const std::vector<double> powers = [] {
    std::vector<double> made;
    for (int i = 0; i <= 308; ++i) {
      std::string text = "1e";
      text += std::to_string(i);
      made.push_back(std::strtod(text.c_str(), nullptr));
    }
    return made;
  }();
  return exponent <= 308 ? powers[static_cast<size_t>(exponent)] : std::numeric_limits<double>::infinity();
}

}  // namespace

double nearestReal(std::string_view number) {
#if defined(__cpp_lib_to_chars)
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error == std::errc()) return value;
#endif
  // Too large or too small for from_chars, or a library without it. The process keeps the "C" locale for
  // numbers.
  return std::strtod(std::string(number).c_str(), nullptr);
}

double serdeReal(std::string_view number) {
  uint64_t digits = 0;
  int exponent = 0;
  bool full = false;
  bool fraction = false;
  size_t i = number[0] == '-' ? 1 : 0;
  for (; i < number.size() && number[i] != 'e' && number[i] != 'E'; ++i) {
    if (number[i] == '.') {
      fraction = true;
      continue;
    }
    const auto digit = static_cast<uint64_t>(number[i] - '0');
    full = full || digits > (std::numeric_limits<uint64_t>::max() - digit) / 10;
    if (full) {
      exponent += fraction ? 0 : 1;
    } else {
      digits = digits * 10 + digit;
      exponent -= fraction ? 1 : 0;
    }
  }
  if (i < number.size()) {
    const size_t from = i + (number[i + 1] == '+' ? 2 : 1);
    int written = 0;
    if (std::from_chars(number.data() + from, number.data() + number.size(), written).ec != std::errc()) {
      written = number[from] == '-' ? -kLargestExponent : kLargestExponent;
    }
    exponent += std::max(-kLargestExponent, std::min(kLargestExponent, written));
  }
  auto value = static_cast<double>(digits);
  for (; exponent < -308 && value != 0; exponent += 308) value /= 1e308;
  if (value != 0 && exponent != 0) {
    const double power = powerOfTen(std::abs(exponent));
    value = exponent > 0 ? value * power : value / power;
  }
  return number[0] == '-' ? -value : value;
}

}  // namespace anneal::text::json
