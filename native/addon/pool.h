// pool.h — the caching allocator of a host-memory device. Buffers are handed out and taken back on the
// JavaScript thread; because every use of a buffer is a command on one ordered stream, a buffer that was just
// freed may be given out again at once. Nothing is allocated per step.
#pragma once

#include <cstddef>
#include <map>
#include <unordered_map>
#include <vector>

namespace anneal::addon {

struct MemoryStatistics {
  size_t live = 0;      // bytes of buffers in use, as asked for
  size_t peak = 0;      // highest value of live since the last reset
  size_t reserved = 0;  // bytes held from the operating system, free ones included
  size_t buffers = 0;   // buffers in use
};

class Pool {
 public:
  ~Pool();

  // A buffer of at least `bytes` bytes, 64-byte aligned, or null when the limit or the system's memory does
  // not allow it.
  void* allocate(size_t bytes);
  void release(void* data);

  // Memory that the pool has let go of; freeBlock gives it back to the system, once the stream has passed its
  // last use.
  struct Unused {
    void* data;
    size_t capacity;
  };
  std::vector<Unused> takeUnused();
  static void freeBlock(const Unused& block);

  const MemoryStatistics& statistics() const { return statistics_; }
  void resetPeak() { statistics_.peak = statistics_.live; }
  void setLimit(size_t bytes) { limit_ = bytes; }
  size_t limit() const { return limit_; }

 private:
  struct Block {
    size_t capacity;
    size_t asked;
  };
  void* fromSystem(size_t capacity);

  std::unordered_map<void*, Block> blocks_;
  std::multimap<size_t, void*> unused_;
  MemoryStatistics statistics_;
  size_t limit_ = 0;  // 0: none
};

}  // namespace anneal::addon
