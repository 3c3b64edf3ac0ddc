// hooks.cc — the functions that g++ -fsanitize=thread calls before every access of a kernel and at every
// function's entry. They are this library's own: ThreadSanitizer is not linked.
#include "simt/access.h"
#include "simt/async.h"

namespace anneal::simt {
namespace {

// Local variables, the most frequent case, cost two comparisons. Outside fibers, and in the runtime, nothing
// is checked.
template <Access kAccess>
inline __attribute__((always_inline)) void hook(const void* pointer, size_t bytes, bool aligned) {
  Thread* thread = current;
  if (thread == nullptr) return;
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  if (thread->inside != 0) return;
  if (address - thread->stackBegin < kStackBytes) {
    if (thread->async.watching) {
      InsideRuntime inside;
      checkRegisters(*thread, address, bytes);
    }
    return;
  }
  if (bytes == 0) return;
  thread->inside = 1;
  checkForeign(*thread, address, bytes, kAccess, aligned);
  thread->inside = 0;
}

// A frame in the reserve below the stack: deep recursion, or local arrays larger than a thread may have.
inline __attribute__((always_inline)) void checkStack(const void* frame) {
  const Thread* thread = current;
  if (thread == nullptr || thread->inside != 0) return;
  if (reinterpret_cast<uintptr_t>(frame) < thread->stackBegin) {
    violation("stack overflow: the thread's local variables need more than %zu bytes", kStackBytes);
  }
}

}  // namespace
}  // namespace anneal::simt

using anneal::simt::Access;
using anneal::simt::hook;

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) { anneal::simt::checkStack(__builtin_frame_address(0)); }
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

#define ANNEAL_HOOKS(n)                                                        \
  void __tsan_read##n(void* p) { hook<Access::kRead>(p, n, true); }            \
  void __tsan_write##n(void* p) { hook<Access::kWrite>(p, n, true); }          \
  void __tsan_volatile_read##n(void* p) { hook<Access::kRead>(p, n, true); }   \
  void __tsan_volatile_write##n(void* p) { hook<Access::kWrite>(p, n, true); } \
  void __tsan_unaligned_read##n(void* p) { hook<Access::kRead>(p, n, false); } \
  void __tsan_unaligned_write##n(void* p) { hook<Access::kWrite>(p, n, false); }
ANNEAL_HOOKS(1)
ANNEAL_HOOKS(2)
ANNEAL_HOOKS(4)
ANNEAL_HOOKS(8)
ANNEAL_HOOKS(16)
#undef ANNEAL_HOOKS

void __tsan_read_range(void* p, unsigned long bytes) { hook<Access::kRead>(p, bytes, false); }
void __tsan_write_range(void* p, unsigned long bytes) { hook<Access::kWrite>(p, bytes, false); }

}  // extern "C"
