#include "text/unicode/properties.h"

namespace anneal::text {

namespace {

// Differences image − code from stretches (first, count, step, delta).
PageTable<int32_t> differences(const int32_t* runs, size_t size) {
  PageTable<int32_t> table;
  for (size_t i = 0; i + 3 < size; i += 4) {
    for (int32_t n = 0; n < runs[i + 1]; ++n) {
      table.set(static_cast<char32_t>(runs[i] + n * runs[i + 2]), runs[i + 3]);
    }
  }
  return table;
}

}  // namespace

char32_t lowercase(char32_t code, char32_t& second) {
  static const PageTable<int32_t> table = differences(kLowercaseRuns, kLowercaseRunsSize);
  if (code == 0x130) {
    second = 0x307;
    return 'i';
  }
  second = 0;
  return static_cast<char32_t>(static_cast<int32_t>(code) + table[code]);
}

char32_t simpleFold(char32_t code) {
  static const PageTable<int32_t> table = differences(kFoldRuns, kFoldRunsSize);
  return static_cast<char32_t>(static_cast<int32_t>(code) + table[code]);
}

}  // namespace anneal::text
