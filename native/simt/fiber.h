// fiber.h — stacks of fibers and the switch between them. A switch saves the callee-saved registers and the
// floating-point control words and nothing else; there is no system call in it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace anneal::simt {

// A stack's top half is for use; a kernel that reaches into the lower half is caught by the hooks with a
// message, and a page below both stops what the hooks do not see.
constexpr size_t kStackBytes = 64 * 1024;
constexpr size_t kStackReserve = 64 * 1024;
// One page more than a power of two: else the tops of all stacks, where fibers spend their time, would share
// the few lines of one set of the cache.
constexpr size_t kStackStride = kStackReserve + kStackBytes + 4096;

// Saves the caller's context in *from and goes on where `to` was saved.
extern "C" void annealSwitchFiber(void** from, void* to);

// A context that calls entry() on the stack with the lowest usable address `begin`; entry must not return.
void* newContext(uintptr_t begin, void (*entry)());

// Stacks of one OS thread, handed out last in, first out: fibers that end early keep reusing a warm one.
class StackPool {
 public:
  StackPool() = default;
  ~StackPool();
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;
  // Lowest usable address of a stack, or 0 when the address space has no room.
  uintptr_t take();
  void give(uintptr_t begin);
  // All stacks are free again, whoever held them.
  void reset();
  bool contains(uintptr_t address) const { return address - base_ < capacity_; }

 private:
  bool reserve();
  uintptr_t base_ = 0;
  size_t capacity_ = 0;
  size_t used_ = 0;
  size_t freeCount_ = 0;
  uintptr_t* free_ = nullptr;
};

}  // namespace anneal::simt
