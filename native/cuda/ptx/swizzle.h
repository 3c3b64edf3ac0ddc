// swizzle.h — how 16-byte pieces of a tile's rows are exchanged in shared memory, so that eight rows at one
// column lie in different banks. The copy engine, wgmma and hand-written accesses agree on it: bits 4 to 6 of
// the address are combined with bits 7 to 9. Tiles start at a multiple of eight spans (1,024 bytes for 128).
#pragma once

#include <cstdint>

namespace anneal::cuda {

// The value is the span in bytes, which is also the length of a row.
enum class Swizzle : uint32_t { kNone = 0, k32 = 32, k64 = 64, k128 = 128 };

constexpr uint32_t spanBytes(Swizzle swizzle) { return static_cast<uint32_t>(swizzle); }

// Where the byte that would lie at `address` without swizzle lies with it.
constexpr uint32_t swizzled(Swizzle swizzle, uint32_t address) {
  const uint32_t pieces = swizzle == Swizzle::kNone ? 0 : spanBytes(swizzle) / 16 - 1;
  return address ^ ((address >> 7 & pieces) << 4);
}

}  // namespace anneal::cuda
