// mbarrier.cc — barriers in shared memory that count arrivals and bytes, and the fences between proxies. A
// phase that ends hands on what all its arrivals knew; bytes that a copy brought are known only through the
// barrier.
#include "simt/mbarrier.h"

#include <cstdio>
#include <utility>

#include "simt/async.h"
#include "simt/shadow.h"

namespace anneal::simt {
namespace {

constexpr uint32_t kMaxArrivals = (1u << 20) - 1;
constexpr int64_t kMaxBytes = (1 << 20) - 1;
constexpr uint32_t kPatience = 4;  // polls that fail at once before a poll waits
constexpr const char* kWaits = "mbarrier at shared byte %llu, parity %llu";

MBarrier* findBarrier(Block& block, uint32_t offset) {
  for (MBarrier& barrier : block.async.barriers) {
    if (barrier.offset == offset) return &barrier;
  }
  return nullptr;
}

void wakeWaiters(MBarrier& barrier) {
  Thread* thread = std::exchange(barrier.waiters, nullptr);
  while (thread != nullptr) {
    Thread* next = std::exchange(thread->nextWaiter, nullptr);
    wake(*thread);
    thread = next;
  }
}

// Ends the phase if nothing is missing.
void settle(MBarrier& barrier) {
  if (barrier.bytes > kMaxBytes || barrier.bytes < -kMaxBytes) {
    violation("mbarrier at shared byte %u: %lld bytes under way, the count's limit is 2^20 - 1",
              barrier.offset, static_cast<long long>(barrier.bytes));
  }
  if (barrier.pending != 0) return;
  if (barrier.bytes < 0) {
    violation("mbarrier at shared byte %u: %lld bytes more arrived in phase %u than were announced",
              barrier.offset, static_cast<long long>(-barrier.bytes), barrier.phase);
  }
  if (barrier.bytes != 0) return;
  barrier.completed = std::move(barrier.gathered);
  barrier.gathered.reset();
  barrier.pending = barrier.arrivals;
  ++barrier.phase;
  wakeWaiters(barrier);
}

void arrive(MBarrier& barrier, Actor& actor) {
  if (barrier.pending == 0) {
    violation(
        "mbarrier at shared byte %u: one arrival too many, phase %u already has its %u and waits for %lld "
        "bytes",
        barrier.offset, barrier.phase, barrier.arrivals, static_cast<long long>(barrier.bytes));
  }
  publish(actor, barrier.gathered);
  --barrier.pending;
  settle(barrier);
}

// A barrier that the copy engine or a peer uses must have been published by its creator.
void checkPublished(const MBarrier& barrier, const char* what) {
  if (barrier.creator->async.barrierFence < barrier.createdAt) {
    violation("%s at shared byte %u: thread (%u, %u, %u) initialised it without fenceMbarrierInit afterwards",
              what, barrier.offset, barrier.creator->index.x, barrier.creator->index.y,
              barrier.creator->index.z);
  }
}

}  // namespace

MBarrier& mbarrierAt(uint32_t address, const Actor& actor, const char* what, Block** owner) {
  if (address % 8 != 0)
    violation("misaligned mbarrier at shared byte %u, which is not a multiple of 8", address % kSharedWindow);
  const auto memory = reinterpret_cast<uintptr_t>(sharedPointer(address, 8));
  Block& block = *arenaOf(memory);
  MBarrier* barrier = findBarrier(block, address % kSharedWindow);
  if (barrier == nullptr)
    violation("%s at shared byte %u, where no mbarrier is", what, address % kSharedWindow);
  if (!ordered(actor, barrier->creator->actor.id, barrier->createdAt)) {
    violation(
        "%s at shared byte %u: no barrier stands between its initialisation by thread (%u, %u, %u) and this "
        "use",
        what, barrier->offset, barrier->creator->index.x, barrier->creator->index.y,
        barrier->creator->index.z);
  }
  checkShared(actor, memory, 8, Access::kAtomic);
  if (owner != nullptr) *owner = &block;
  return *barrier;
}

void completeBytes(uint32_t address, Actor& actor, uint32_t bytes) {
  MBarrier& barrier = mbarrierAt(address, actor, "bytes of a copy arrive", nullptr);
  checkPublished(barrier, "bytes of a copy arrive at the mbarrier");
  Actor bare;  // the bytes are there: nothing else is said
  bare.id = actor.id;
  bare.now = actor.now;
  publish(bare, barrier.gathered);
  barrier.bytes -= bytes;
  settle(barrier);
}

void arriveAt(uint32_t address, Actor& actor) {
  arrive(mbarrierAt(address, actor, "arrival", nullptr), actor);
}

void mbarrierInit(uint32_t address, uint32_t arrivals) {
  InsideRuntime inside;
  Thread& thread = self();
  if (address % 8 != 0)
    violation("misaligned mbarrier at shared byte %u, which is not a multiple of 8", address % kSharedWindow);
  if (arrivals == 0 || arrivals > kMaxArrivals) violation("mbarrier of %u arrivals; 1 to 2^20 - 1", arrivals);
  unsigned char* memory = sharedPointer(address, 8);
  if (arenaOf(reinterpret_cast<uintptr_t>(memory)) != thread.block) {
    violation("mbarrier initialised in the shared memory of another block");
  }
  const uint32_t offset = address % kSharedWindow;
  if (findBarrier(*thread.block, offset) != nullptr) {
    violation("mbarrier at shared byte %u is initialised again without having been invalidated", offset);
  }
  checkShared(thread.actor, reinterpret_cast<uintptr_t>(memory), 8, Access::kWrite);
  MBarrier barrier;
  barrier.offset = offset;
  barrier.arrivals = barrier.pending = arrivals;
  barrier.creator = &thread;
  barrier.createdAt = thread.actor.now;
  thread.block->async.barriers.push_back(std::move(barrier));
}

void mbarrierInvalidate(uint32_t address) {
  InsideRuntime inside;
  Thread& thread = self();
  MBarrier& barrier = mbarrierAt(address, thread.actor, "mbarrier.inval", nullptr);
  checkShared(thread.actor, reinterpret_cast<uintptr_t>(sharedPointer(address, 8)), 8, Access::kWrite);
  if (barrier.waiters != nullptr)
    violation("mbarrier at shared byte %u is invalidated while threads wait", barrier.offset);
  if (barrier.bytes != 0) {
    violation("mbarrier at shared byte %u is invalidated with %lld bytes under way", barrier.offset,
              static_cast<long long>(barrier.bytes));
  }
  auto& barriers = thread.block->async.barriers;
  barriers.erase(barriers.begin() + (&barrier - barriers.data()));
}

void mbarrierExpect(uint32_t address, uint32_t bytes) {
  InsideRuntime inside;
  MBarrier& barrier = mbarrierAt(address, self().actor, "expect_tx", nullptr);
  barrier.bytes += bytes;
  settle(barrier);
}

void mbarrierArrive(uint32_t address) {
  InsideRuntime inside;
  Thread& thread = self();
  Block* block = nullptr;
  MBarrier& barrier = mbarrierAt(address, thread.actor, "arrival", &block);
  if (block != thread.block) violation("arrival at a peer's mbarrier without mbarrierArrivePeer");
  arrive(barrier, thread.actor);
}

void mbarrierArrivePeer(uint32_t address, uint32_t rank) {
  InsideRuntime inside;
  Thread& thread = self();
  const uint32_t mapped = rank * kSharedWindow + address % kSharedWindow;
  Block& peer = peerBlock(mapped, thread.actor);
  MBarrier& barrier = mbarrierAt(mapped, thread.actor, "arrival from a peer", nullptr);
  if (&peer != thread.block) checkPublished(barrier, "arrival from a peer at the mbarrier");
  arrive(barrier, thread.actor);
}

void mbarrierWait(uint32_t address, uint32_t parity) {
  InsideRuntime inside;
  Thread& thread = self();
  if (parity > 1)
    violation("wait for parity %u of the mbarrier at shared byte %u; parities are 0 and 1", parity,
              address % kSharedWindow);
  for (;;) {
    Block* block = nullptr;
    MBarrier& barrier = mbarrierAt(address, thread.actor, "wait", &block);
    if (block != thread.block) violation("wait at a peer's mbarrier; only the own block's can be waited for");
    if ((barrier.phase & 1) != parity) {
      learn(thread.actor, barrier.completed);
      return;
    }
    thread.nextWaiter = barrier.waiters;
    barrier.waiters = &thread;
    park(kWaits, barrier.offset, parity);
  }
}

bool mbarrierTryWait(uint32_t address, uint32_t parity) {
  InsideRuntime inside;
  Thread& thread = self();
  const MBarrier& barrier = mbarrierAt(address, thread.actor, "wait", nullptr);
  if ((barrier.phase & 1) == parity && thread.async.polls < kPatience) {
    ++thread.async.polls;
    yieldThread();
    return false;
  }
  thread.async.polls = 0;
  mbarrierWait(address, parity);
  return true;
}

namespace {

// The arrival of a thread whose earlier cp.async copies are still under way.
struct ArrivalAfterCopies final : Operation {
  std::vector<GroupEntry> copies;
  uint32_t barrier = 0;

  bool ready() const override {
    for (const GroupEntry& copy : copies) {
      for (const GroupEntry& entry : issuer->async.copies.entries) {
        if (entry.serial == copy.serial && entry.pending != nullptr) return false;
      }
    }
    return true;
  }
  void deliver() override {
    for (const GroupEntry& copy : copies) learnTime(actor, copy.agent, copy.time);
    arriveAt(barrier, actor);
  }
  void describe(char* text, size_t size) const override {
    std::snprintf(text, size, "arrival after copies at the mbarrier at shared byte %u",
                  barrier % kSharedWindow);
  }
};

}  // namespace

void mbarrierArriveAfterCopies(uint32_t address) {
  InsideRuntime inside;
  Thread& thread = self();
  mbarrierAt(address, thread.actor, "arrival after copies", nullptr);
  auto operation = std::make_unique<ArrivalAfterCopies>();
  operation->barrier = address;
  operation->copies = thread.async.copies.entries;
  thread.async.copies.sealed = true;
  defer(std::move(operation));
}

void fenceMbarrierInit() {
  Thread& thread = self();
  thread.async.barrierFence = thread.actor.now;
}

void fenceProxyAsync() {
  Thread& thread = self();
  thread.async.proxyFence = thread.async.barrierFence = thread.actor.now;
  ++thread.actor.now;  // what it writes from here on is younger than the fence
}

void checkProxy(uintptr_t address, size_t bytes, const char* what) {
  struct Visit {
    const char* what;
    uintptr_t address;
    const Block* block;
  } state{what, address, arenaOf(address)};
  visitWrites(
      address, bytes,
      [](uint16_t writer, uint32_t time, void* raw) {
        const auto& visit = *static_cast<Visit*>(raw);
        const Cluster& cluster = *visit.block->cluster;
        if (writer >= cluster.threads.size()) return;
        const Thread& thread = cluster.threads[writer];
        if (time <= thread.async.proxyFence) return;
        violation(
            "missing fenceProxyAsync: %s, near shared byte %zu, what thread (%u, %u, %u) wrote by ordinary "
            "stores",
            visit.what, static_cast<size_t>(visit.address - reinterpret_cast<uintptr_t>(visit.block->arena)),
            thread.index.x, thread.index.y, thread.index.z);
      },
      &state);
}

void describeBarriers(const Cluster& cluster, char* text, size_t size) {
  size_t used = 0;
  text[0] = 0;
  for (const Block& block : cluster.blocks) {
    for (const MBarrier& barrier : block.async.barriers) {
      if (barrier.waiters == nullptr || used + 100 > size) continue;
      used += static_cast<size_t>(std::snprintf(
          text + used, size - used, "; mbarrier at byte %u: phase %u lacks %u arrivals and %lld bytes",
          barrier.offset, barrier.phase, barrier.pending, static_cast<long long>(barrier.bytes)));
    }
  }
}

namespace {

void runElect(Thread* const*, unsigned) {}

}  // namespace

bool electOne() {
  Call call;
  call.kind = "elect.sync";
  call.mask = 0xffffffffu;
  meetWarp(call, runElect);
  return self().lane == 0;
}

}  // namespace anneal::simt
