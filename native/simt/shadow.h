// shadow.h — what is known of every byte of shared memory: whether it was written, who wrote and read it
// last, and how many asynchronous operations have it in flight. One cell describes four bytes, until an
// access of one or two bytes splits it into a cell for each.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simt/machine.h"

namespace anneal::simt {

// Times are 0 where nothing happened. Of many readers that no barrier orders two are kept: a writer is then
// caught unless it is ordered after both, and never blamed wrongly.
struct Cell {
  uint32_t writeTime;
  uint32_t readTime[2];
  uint16_t writer;
  uint16_t reader[2];
  uint8_t flags;
  uint8_t inFlight;  // operations; stays at 255 once it got there
};

enum CellFlags : uint8_t { kWritten = 1, kSplit = 2, kAtomicWrite = 4 };

// Cells of all windows of a machine.
class SharedShadow {
 public:
  SharedShadow();
  ~SharedShadow();
  SharedShadow(const SharedShadow&) = delete;
  SharedShadow& operator=(const SharedShadow&) = delete;

  Cell& word(size_t offset) { return words_[offset / 4]; }
  Cell* bytesOf(size_t offset) { return bytes_ + offset / 4 * 4; }
  // Nothing is written and nothing known of the first `bytes` of a window.
  void clear(unsigned window, size_t bytes);
  // Gives each byte of the word a cell of its own and returns the first.
  Cell* split(size_t offset);

 private:
  Cell* words_;
  Cell* bytes_;
};

// An operation takes hold of a range (of shared memory; others are left alone) and lets go of it.
void beginFlight(const Operation& operation, const MemoryRange& range);
void endFlight(const MemoryRange& range);

// The last write to each of the bytes, for checks of the asynchronous proxy: visit(writer, time, state) for
// each cell that was written.
void visitWrites(uintptr_t address, size_t bytes, void (*visit)(uint16_t writer, uint32_t time, void* state),
                 void* state);

}  // namespace anneal::simt
