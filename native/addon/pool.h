// pool.h — the caching allocator of a device. Buffers are handed out and taken back on the JavaScript thread;
// because every use of a buffer is a command on one ordered stream, a buffer that was just freed may be given
// out again at once. Nothing is allocated per step.
#pragma once

#include <cstddef>
#include <map>
#include <unordered_map>
#include <vector>

#include "core/backend.h"

namespace anneal::addon {

struct MemoryStatistics {
  size_t live = 0;      // bytes of buffers in use, as asked for
  size_t peak = 0;      // highest value of live since the last reset
  size_t reserved = 0;  // bytes held from the system or the device, free ones included
  size_t buffers = 0;   // buffers in use
  size_t recorded = 0;  // bytes held for recordings, apart from buffers in use
};

class Pool {
 public:
  // `context` is that of an opened device, for the JavaScript thread; with `api` null memory is the host's.
  Pool(const DeviceApi* api, KernelContext* context) : api_(api), context_(context) {}
  ~Pool() { clear(); }
  // Gives everything back to the system or the device; buffers in use end with it.
  void clear();

  // A buffer of at least `bytes` bytes, 64-byte aligned, or null when the limit or the memory does not allow
  // it.
  void* allocate(size_t bytes);
  // The same, never from the arena in use.
  void* allocateFresh(size_t bytes);

  // Memory that the pool has let go of; freeBlock gives it back, once the stream has passed its last use.
  struct Unused {
    void* data;
    size_t capacity;
  };
  // Takes a buffer back. True: the pool does not keep it, `unused` is to be given to freeBlock.
  bool release(void* data, Unused* unused);
  std::vector<Unused> takeUnused();
  static void freeBlock(const DeviceApi* api, KernelContext* context, const Unused& block);

  // Memory set aside for a recording: buffers that come back while it is in use stay in it, and allocations
  // take from it first.
  struct Arena {
    std::multimap<size_t, void*> unused;
    std::vector<void*> kept;  // not used again
  };
  void setArena(Arena* arena) { arena_ = arena; }
  // Takes a buffer back into `arena`, where nobody gets it.
  void retire(void* data, Arena& arena);
  // Ends an arena; what the pool does not keep is to be given to freeBlock.
  std::vector<Unused> dissolve(Arena& arena);

  const MemoryStatistics& statistics() const { return statistics_; }
  void resetPeak() { statistics_.peak = statistics_.live; }
  void setLimit(size_t bytes) { limit_ = bytes; }
  size_t limit() const { return limit_; }

 private:
  struct Block {
    size_t capacity;
    size_t asked;
  };
  bool exact() const { return api_ != nullptr && api_->exactAllocations != 0; }
  void* fromSystem(size_t capacity);
  void* take(std::multimap<size_t, void*>& unused, size_t wanted, size_t most);
  void* use(void* data, size_t bytes);
  void giveBack(const Block& block);

  const DeviceApi* api_;
  KernelContext* context_;
  std::unordered_map<void*, Block> blocks_;
  std::multimap<size_t, void*> unused_;
  Arena* arena_ = nullptr;
  MemoryStatistics statistics_;
  size_t limit_ = 0;  // 0: none
};

}  // namespace anneal::addon
