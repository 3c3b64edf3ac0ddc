// batch.h — many texts in one stretch of memory, as they come from JavaScript.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace anneal::text {

// `ends[i]` is the byte after text i; text 0 begins at byte 0. Valid UTF-8, which lib/native/text/batch.ts
// sees to.
struct TextBatch {
  const char* bytes = nullptr;
  const uint32_t* ends = nullptr;
  size_t count = 0;

  std::string_view operator[](size_t index) const {
    const uint32_t begin = index == 0 ? 0 : ends[index - 1];
    return {bytes + begin, ends[index] - begin};
  }
  size_t totalBytes() const { return count == 0 ? 0 : ends[count - 1]; }
};

}  // namespace anneal::text
