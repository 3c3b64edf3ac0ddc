// registers.cc — setmaxnreg: the block's pool of registers, from which warps take and to which they give.
// Nothing here changes what a kernel computes; a count that the hardware would refuse or wait for for ever is
// caught.
#include "simt/registers.h"

#include <algorithm>
#include <utility>

#include "simt/async.h"

namespace anneal::simt {
namespace {

constexpr uint32_t kPool = 65536;
constexpr const char* kIncrease = "setmaxnreg.inc";
constexpr const char* kDecrease = "setmaxnreg.dec";

// What the launch gives each thread: an even share, in steps of 8.
uint32_t launchedWith(const Block& block) {
  const uint32_t threads = (block.threads + kLanes - 1) / kLanes * kLanes;
  return std::min(kPool / threads / 8 * 8, 256u);
}

void nothing(Thread* const*, unsigned) {}

void meet(const char* kind, unsigned count) {
  Call call;
  call.kind = kind;
  call.mask = 0xffffffffu;
  call.a = count;
  meetWarp(call, nothing);
}

uint32_t countOf(Block& block, const Thread& thread) {
  RegisterShare& share = block.async.registers[thread.warp->index];
  if (share.count == 0) share.count = launchedWith(block);
  return share.count;
}

void setCount(Block& block, const Thread& thread, unsigned count) {
  RegisterShare& share = block.async.registers[thread.warp->index];
  share.count = count;
  ++share.calls;
}

}  // namespace

// Each warp's lane 0 acts for the warp.
void increaseRegisters(unsigned count) {
  InsideRuntime inside;
  Thread& thread = self();
  Block& block = *thread.block;
  meet(kIncrease, count);
  if (thread.lane == 0) {
    const uint32_t now = countOf(block, thread);
    if (count < now) {
      violation("setmaxnreg.inc to %u registers, but the warp has %u", count, now);
    }
    while (block.async.freeRegisters < (count - now) * kLanes) {
      thread.nextWaiter = block.async.registerWaiters;
      block.async.registerWaiters = &thread;
      park("setmaxnreg.inc to %llu registers (%llu a thread at the launch)", count, launchedWith(block));
    }
    block.async.freeRegisters -= (count - now) * kLanes;
    setCount(block, thread, count);
  }
  meet(kIncrease, count);
}

void decreaseRegisters(unsigned count) {
  InsideRuntime inside;
  Thread& thread = self();
  Block& block = *thread.block;
  meet(kDecrease, count);
  if (thread.lane != 0) return;
  const uint32_t now = countOf(block, thread);
  if (count > now) violation("setmaxnreg.dec to %u registers, but the warp has %u", count, now);
  block.async.freeRegisters += (now - count) * kLanes;
  setCount(block, thread, count);
  Thread* waiter = std::exchange(block.async.registerWaiters, nullptr);
  while (waiter != nullptr) {
    Thread* next = std::exchange(waiter->nextWaiter, nullptr);
    wake(*waiter);
    waiter = next;
  }
}

}  // namespace anneal::simt
