// fiber.cc — the context switch in assembly (x86-64 and AArch64, System V conventions) and the pool of
// stacks.
#include "simt/fiber.h"

#include <sys/mman.h>

#include <cstring>

#include "simt/machine.h"

#if defined(__x86_64__)
asm(R"(
.text
.hidden annealSwitchFiber
.globl annealSwitchFiber
.type annealSwitchFiber, @function
.p2align 4
annealSwitchFiber:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  subq $8, %rsp
  stmxcsr (%rsp)
  fnstcw 4(%rsp)
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  ldmxcsr (%rsp)
  fldcw 4(%rsp)
  addq $8, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size annealSwitchFiber, .-annealSwitchFiber
)");
#elif defined(__aarch64__)
asm(R"(
.text
.hidden annealSwitchFiber
.globl annealSwitchFiber
.type annealSwitchFiber, %function
.p2align 4
annealSwitchFiber:
  sub sp, sp, #176
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mrs x9, fpcr
  str x9, [sp, #160]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  ldr x9, [sp, #160]
  msr fpcr, x9
  add sp, sp, #176
  ret
.size annealSwitchFiber, .-annealSwitchFiber
)");
#else
#error "native/simt has context switches for x86-64 and AArch64 only"
#endif

namespace anneal::simt {
namespace {
constexpr size_t kGuard = 4096;
}

void* newContext(uintptr_t begin, void (*entry)()) {
  // Tops are also spread inside their pages, for the first-level cache.
  uintptr_t top = begin + kStackBytes - begin / kStackStride % 8 * 512;
#if defined(__x86_64__)
  // Control words, six registers, the address that `ret` takes; entry then sees the stack as after a call.
  top -= 8;
  auto* words = reinterpret_cast<uint64_t*>(top) - 8;
  std::memset(words, 0, 8 * sizeof(uint64_t));
  uint32_t mxcsr = 0;
  uint16_t x87 = 0;
  asm volatile("stmxcsr %0\n fnstcw %1" : "=m"(mxcsr), "=m"(x87));
  words[0] = mxcsr | uint64_t{x87} << 32;
  words[7] = reinterpret_cast<uint64_t>(entry);
  reinterpret_cast<uint64_t*>(top)[0] = 0;
#else
  auto* words = reinterpret_cast<uint64_t*>(top) - 22;
  std::memset(words, 0, 22 * sizeof(uint64_t));
  words[11] = reinterpret_cast<uint64_t>(entry);
  asm volatile("mrs %0, fpcr" : "=r"(words[20]));
#endif
  return words;
}

bool StackPool::reserve() {
  const size_t count = size_t{kMaxThreads} * kMaxCluster;
  void* memory = mmap(nullptr, count * kStackStride, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  base_ = reinterpret_cast<uintptr_t>(memory);
  capacity_ = count * kStackStride;
  free_ = new uintptr_t[count];
  return true;
}

StackPool::~StackPool() {
  if (base_ != 0) munmap(reinterpret_cast<void*>(base_), capacity_);
  delete[] free_;
}

uintptr_t StackPool::take() {
  if (freeCount_ > 0) return free_[--freeCount_];
  if (base_ == 0 && !reserve()) return 0;
  if ((used_ + 1) * kStackStride > capacity_) return 0;
  const uintptr_t lowest = base_ + used_++ * kStackStride;
  // Where the system refuses, only the guard is missing: the hooks still see the reserve.
  static_cast<void>(mprotect(reinterpret_cast<void*>(lowest), kGuard, PROT_NONE));
  return lowest + kStackReserve;
}

void StackPool::give(uintptr_t begin) { free_[freeCount_++] = begin; }

void StackPool::reset() {
  freeCount_ = 0;
  for (size_t i = used_; i > 0; --i) give(base_ + (i - 1) * kStackStride + kStackReserve);
}

}  // namespace anneal::simt
