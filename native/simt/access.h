// access.h — the quick part of checkAccess, inlined where every access of a kernel passes.
#pragma once

#include "simt/memory.h"
#include "simt/scheduler.h"

namespace anneal::simt {

// Reports an access that belongs to none of the memories below, or allows the few that are left: constants.
void checkElsewhere(uintptr_t address, size_t bytes, Access access);
[[noreturn]] void misaligned(uintptr_t address, size_t bytes, Access access);

// As checkAccess, of an address outside the thread's own stack; `bytes` is a power of two if `aligned`.
inline void checkForeign(const Thread& thread, uintptr_t address, size_t bytes, Access access, bool aligned) {
  const Machine& m = machine();
  if (access == Access::kRead && address - m.parameters < m.parameterBytes &&
      bytes <= m.parameterBytes - (address - m.parameters)) {
    return;
  }
  if (aligned && (address & (bytes - 1)) != 0) misaligned(address, bytes, access);
  if (address - reinterpret_cast<uintptr_t>(m.arenas) < size_t{kMaxCluster} * kSharedWindow) {
    checkShared(thread.actor, address, bytes, access);
  } else if (inGlobalRange(address)) {
    checkGlobal(thread.actor, address, bytes, access);
  } else {
    checkElsewhere(address, bytes, access);
  }
}

}  // namespace anneal::simt
