// scheduler.cc — chooses warps at random, runs their lanes until they block, and ends a launch that is stuck
// or wrong.
#include "simt/scheduler.h"

#include <sys/mman.h>

#include <new>
#include <utility>

#include "simt/async.h"

namespace anneal::simt {

constinit thread_local Thread* current __attribute__((tls_model("initial-exec"))) = nullptr;
constinit thread_local Machine* runningMachine __attribute__((tls_model("initial-exec"))) = nullptr;

Machine::Machine() {
  void* memory = mmap(nullptr, size_t{kMaxCluster} * kSharedWindow, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  arenas = static_cast<unsigned char*>(memory);
}

Machine::~Machine() { munmap(arenas, size_t{kMaxCluster} * kSharedWindow); }

uint32_t randomBelow(uint32_t n) { return machine().random.below(n); }

namespace {

// The next lane of the picked warp, or null when all of them have had their turn.
Thread* nextOfBatch(Machine& m) {
  const uint32_t lanes = m.batchLanes & m.batch->runnable;
  if (lanes == 0) return nullptr;
  const int lane = m.descending ? 31 - __builtin_clz(lanes) : __builtin_ctz(lanes);
  m.batchLanes &= ~(1u << lane);
  m.batch->runnable &= ~(1u << lane);
  return m.batch->threads + lane;
}

void fiberMain();

// Makes the thread's context ready and returns it.
void* contextOf(Machine& m, Thread& thread) {
  if (thread.state == ThreadState::kNew) {
    thread.stackBegin = m.stacks.take();
    if (thread.stackBegin == 0) violation("no address space is left for the stacks of the block's threads");
    thread.stackPointer = newContext(thread.stackBegin, fiberMain);
  }
  thread.state = ThreadState::kRunning;
  current = &thread;
  return thread.stackPointer;
}

// Leaves the running fiber for `next`, or for the scheduler.
void leave(Machine& m, void** from, Thread* next) {
  if (next != nullptr) {
    annealSwitchFiber(from, contextOf(m, *next));
  } else {
    current = nullptr;
    annealSwitchFiber(from, m.scheduler);
  }
}

// What a fiber executes: its thread, and on the same stack the threads of the batch that have not begun yet.
void fiberMain() {
  Machine& m = machine();
  for (;;) {
    Thread& thread = self();
    m.launch->entry(m.launch->parameters);
    thread.inside = 1;
    threadEnded(thread);
    const uintptr_t stack = std::exchange(thread.stackBegin, 0);
    Thread* next = nextOfBatch(m);
    if (next != nullptr && next->state == ThreadState::kNew) {
      next->stackBegin = stack;
      next->state = ThreadState::kRunning;
      current = next;
      continue;
    }
    // The stack is free from here on, but nobody else takes it before the switch has left it.
    m.stacks.give(stack);
    void* unused = nullptr;
    leave(m, &unused, next);
  }
}

void makeRunnable(Machine& m, Thread& thread) {
  Warp& warp = *thread.warp;
  thread.state = ThreadState::kRunnable;
  warp.runnable |= 1u << thread.lane;
  if (!warp.queued) {
    warp.queued = true;
    m.queue.push_back(&warp);
  }
}

}  // namespace

void park(const char* format, uint64_t a, uint64_t b) {
  Thread& thread = self();
  thread.wait = {format, a, b};
  thread.state = ThreadState::kWaiting;
  Machine& m = machine();
  leave(m, &thread.stackPointer, nextOfBatch(m));
}

void wake(Thread& thread) {
  Machine& m = machine();
  m.spins = 0;
  makeRunnable(m, thread);
}

void yieldThread() {
  Machine& m = machine();
  Thread& thread = self();
  if (++m.spins > kSpins) {
    thread.state = ThreadState::kRunnable;
    deadlock(m);
  }
  makeRunnable(m, thread);
  leave(m, &thread.stackPointer, nextOfBatch(m));
}

void threadEnded(Thread& thread) {
  Machine& m = machine();
  Block& block = *thread.block;
  thread.state = ThreadState::kExited;
  thread.warp->exited |= 1u << thread.lane;
  --block.live;
  --m.cluster.live;
  m.spins = 0;
  checkMeetings(thread);
  releaseBarriers(block);
  asyncThreadEnded(thread);
}

void runCluster(Machine& m) {
  try {
    while (m.cluster.live > 0 && !m.launch->failed) {
      if (!m.operations.empty() && (m.queue.empty() || m.random.below(4) == 0)) {
        if (!deliverSome(m) && m.queue.empty()) deadlock(m);
        continue;
      }
      if (m.queue.empty()) deadlock(m);
      const size_t pick = m.random.below(static_cast<uint32_t>(m.queue.size()));
      m.batch = m.queue[pick];
      m.queue[pick] = m.queue.back();
      m.queue.pop_back();
      m.batch->queued = false;
      m.batchLanes = m.batch->runnable;
      m.descending = (m.random.next() & 1) != 0;
      Thread* first = nextOfBatch(m);
      if (first != nullptr) annealSwitchFiber(&m.scheduler, contextOf(m, *first));
    }
    while (!m.launch->failed && !m.operations.empty()) {
      const Operation& left = *m.operations.front();
      if (left.mustBeAwaited()) {
        char text[160];
        left.describe(text, sizeof(text));
        m.delivering = m.operations.front().get();
        violation("the block ended while an operation was under way that it must wait for: %s", text);
      }
      if (!deliverSome(m)) deadlock(m);
    }
  } catch (const LaunchFailed&) {
  }
  current = nullptr;
}

}  // namespace anneal::simt
