// barrier.cc — barriers of a block. They order memory: who leaves knows what all who arrived did before.
//
// Barrier 0 without a count (syncThreads) waits for the threads that have not ended, as CUDA says of compute
// capability 7.0 and later. An ended thread is not a party to it: what it wrote stays unordered, and reading
// it is a race. A barrier with a count needs as many arrivals as it says.
#include "simt/scheduler.h"

namespace anneal::simt {
namespace {

constexpr const char* kSyncThreads = "syncThreads";
constexpr const char* kNamed = "named barrier %llu of %llu threads";

// The instructions are the aligned ones: all lanes of a warp that still run execute the same one.
void checkWarp(const Thread& thread, unsigned id) {
  const Warp& warp = *thread.warp;
  for (uint32_t rest = warp.meeting; rest != 0; rest &= rest - 1) {
    const Thread& other = warp.threads[__builtin_ctz(rest)];
    if ((other.call.mask >> thread.lane & 1u) != 0) {
      violation(
          "diverged warp: lane %u is at barrier %u of the block, lane %u waits for it at %s (mask %08x)",
          thread.lane, id, other.lane, other.call.kind, other.call.mask);
    }
  }
  if (warp.barred != 0) {
    const Thread& other = warp.threads[__builtin_ctz(warp.barred)];
    if (other.barrier != static_cast<int>(id)) {
      violation("diverged warp: lane %u is at barrier %u of the block, lane %u waits at barrier %d",
                thread.lane, id, other.lane, other.barrier);
    }
  }
}

// Lets all go that wait; `last` (or null) has just arrived and does not wait.
void open(Block& block, unsigned id, Thread* last) {
  NamedBarrier& barrier = block.barriers[id];
  Actor* actors[kMaxThreads];
  size_t n = 0;
  if (last != nullptr) {
    learn(last->actor, barrier.published);
    actors[n++] = &last->actor;
  }
  for (Thread* thread = barrier.waiters; thread != nullptr; thread = thread->nextWaiter) {
    learn(thread->actor, barrier.published);
    actors[n++] = &thread->actor;
  }
  joinActors(actors, n);
  Thread* thread = barrier.waiters;
  barrier.waiters = nullptr;
  barrier.published.reset();
  barrier.expected = 0;
  barrier.arrived = 0;
  ++barrier.phase;
  while (thread != nullptr) {
    Thread* next = thread->nextWaiter;
    thread->nextWaiter = nullptr;
    thread->barrier = -1;
    thread->warp->barred &= ~(1u << thread->lane);
    wake(*thread);
    thread = next;
  }
}

void sleepAt(Thread& thread, unsigned id, const char* format, unsigned threads) {
  NamedBarrier& barrier = thread.block->barriers[id];
  thread.nextWaiter = barrier.waiters;
  barrier.waiters = &thread;
  thread.barrier = static_cast<int8_t>(id);
  thread.warp->barred |= 1u << thread.lane;
  park(format, id, threads);
}

}  // namespace

void syncThreads() {
  InsideRuntime inside;
  Thread& thread = self();
  Block& block = *thread.block;
  checkWarp(thread, 0);
  NamedBarrier& barrier = block.barriers[0];
  if (++barrier.arrived == block.live) {
    open(block, 0, &thread);
  } else {
    sleepAt(thread, 0, kSyncThreads, 0);
  }
}

void namedBarrier(unsigned id, unsigned threads, bool wait) {
  InsideRuntime inside;
  Thread& thread = self();
  Block& block = *thread.block;
  if (id == 0 || id > 15) violation("named barrier %u: the ids are 1 to 15 (0 is syncThreads)", id);
  if (threads == 0 || threads % kLanes != 0 || threads > (block.threads + kLanes - 1) / kLanes * kLanes) {
    violation("named barrier %u of %u threads: the count must be a multiple of 32 and at most the block's %u",
              id, threads, block.threads);
  }
  checkWarp(thread, id);
  NamedBarrier& barrier = block.barriers[id];
  if (barrier.expected != 0 && barrier.expected != threads) {
    violation("named barrier %u: this thread says %u threads, others said %u", id, threads, barrier.expected);
  }
  if (thread.barrierPhase[id] == barrier.phase + 1) {
    violation("named barrier %u of %u threads: this thread arrives twice in one phase", id, threads);
  }
  thread.barrierPhase[id] = barrier.phase + 1;
  barrier.expected = threads;
  if (++barrier.arrived < threads) {
    if (wait) return sleepAt(thread, id, kNamed, threads);
    publish(thread.actor, barrier.published);
    return;
  }
  if (!wait) publish(thread.actor, barrier.published);
  open(block, id, wait ? &thread : nullptr);
}

void releaseBarriers(Block& block) {
  NamedBarrier& barrier = block.barriers[0];
  if (barrier.arrived != 0 && barrier.arrived == block.live) open(block, 0, nullptr);
}

}  // namespace anneal::simt
