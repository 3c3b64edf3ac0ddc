// access.cc — to which memory an address belongs, and whether a thread may touch it.
#include "simt/access.h"

// Placed by the linker at the two ends of the library that holds the kernels.
extern "C" const char __ehdr_start[] __attribute__((visibility("hidden")));
extern "C" const char _end[] __attribute__((visibility("hidden")));

namespace anneal::simt {
namespace {

bool inside(uintptr_t address, size_t bytes, const void* begin, size_t size) {
  const uintptr_t offset = address - reinterpret_cast<uintptr_t>(begin);
  return offset < size && bytes <= size - offset;
}

}  // namespace

void misaligned(uintptr_t address, size_t bytes, Access access) {
  violation("misaligned %s: %zu bytes at %p, which is not a multiple of %zu", noun(access), bytes,
            reinterpret_cast<void*>(address), bytes);
}

void checkElsewhere(uintptr_t address, size_t bytes, Access access) {
  const Machine& m = machine();
  if (inside(address, bytes, m.launch->parameters, m.parameterBytes)) {
    violation("write to the kernel's parameters, which threads may only read");
  }
  if (inside(address, bytes, __ehdr_start, static_cast<size_t>(_end - __ehdr_start))) {
    if (access == Access::kRead) return;
    violation("write to a constant or a host variable at %p", reinterpret_cast<void*>(address));
  }
  if (address - self().stackBegin < kStackBytes) {
    violation("load or store of a local variable: they are for global and shared memory");
  }
  if (m.stacks.contains(address)) {
    violation("%s of %zu bytes in the local memory of another thread", noun(access), bytes);
  }
  outOfBounds(address, bytes, access);
}

void checkAccess(uintptr_t address, size_t bytes, Access access, bool aligned) {
  const Thread& thread = self();
  if (bytes == 0 || address - thread.stackBegin < kStackBytes) return;
  checkForeign(thread, address, bytes, access, aligned);
}

}  // namespace anneal::simt
