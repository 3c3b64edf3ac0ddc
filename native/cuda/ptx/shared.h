// shared.h — the block's dynamic shared memory, the only shared memory that kernels use: one arena, aligned
// to 1,024 bytes, as large as the launch asked for and without defined contents at the start.
#pragma once

#include "cuda/ptx/target.h"

namespace anneal::cuda {

#if defined(ANNEAL_SIMT)
template <typename T>
ANNEAL_DEVICE T* sharedArena() {
  return static_cast<T*>(simt::sharedArena());
}
// The 32-bit address that matrix, copy and barrier instructions take.
ANNEAL_DEVICE uint32_t sharedAddress(const void* pointer) { return simt::sharedAddress(pointer); }
#else
template <typename T>
ANNEAL_DEVICE T* sharedArena() {
  extern __shared__ __align__(1024) unsigned char annealSharedArena[];
  return reinterpret_cast<T*>(annealSharedArena);
}
// The 32-bit address that matrix, copy and barrier instructions take.
ANNEAL_DEVICE uint32_t sharedAddress(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}
#endif

}  // namespace anneal::cuda
