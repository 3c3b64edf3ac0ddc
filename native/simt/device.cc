// device.cc — what kernels ask of the machine: indices, memory, atomics.
#include "simt/device.h"

#include <cstring>

#include "simt/access.h"

namespace anneal::simt {

uint3 threadIndex() { return self().index; }
uint3 blockIndex() { return self().block->index; }
dim3 blockShape() { return launchOf(self()).block; }
dim3 gridShape() { return launchOf(self()).grid; }

// Sizes are constants of the callers, so copies of 4 to 16 bytes are worth a branch.
static inline void copyBytes(void* destination, const void* source, size_t bytes) {
  if (bytes == 16) {
    std::memcpy(destination, source, 16);
  } else if (bytes == 8) {
    std::memcpy(destination, source, 8);
  } else if (bytes == 4) {
    std::memcpy(destination, source, 4);
  } else {
    std::memcpy(destination, source, bytes);
  }
}

void readGlobal(void* destination, const void* address, size_t bytes) {
  InsideRuntime inside;
  checkForeign(self(), reinterpret_cast<uintptr_t>(address), bytes, Access::kRead, true);
  copyBytes(destination, address, bytes);
}

void writeGlobal(void* address, const void* source, size_t bytes) {
  InsideRuntime inside;
  checkForeign(self(), reinterpret_cast<uintptr_t>(address), bytes, Access::kWrite, true);
  copyBytes(address, source, bytes);
}

void* sharedArena() { return self().block->arena; }

uint32_t sharedAddress(const void* pointer) {
  const uintptr_t offset =
      reinterpret_cast<uintptr_t>(pointer) - reinterpret_cast<uintptr_t>(machine().arenas);
  if (offset >= size_t{kMaxCluster} * kSharedWindow) {
    violation("sharedAddress(%p): the pointer is not in shared memory", pointer);
  }
  return static_cast<uint32_t>(offset);
}

// Fibers run one at a time in program order: nothing is left to order.
void fenceDevice() {}

namespace {

template <typename T, typename F>
T update(T* address, F next) {
  InsideRuntime inside;
  checkAccess(reinterpret_cast<uintptr_t>(address), sizeof(T), Access::kAtomic, true);
  const T old = *address;
  *address = next(old);
  return old;
}

}  // namespace

// The ordered one: a ticket.
uint32_t atomicAdd(uint32_t* address, uint32_t value) {
  machine().tickets.take(reinterpret_cast<uintptr_t>(address), machine().clusterNumber, self().actor);
  return update(address, [=](uint32_t old) { return old + value; });
}

int32_t atomicAdd(int32_t* address, int32_t value) {
  return update(address, [=](int32_t old) {
    return static_cast<int32_t>(static_cast<uint32_t>(old) + static_cast<uint32_t>(value));
  });
}

uint64_t atomicMax(uint64_t* address, uint64_t value) {
  return update(address, [=](uint64_t old) { return old > value ? old : value; });
}

uint64_t atomicCompare(uint64_t* address, uint64_t expected, uint64_t value) {
  return update(address, [=](uint64_t old) { return old == expected ? value : old; });
}

}  // namespace anneal::simt
