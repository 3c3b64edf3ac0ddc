// async.h — what the files of the asynchronous engine share: groups of operations, barriers in shared memory,
// the rules between ordinary accesses and those of the copy engine and the tensor cores, and the end of
// threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "simt/machine.h"

namespace anneal::simt {

// ---- Groups (async_copy.cc)

// An operation that a thread waits for by groups.
struct GroupedOperation : Operation {
  GroupQueue* queue = nullptr;
  uint64_t serial = 0;
  // To be called at the end of deliver().
  void leaveGroup();
};

// Defers it as a member of the queue's open group.
GroupedOperation* deferInGroup(GroupQueue& queue, std::unique_ptr<GroupedOperation> operation, bool reads);
// Delivers what the thread waits for — all groups but the `pending` youngest — and learns of it; with
// `readsOnly` only the halves that read.
void waitForGroups(Thread& thread, GroupQueue& queue, uint32_t pending, bool readsOnly);

// ---- Barriers in shared memory (mbarrier.cc)

// The barrier behind a shared address of the cluster; a violation when there is none. `block` gets its owner.
MBarrier& mbarrierAt(uint32_t address, const Actor& actor, const char* what, Block** block);
// Bytes of an asynchronous copy have arrived in the barrier's block; `actor` brought them.
void completeBytes(uint32_t address, Actor& actor, uint32_t bytes);
// An arrival by an operation.
void arriveAt(uint32_t address, Actor& actor);

// For the dump of a deadlock: what the barriers lack for which threads wait.
void describeBarriers(const Cluster& cluster, char* text, size_t size);

// ---- Proxies (mbarrier.cc)

// A violation when one of the bytes was last written by a thread's ordinary store and that thread has not
// executed fence.proxy.async since. `what` names the operation that touches them now.
void checkProxy(uintptr_t address, size_t bytes, const char* what);

// ---- Clusters (cluster.cc)

// The block that a shared address of the cluster names, checked to be alive; notes that `actor` touches its
// memory.
Block& peerBlock(uint32_t address, const Actor& actor);

// ---- wgmma (wgmma.cc)

// An access of a kernel to its own local variables, while accumulators are known. A violation when it touches
// one under way; touching another one makes a new wgmma.fence necessary.
void checkRegisters(Thread& thread, uintptr_t address, size_t bytes);
// True while products of the block are under way for which not all threads have waited.
bool productsUnderWay(const Block& block);

// ---- Ends (cluster.cc)

// A thread has ended (its state says so): barriers of the cluster notice, and with the last thread of a block
// its rules about what may be left undone.
void asyncThreadEnded(Thread& thread);

}  // namespace anneal::simt
