// async_copy.cc — cp.async, and the groups by which threads wait for their own operations. A thread's copies
// of one group are one operation, which the engine delivers some time between the issue and the wait, before
// or after other groups.
#include "simt/async_copy.h"

#include <cstdio>
#include <cstring>
#include <utility>

#include "simt/async.h"
#include "simt/shadow.h"

namespace anneal::simt {
namespace {

struct Copy {
  unsigned char* destination;
  const unsigned char* source;
  unsigned bytes;
  unsigned valid;
};

struct CopyOperation final : GroupedOperation {
  std::vector<Copy> copies;

  void deliver() override {
    for (const Copy& copy : copies) {
      if (copy.valid > 0) {
        checkGlobal(actor, reinterpret_cast<uintptr_t>(copy.source), copy.valid, Access::kRead);
      }
      checkShared(actor, reinterpret_cast<uintptr_t>(copy.destination), copy.bytes, Access::kWrite);
      std::memcpy(copy.destination, copy.source, copy.valid);
      std::memset(copy.destination + copy.valid, 0, copy.bytes - copy.valid);
    }
    leaveGroup();
  }

  void describe(char* text, size_t size) const override {
    std::snprintf(text, size, "cp.async of thread (%u, %u, %u), group %u", issuer->index.x, issuer->index.y,
                  issuer->index.z, group);
  }

  uint32_t group = 0;
  ClockRef base;  // what the thread knew of others when it issued the last copy
};

}  // namespace

void GroupedOperation::leaveGroup() {
  for (GroupEntry& entry : queue->entries) {
    if (entry.serial == serial) entry.pending = nullptr;
  }
}

GroupedOperation* deferInGroup(GroupQueue& queue, std::unique_ptr<GroupedOperation> operation, bool reads) {
  GroupedOperation* result = operation.get();
  result->queue = &queue;
  result->serial = ++queue.serials;
  defer(std::move(operation));
  GroupEntry entry;
  entry.serial = result->serial;
  entry.group = queue.open;
  entry.pending = result;
  entry.agent = result->actor.id;
  entry.time = result->actor.now;
  entry.reads = reads;
  queue.sealed = false;
  queue.entries.push_back(entry);
  return result;
}

void waitForGroups(Thread& thread, GroupQueue& queue, uint32_t pending, bool readsOnly) {
  const auto due = [&](const GroupEntry& entry) {
    return entry.group + pending < queue.open && (entry.reads || !readsOnly);
  };
  size_t kept = 0;
  for (size_t i = 0; i < queue.entries.size(); ++i) {
    if (!due(queue.entries[i])) continue;
    if (queue.entries[i].pending != nullptr) deliverNow(queue.entries[i].pending);
    learnTime(thread.actor, queue.entries[i].agent, queue.entries[i].time);
  }
  for (size_t i = 0; i < queue.entries.size(); ++i) {
    if (!due(queue.entries[i])) queue.entries[kept++] = queue.entries[i];
  }
  queue.entries.resize(kept);
}

void copyAsync(uint32_t destination, const void* source, unsigned bytes, unsigned valid) {
  InsideRuntime inside;
  Thread& thread = self();
  if (valid > bytes) violation("cp.async of %u bytes: %u valid ones are more than there are", bytes, valid);
  if (destination % bytes != 0 || reinterpret_cast<uintptr_t>(source) % bytes != 0) {
    violation("misaligned cp.async of %u bytes from %p to shared byte %u", bytes, source,
              destination % kSharedWindow);
  }
  Copy copy{sharedPointer(destination, bytes), static_cast<const unsigned char*>(source), bytes, valid};
  if (arenaOf(reinterpret_cast<uintptr_t>(copy.destination)) != thread.block) {
    violation("cp.async to the shared memory of another block");
  }
  const MemoryRange range{reinterpret_cast<uintptr_t>(copy.destination), bytes, true};
  GroupQueue& queue = thread.async.copies;
  if (!queue.sealed && !queue.entries.empty() && queue.entries.back().group == queue.open &&
      queue.entries.back().pending != nullptr) {
    // The group's operation is still under way: it takes this copy along, and knows what the thread knows
    // now.
    auto* operation = static_cast<CopyOperation*>(queue.entries.back().pending);
    publishAgain(thread.actor, operation->actor.known, operation->base);
    operation->base = thread.actor.known;
    operation->copies.push_back(copy);
    operation->ranges.push_back(range);
    beginFlight(*operation, range);
    return;
  }
  auto operation = std::make_unique<CopyOperation>();
  operation->copies.push_back(copy);
  operation->ranges.push_back(range);
  operation->group = queue.open;
  operation->base = thread.actor.known;
  deferInGroup(queue, std::move(operation), false);
}

void commitGroup() { ++self().async.copies.open; }

void waitGroups(unsigned pending) {
  InsideRuntime inside;
  waitForGroups(self(), self().async.copies, pending, false);
}

void waitAllCopies() {
  InsideRuntime inside;
  GroupQueue& queue = self().async.copies;
  ++queue.open;
  waitForGroups(self(), queue, 0, false);
}

}  // namespace anneal::simt
