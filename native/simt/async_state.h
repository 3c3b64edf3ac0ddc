// async_state.h — what the asynchronous engine keeps for each thread and each block; value-initialised when a
// block starts.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "simt/clock.h"

namespace anneal::simt {

struct Operation;
struct Thread;
struct Warpgroup;  // wgmma.cc

// One operation of a thread's groups (cp.async, or a store of the copy engine) until the thread has waited
// for it.
struct GroupEntry {
  uint64_t serial = 0;
  uint32_t group = 0;
  Operation* pending = nullptr;  // null once delivered
  uint16_t agent = 0;            // its party to races, and the time of its accesses
  uint32_t time = 0;
  bool reads = false;  // the half of a store that reads shared memory
};

struct GroupQueue {
  std::vector<GroupEntry> entries;
  uint64_t serials = 0;
  uint32_t open = 0;    // number of the group that the next commit closes
  bool sealed = false;  // the youngest operation takes no more copies along

  void reset() {
    entries.clear();
    serials = 0;
    open = 0;
    sealed = false;
  }
};

// A barrier in shared memory; its state lies here, not in the arena.
struct MBarrier {
  uint32_t offset = 0;
  uint32_t arrivals = 0;  // of a phase
  uint32_t pending = 0;   // arrivals that this phase still needs
  int64_t bytes = 0;      // announced and not yet there
  uint32_t phase = 0;
  ClockRef gathered;   // by this phase's arrivals
  ClockRef completed;  // by the last phase's
  Thread* waiters = nullptr;
  const Thread* creator = nullptr;
  uint32_t createdAt = 0;  // the creator's time
};

struct ClusterBarrier {
  uint32_t arrived = 0;
  uint32_t phase = 0;
  ClockRef gathered;
  ClockRef completed;
  Thread* waiters = nullptr;
};

// The latest access of a peer's thread or operation to a block's shared memory.
struct PeerAccess {
  uint16_t actor = 0;
  uint32_t time = 0;
};

// Registers of one thread that a product under way writes, or that one wrote before.
struct Accumulator {
  uintptr_t address = 0;
  uint32_t bytes = 0;
  bool inFlight = false;
};

struct ThreadAsync {
  GroupQueue copies;          // cp.async
  GroupQueue stores;          // copy engine
  uint32_t proxyFence = 0;    // time of the last fence.proxy.async
  uint32_t barrierFence = 0;  // time of the last fence that publishes barriers
  uint32_t clusterArrivals = 0;
  uint32_t clusterWaits = 0;
  uint32_t polls = 0;  // of an mbarrier without success
  // wgmma
  bool fenced = false;          // no accumulator was touched since the last wgmma.fence
  bool watching = false;        // accumulators are known
  uint32_t productGroup = 0;    // number of the group that the next commit closes
  uint32_t productsWaited = 0;  // groups below have been waited for
  std::vector<Accumulator> accumulators;

  // As new; keeps its memory, for many short blocks follow each other.
  void reset() {
    copies.reset();
    stores.reset();
    accumulators.clear();
    proxyFence = barrierFence = clusterArrivals = clusterWaits = polls = 0;
    fenced = watching = false;
    productGroup = productsWaited = 0;
  }
};

struct RegisterShare {
  uint32_t count = 0;  // registers a thread; 0: as launched
  uint32_t calls = 0;
};

struct BlockAsync {
  std::vector<MBarrier> barriers;
  std::vector<PeerAccess> peers;
  ClusterBarrier cluster;  // used in rank 0 alone
  std::shared_ptr<Warpgroup> warpgroups[8];
  RegisterShare registers[32];  // of each warp
  uint32_t freeRegisters = 0;   // given back to the block's pool
  Thread* registerWaiters = nullptr;
};

}  // namespace anneal::simt
