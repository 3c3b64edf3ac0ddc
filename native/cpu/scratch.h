// scratch.h — working memory of CPU kernels that survives between calls, so that no step allocates. One arena
// per thread and slot; it only grows.
#pragma once

#include <cstddef>

namespace anneal::cpu {

// At least `bytes` bytes, 64-byte aligned, owned by the calling thread; contents are undefined. Slots 0..7
// are distinct buffers: a kernel that calls another (gemm uses slot 7) must not share a slot with it. Throws
// std::bad_alloc, which the backend reports as a kernel error.
void* threadScratch(int slot, size_t bytes);

// Bytes held by all arenas of the process, for memory().
size_t scratchBytes();

}  // namespace anneal::cpu
