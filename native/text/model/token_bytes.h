// token_bytes.h — a byte string for every id, one after the other in one stretch of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace anneal::text {

class TokenBytes {
 public:
  TokenBytes() : ends_(1, 0) {}
  // Adds the bytes of the next id.
  void add(std::string_view bytes) {
    bytes_ += bytes;
    ends_.push_back(bytes_.size());
  }
  // Empty for an id that was never added.
  std::string_view token(uint32_t id) const {
    if (id + size_t{1} >= ends_.size()) return {};
    return {bytes_.data() + ends_[id], ends_[id + 1] - ends_[id]};
  }

 private:
  std::string bytes_;
  std::vector<uint64_t> ends_;
};

}  // namespace anneal::text
