// xxhash.h — XXH64 of byte strings, after the published specification of the algorithm (xxHash, "XXH64"). Its
// values are stored in signature files and equal those of any other implementation.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace anneal::text::dedup {

inline constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87;
inline constexpr uint64_t kPrime2 = 0xC2B2AE3D27D4EB4F;
inline constexpr uint64_t kPrime3 = 0x165667B19E3779F9;
inline constexpr uint64_t kPrime4 = 0x85EBCA77C2B2AE63;
inline constexpr uint64_t kPrime5 = 0x27D4EB2F165667C5;

template <typename Word>
Word loadLittle(const char* from) {
  Word word;
  std::memcpy(&word, from, sizeof word);
  static_assert(std::endian::native == std::endian::little, "stored values are little-endian");
  return word;
}

inline uint64_t xxhashRound(uint64_t lane, uint64_t input) {
  return std::rotl(lane + input * kPrime2, 31) * kPrime1;
}

inline uint64_t xxhash64(std::string_view bytes, uint64_t seed = 0) {
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  uint64_t hash = 0;
  if (bytes.size() >= 32) {
    uint64_t lanes[4] = {seed + kPrime1 + kPrime2, seed + kPrime2, seed, seed - kPrime1};
    for (; end - at >= 32; at += 32) {
      for (int i = 0; i < 4; ++i) lanes[i] = xxhashRound(lanes[i], loadLittle<uint64_t>(at + 8 * i));
    }
    hash =
        std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) + std::rotl(lanes[3], 18);
    for (const uint64_t lane : lanes) hash = (hash ^ xxhashRound(0, lane)) * kPrime1 + kPrime4;
  } else {
    hash = seed + kPrime5;
  }
  hash += bytes.size();
  for (; end - at >= 8; at += 8) {
    hash = std::rotl(hash ^ xxhashRound(0, loadLittle<uint64_t>(at)), 27) * kPrime1 + kPrime4;
  }
  if (end - at >= 4) {
    hash = std::rotl(hash ^ (loadLittle<uint32_t>(at) * kPrime1), 23) * kPrime2 + kPrime3;
    at += 4;
  }
  for (; at < end; ++at) {
    hash = std::rotl(hash ^ (static_cast<unsigned char>(*at) * kPrime5), 11) * kPrime1;
  }
  hash = (hash ^ (hash >> 33)) * kPrime2;
  hash = (hash ^ (hash >> 29)) * kPrime3;
  return hash ^ (hash >> 32);
}

}  // namespace anneal::text::dedup
