// machine.h — native/simt runs the kernel sources of native/cuda on the CPU: one fiber for each CUDA thread,
// one cluster of blocks at a time, in an order that a seed decides. It is a checker, not a fast machine: the
// first breach of CUDA's rules (memory, barriers, races, deadlocks) ends the launch with a message. This
// file: its structures.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/backend.h"
#include "simt/async_state.h"
#include "simt/clock.h"
#include "simt/device.h"

namespace anneal::simt {

constexpr unsigned kLanes = 32;
constexpr unsigned kWarpgroup = 128;
constexpr unsigned kMaxThreads = 1024;          // of a block
constexpr unsigned kMaxCluster = 16;            // blocks
constexpr unsigned kMaxShared = 232448;         // bytes of dynamic shared memory of a block
constexpr unsigned kSharedWindow = 1u << 18;    // distance between the arenas of a cluster's blocks
constexpr unsigned kAgents = 64;                // asynchronous operations that races can tell apart
constexpr uint64_t kSpins = uint64_t{1} << 20;  // polls without progress that count as a deadlock

struct Block;
struct Cluster;
struct Warp;

enum class ThreadState : uint8_t { kNew, kRunnable, kRunning, kWaiting, kExited };

// Why a thread waits, for the dump of a deadlock: a printf format with up to two 64-bit values.
struct Wait {
  const char* format = nullptr;
  uint64_t a = 0;
  uint64_t b = 0;
};

// What a thread brings to a collective: all participants must agree on kind, mask and both arguments.
struct Call {
  const char* kind = nullptr;
  uint32_t mask = 0;
  uint64_t a = 0;
  uint64_t b = 0;
  void* operand = nullptr;  // the thread's own; on its stack
};

struct Thread {
  Actor actor;
  void* stackPointer = nullptr;  // saved context while it does not run
  uintptr_t stackBegin = 0;      // lowest address of its stack; 0: it has none
  Block* block = nullptr;
  Warp* warp = nullptr;
  uint3 index{};
  uint32_t linear = 0;  // in the block
  uint8_t lane = 0;
  ThreadState state = ThreadState::kNew;
  int8_t barrier = -1;  // block barrier at which it waits
  uint16_t inside = 0;  // depth of InsideRuntime
  Wait wait;
  Call call;
  Thread* nextWaiter = nullptr;
  uint32_t barrierPhase[16] = {};  // phase at which it last arrived, plus one
  ThreadAsync async;
};

struct Warp {
  Block* block = nullptr;
  Thread* threads = nullptr;  // of lane 0
  uint32_t lanes = 0;         // that exist
  uint32_t exited = 0;
  uint32_t runnable = 0;
  uint32_t meeting = 0;  // lanes that wait at a collective of the warp or warpgroup
  uint32_t barred = 0;   // lanes that wait at a barrier of the block
  uint32_t index = 0;    // in the block
  bool queued = false;
};

struct NamedBarrier {
  uint32_t expected = 0;  // threads; 0: none has arrived
  uint32_t arrived = 0;
  uint32_t phase = 0;
  Thread* waiters = nullptr;
  ClockRef published;  // by threads that arrived without waiting
};

struct Block {
  Cluster* cluster = nullptr;
  uint3 index{};
  uint32_t rank = 0;     // in its cluster
  uint32_t threads = 0;  // threadCount
  uint32_t live = 0;
  unsigned char* arena = nullptr;
  Thread* firstThread = nullptr;
  Warp* firstWarp = nullptr;
  NamedBarrier barriers[16];
  BlockAsync async;
};

struct Launch {
  KernelContext* context = nullptr;
  dim3 grid, block;
  uint32_t cluster = 1;
  size_t sharedBytes = 0;
  const void* parameters = nullptr;
  size_t parameterBytes = 0;
  void (*entry)(const void*) = nullptr;
  uint64_t seed = 0;
  uint64_t serial = 0;  // of the launch in this process, for the races between blocks
  bool failed = false;
};

// Blocks that run at the same time; without clusters, one.
struct Cluster {
  Launch* launch = nullptr;
  std::vector<Block> blocks;
  std::vector<Warp> warps;
  std::vector<Thread> threads;
  uint32_t live = 0;
};

// Memory that an operation reads or writes between its issue and its completion.
struct MemoryRange {
  uintptr_t address = 0;
  size_t bytes = 0;
  bool write = false;
};

// An asynchronous operation under way. The scheduler calls deliver() some time later, in any order; what the
// operation reads and writes it does then, with `actor` as the party to races.
struct Operation {
  virtual ~Operation() = default;
  // False while it may not be delivered yet (it follows another one, for instance).
  virtual bool ready() const { return true; }
  // Runs outside fibers: must not park. May call violation().
  virtual void deliver() = 0;
  // For messages: "copy of 16 bytes to shared offset 64".
  virtual void describe(char* text, size_t size) const = 0;
  // True: the block must wait for it before its threads end.
  virtual bool mustBeAwaited() const { return false; }

  Actor actor;               // set by defer: knows what the issuing thread knew
  Thread* issuer = nullptr;  // set by defer
  std::vector<MemoryRange> ranges;
};

// The fiber that runs on this OS thread, or null outside kernels. The access model puts all thread-local
// variables of the library into the loader's small static block: they may have a few hundred bytes together.
extern constinit thread_local Thread* current __attribute__((tls_model("initial-exec")));

inline Thread& self() { return *current; }
inline Launch& launchOf(const Thread& thread) { return *thread.block->cluster->launch; }

// ---- Scheduling (scheduler.cc)

// Puts the calling thread to sleep until wake(); the text says why, for the dump of a deadlock.
void park(const char* format, uint64_t a = 0, uint64_t b = 0);
void wake(Thread& thread);
// Lets others run; for polls. Too many polls without any progress of others are a violation.
void yieldThread();
// A number below n from the launch's seeded sequence.
uint32_t randomBelow(uint32_t n);

// Ends the launch: the message, then block, thread and seed. No fiber runs again, and nothing is unwound: on
// a fiber's stack nothing may own memory or locks where this is called.
[[noreturn]] __attribute__((format(printf, 1, 2))) void violation(const char* format, ...);

// ---- Asynchronous operations (operations.cc)

// Queues the operation; the pointer stays valid until it is delivered. Its shared-memory ranges count as in
// flight until then: threads that touch them are caught.
Operation* defer(std::unique_ptr<Operation> operation);
// Delivers it now (which ends its life).
void deliverNow(Operation* operation);
size_t operationsInFlight();

// ---- Collectives (meeting.cc)

// Called by the last participant, with all of them by lane (null outside the mask) or by rank in the
// warpgroup.
using MeetingFn = void (*)(Thread* const* participants, unsigned count);

// Waits until every lane of call.mask has made the same call, then `run` is executed once, then all go on.
// Orders no memory; `run` may (joinActors).
void meetWarp(const Call& call, MeetingFn run);
// The same for the 128 threads of the caller's warpgroup; call.mask must name all lanes.
void meetWarpgroup(const Call& call, MeetingFn run);

// ---- Shared memory (shadow.cc)

enum class Access : uint8_t { kRead, kWrite, kAtomic };

// The block whose arena holds the address, or null.
Block* arenaOf(uintptr_t address);
// The address behind a 32-bit shared address of the cluster; a violation when there is no such block or the
// range leaves its arena.
unsigned char* sharedPointer(uint32_t address, size_t bytes);
// Bounds, initialised?, race?, in flight? for an access by the thread or operation `actor`.
void checkShared(const Actor& actor, uintptr_t address, size_t bytes, Access access);

// ---- Any memory (access.cc)

// An access by the running thread to any address: its stack, shared, parameters, global, constants.
void checkAccess(uintptr_t address, size_t bytes, Access access, bool aligned);
// Global memory only, by an asynchronous operation.
void checkGlobal(const Actor& actor, uintptr_t address, size_t bytes, Access access);

// While one lives on a fiber, instrumented code that it happens to call is not checked: standard library
// functions are shared between kernels and runtime by the linker.
class InsideRuntime {
 public:
  InsideRuntime() : thread_(current) { ++thread_->inside; }
  ~InsideRuntime() { --thread_->inside; }
  InsideRuntime(const InsideRuntime&) = delete;
  InsideRuntime& operator=(const InsideRuntime&) = delete;

 private:
  Thread* thread_;
};

}  // namespace anneal::simt
