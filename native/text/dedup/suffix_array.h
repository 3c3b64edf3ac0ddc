// suffix_array.h — suffix arrays in linear time by induced sorting (Nong, Zhang, Chan: "Two Efficient
// Algorithms for Linear Time Suffix Array Construction", 2011).
#pragma once

#include <cstdint>
#include <vector>

namespace anneal::text::dedup {

// All suffixes of text[0, size) in order, each by its beginning; a suffix comes before those that it begins.
// Memory besides the result: at most size/4 bytes and a few kilobytes. `size` is below 2^31.
std::vector<int32_t> suffixArray(const uint8_t* text, int32_t size);

}  // namespace anneal::text::dedup
