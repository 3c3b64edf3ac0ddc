// cluster.cc — blocks of a cluster: their barrier, accesses to each other's shared memory, and what may be
// left undone when threads end. A block may only end after every peer's access to its memory, ordered by a
// barrier.
#include "simt/cluster.h"

#include <cstdio>
#include <cstring>
#include <utility>

#include "simt/async.h"

namespace anneal::simt {
namespace {

constexpr const char* kClusterWait = "clusterWait";

ClusterBarrier& barrierOf(const Thread& thread) { return thread.block->cluster->blocks[0].async.cluster; }

// Opens the barrier when all threads that have not ended have arrived.
void openIfComplete(Cluster& cluster) {
  ClusterBarrier& barrier = cluster.blocks[0].async.cluster;
  if (barrier.arrived == 0 || barrier.arrived < cluster.live) return;
  barrier.completed = std::move(barrier.gathered);
  barrier.gathered.reset();
  barrier.arrived = 0;
  ++barrier.phase;
  Thread* thread = std::exchange(barrier.waiters, nullptr);
  while (thread != nullptr) {
    Thread* next = std::exchange(thread->nextWaiter, nullptr);
    wake(*thread);
    thread = next;
  }
}

void checkAccessTo(uint32_t address, size_t bytes, Access access, unsigned char** memory) {
  if (address % bytes != 0) {
    violation("misaligned access of %zu bytes at shared byte %u of cluster rank %u", bytes,
              address % kSharedWindow, address / kSharedWindow);
  }
  Thread& thread = self();
  peerBlock(address, thread.actor);
  *memory = sharedPointer(address, bytes);
  checkShared(thread.actor, reinterpret_cast<uintptr_t>(*memory), bytes, access);
}

// st.async: bytes for a peer's shared memory and its barrier.
struct PeerStore final : Operation {
  uint32_t address = 0;
  uint32_t barrier = 0;
  unsigned char value[16];
  uint32_t bytes = 0;

  void deliver() override {
    peerBlock(address, actor);
    unsigned char* memory = sharedPointer(address, bytes);
    checkShared(actor, reinterpret_cast<uintptr_t>(memory), bytes, Access::kWrite);
    std::memcpy(memory, value, bytes);
    completeBytes(barrier, actor, bytes);
  }
  void describe(char* text, size_t size) const override {
    std::snprintf(text, size, "st.async of %u bytes to shared byte %u of cluster rank %u", bytes,
                  address % kSharedWindow, address / kSharedWindow);
  }
};

}  // namespace

uint32_t clusterRank() { return self().block->rank; }
uint32_t clusterSize() { return static_cast<uint32_t>(self().block->cluster->blocks.size()); }

void clusterArrive() {
  InsideRuntime inside;
  Thread& thread = self();
  if (thread.async.clusterArrivals != thread.async.clusterWaits) {
    violation("clusterArrive a second time without clusterWait in between");
  }
  ++thread.async.clusterArrivals;
  ClusterBarrier& barrier = barrierOf(thread);
  publish(thread.actor, barrier.gathered);
  ++barrier.arrived;
  openIfComplete(*thread.block->cluster);
}

void clusterWait() {
  InsideRuntime inside;
  Thread& thread = self();
  if (thread.async.clusterArrivals == thread.async.clusterWaits)
    violation("clusterWait without clusterArrive");
  ++thread.async.clusterWaits;
  ClusterBarrier& barrier = barrierOf(thread);
  if (barrier.phase < thread.async.clusterWaits) {
    thread.nextWaiter = barrier.waiters;
    barrier.waiters = &thread;
    park(kClusterWait);
  }
  learn(thread.actor, barrier.completed);
}

uint32_t peerAddress(uint32_t address, uint32_t rank) {
  if (rank >= clusterSize()) violation("peerAddress: rank %u of a cluster of %u blocks", rank, clusterSize());
  return rank * kSharedWindow + address % kSharedWindow;
}

Block& peerBlock(uint32_t address, const Actor& actor) {
  Block& block = *arenaOf(reinterpret_cast<uintptr_t>(sharedPointer(address, 1)));
  const auto& threads = block.cluster->threads;
  const bool own = actor.id < threads.size() && threads[actor.id].block == &block;
  if (own) return block;
  if (block.live == 0) {
    violation("access to the shared memory of cluster rank %u, whose block has ended", block.rank);
  }
  for (PeerAccess& access : block.async.peers) {
    if (access.actor != actor.id) continue;
    access.time = actor.now;
    return block;
  }
  block.async.peers.push_back({actor.id, actor.now});
  return block;
}

void readPeer(void* value, uint32_t address, size_t bytes) {
  InsideRuntime inside;
  unsigned char* memory = nullptr;
  checkAccessTo(address, bytes, Access::kRead, &memory);
  std::memcpy(value, memory, bytes);
}

void writePeer(uint32_t address, const void* value, size_t bytes) {
  InsideRuntime inside;
  unsigned char* memory = nullptr;
  checkAccessTo(address, bytes, Access::kWrite, &memory);
  std::memcpy(memory, value, bytes);
}

void writePeerAsync(uint32_t address, const void* value, size_t bytes, uint32_t barrier) {
  InsideRuntime inside;
  if (address / kSharedWindow != barrier / kSharedWindow) {
    violation("st.async to cluster rank %u with a barrier of rank %u; both must belong to one block",
              address / kSharedWindow, barrier / kSharedWindow);
  }
  if (address % bytes != 0) {
    violation("misaligned st.async of %zu bytes at shared byte %u", bytes, address % kSharedWindow);
  }
  auto operation = std::make_unique<PeerStore>();
  operation->address = address;
  operation->barrier = barrier;
  operation->bytes = static_cast<uint32_t>(bytes);
  std::memcpy(operation->value, value, bytes);
  operation->ranges.push_back({reinterpret_cast<uintptr_t>(sharedPointer(address, bytes)), bytes, true});
  defer(std::move(operation));
}

namespace {

// The block's last thread has ended.
void checkBlockEnd(const Block& block) {
  const Cluster& cluster = *block.cluster;
  for (const MBarrier& barrier : block.async.barriers) {
    if (barrier.bytes == 0) continue;
    violation("the block ended with %lld bytes %s at the mbarrier at shared byte %u",
              static_cast<long long>(barrier.bytes < 0 ? -barrier.bytes : barrier.bytes),
              barrier.bytes < 0 ? "more than announced" : "still to come", barrier.offset);
  }
  if (productsUnderWay(block)) violation("the block ended with wgmma under way that nobody waited for");
  const uint32_t warps = (block.threads + kLanes - 1) / kLanes;
  for (uint32_t w = 0; w < warps; ++w) {
    const RegisterShare& first = block.async.registers[w / 4 * 4];
    const RegisterShare& share = block.async.registers[w];
    if (share.count != first.count || share.calls != first.calls) {
      violation("setmaxnreg: warps %u and %u of one warpgroup ended with %u and %u registers a thread",
                w / 4 * 4, w, first.count, share.count);
    }
  }
  for (const PeerAccess& access : block.async.peers) {
    bool known = false;
    for (uint32_t t = 0; t < block.threads && !known; ++t) {
      known = ordered(block.firstThread[t].actor, access.actor, access.time);
    }
    if (known) continue;
    const bool agent = access.actor >= cluster.threads.size();
    violation("cluster rank %u ended without a barrier after an access of %s to its shared memory",
              block.rank, agent ? "the copy engine" : "a peer's thread");
  }
}

}  // namespace

void asyncThreadEnded(Thread& thread) {
  Block& block = *thread.block;
  if (thread.async.clusterArrivals != thread.async.clusterWaits) {
    violation("thread ended between clusterArrive and clusterWait");
  }
  for (const GroupEntry& entry : thread.async.stores.entries) {
    if (entry.reads)
      violation(
          "thread ended without bulkWait or bulkWaitRead: it must wait for its stores to read shared memory");
  }
  openIfComplete(*block.cluster);
  if (block.live == 0) checkBlockEnd(block);
}

}  // namespace anneal::simt
