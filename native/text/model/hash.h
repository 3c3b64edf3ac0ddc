// hash.h — the hash of short byte strings that the text room's tables share. Not stored in any file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace anneal::text {

inline uint64_t mixBits(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// Multiply-and-fold over 16 bytes at a time; the ends are read with overlapping loads.
inline uint64_t hashBytes(const char* bytes, size_t size) {
  constexpr uint64_t kFirst = 0x9e3779b97f4a7c15;
  constexpr uint64_t kSecond = 0xd6e8feb86659fd93;
  const auto load8 = [](const char* from) {
    uint64_t value;
    std::memcpy(&value, from, 8);
    return value;
  };
  const auto load4 = [](const char* from) {
    uint32_t value;
    std::memcpy(&value, from, 4);
    return uint64_t{value};
  };
  uint64_t state = kFirst ^ (size * kSecond);
  uint64_t low = 0;
  uint64_t high = 0;
  if (size > 16) {
    size_t left = size;
    const char* at = bytes;
    while (left > 16) {
      state = mixBits(load8(at) ^ kFirst, load8(at + 8) ^ state);
      at += 16;
      left -= 16;
    }
    low = load8(bytes + size - 16);
    high = load8(bytes + size - 8);
  } else if (size >= 8) {
    low = load8(bytes);
    high = load8(bytes + size - 8);
  } else if (size >= 4) {
    low = load4(bytes);
    high = load4(bytes + size - 4);
  } else if (size > 0) {
    const auto at = [&](size_t i) { return uint64_t{static_cast<unsigned char>(bytes[i])}; };
    low = at(0) | at(size / 2) << 8 | at(size - 1) << 16;
  }
  return mixBits(low ^ kSecond ^ state, high ^ kFirst ^ (state << 1 | 1));
}

}  // namespace anneal::text
