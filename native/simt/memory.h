// memory.h — global memory: one reserved range of addresses for all allocations of the process. No address is
// given out twice, so a pointer to released memory is known for what it is, and between two allocations lies
// a page that belongs to none, so the end of an allocation is exact.
#pragma once

#include <cstddef>
#include <cstdint>

namespace anneal::simt {

constexpr size_t kPageBits = 12;

// The last write and one read of four bytes of global memory in a launch. `writer` and `reader` hold the
// number of the cluster in the upper 24 bits, then flags, then which of the four bytes (0: no access); times
// and actors are those of that cluster's clocks.
struct GlobalCell {
  uint32_t writer;
  uint32_t reader;
  uint16_t writeActor;
  uint16_t readActor;
  uint16_t writeTime;
  uint16_t readTime;
};
constexpr uint32_t kCellBytes = 0xf;
constexpr uint32_t kCellAtomic = 0x10;  // the write was an atomic update
constexpr uint32_t kCellClusterShift = 8;
constexpr uint64_t kCellClusters = uint64_t{1} << 24;  // larger grids are not tracked
constexpr uint32_t kCellTimes = 0xffff;                // later accesses of an actor are not tracked

struct Allocation {
  uintptr_t begin = 0;
  size_t bytes = 0;     // that may be touched
  size_t capacity = 0;  // that are there
  uint64_t serial = 0;
  const char* what = "";
  bool live = false;
};

// Null when there is not enough memory; [any thread]. Contents are 0xff bytes (NaN in every floating-point
// type).
void* allocateGlobal(size_t bytes, const char* what);
void releaseGlobal(void* data);
// Makes the first `bytes` of an allocation the ones that may be touched; within its capacity.
void limitGlobal(void* data, size_t bytes);

// The allocation whose pages hold the address, live or not, or null; lock-free.
const Allocation* findGlobal(uintptr_t address);

// Set by the first allocation.
struct GlobalRange {
  uintptr_t begin = 0;
  size_t bytes = 0;
  GlobalCell* cells = nullptr;
  uint32_t* stamps = nullptr;  // of each page: the launch that its cells speak of
};
extern constinit GlobalRange globalRange;
inline bool inGlobalRange(uintptr_t address) { return address - globalRange.begin < globalRange.bytes; }
// The cell of an address in the range.
inline GlobalCell& globalCell(uintptr_t address) {
  return globalRange.cells[(address - globalRange.begin) / 4];
}
// What [address, address + bytes) misses, for a message: "2 bytes past the end of allocation #7 (400 bytes)".
void describeGlobal(uintptr_t address, size_t bytes, char* text, size_t size);

struct GlobalUse {
  size_t live;   // bytes of live allocations
  size_t total;  // bytes that this device gives out at most
};
GlobalUse globalUse();

}  // namespace anneal::simt
