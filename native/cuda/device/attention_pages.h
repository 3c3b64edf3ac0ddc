// attention_pages.h — where the key rows of one segment lie in a paged cache: the lookup in its page table,
// the check of its entries, and copies of such rows into tiles.
#pragma once

#include "cuda/device/attention_tile.h"
#include "cuda/fault.h"

namespace anneal::cuda {

// Without a table rows lie one after the other. What the launch has in common stays in its parameters, which
// cost no registers.
struct PageMap {
  static constexpr bool kTable = true;
  const AttentionWork* work;
  int segment;

  // An id outside the pool is reported by checkPages and reads the first page.
  ANNEAL_DEVICE int64_t row(int key) const {
    if (work->pages == nullptr) return key;
    const int id = work->pages[int64_t{segment} * work->pageColumns + (key >> work->pageShift)];
    const int page = static_cast<unsigned>(id) < static_cast<unsigned>(work->pageCount) ? id : 0;
    return (int64_t{page} << work->pageShift) + (key & ((1 << work->pageShift) - 1));
  }
};

// Reports page ids outside the pool, all entries of a segment by the one block that is its first. All threads
// of the block call it.
ANNEAL_DEVICE void checkPages(const AttentionWork& work, const AttentionPlace& place,
                              const FaultReporter& faults) {
  if (work.pages == nullptr || place.unit + place.tile + blockIdx.y + blockIdx.z != 0) return;
  const int64_t first = int64_t{place.number} * work.pageColumns;
  for (int64_t i = threadIdx.x; i << work.pageShift < place.segment.keys; i += blockDim.x) {
    const int id = work.pages[first + i];
    if (static_cast<unsigned>(id) >= static_cast<unsigned>(work.pageCount)) {
      reportFault(faults, kFaultPage, first + i, id, work.pageCount);
    }
  }
}

// copyRows for key rows that may lie in pages. `number`: the segment's.
template <int kRows, int kChannels, int kThreads>
ANNEAL_DEVICE void copyKeyRows(unsigned char* tile, const RowSource<bf16>& source, const AttentionWork& work,
                               int number, int row, int rows) {
  if (work.pages == nullptr) {
    copyRows<kRows, kChannels, kThreads>(tile, source, row, rows);
    return;
  }
  constexpr int kPieces = kChannels % 64 == 0 ? 8 : 4, kStep = kThreads / kPieces;
  constexpr int kPitch = kTilePitch<kChannels>;
  const PageMap pages{&work, number};
  const int piece = static_cast<int>(threadIdx.x) % kPieces;
  // Not unrolled, as in copyRows.
#pragma unroll 1
  for (int line = static_cast<int>(threadIdx.x) / kPieces; line < kRows; line += kStep) {
    const bool live = row + line < rows;
    const int64_t place = live ? pages.row(row + line) : 0;
#pragma unroll 1
    for (int channel = piece * 8; channel < kChannels; channel += kPieces * 8) {
      const int inside = live ? source.width - channel : 0;
      unsigned char* to = tile + line * kPitch + channel * 2;
      if (source.vectors) {
        const uint32_t bytes = inside >= 8 ? 16 : inside <= 0 ? 0 : 2 * inside;
        copyAsync16(sharedAddress(to), bytes == 0 ? source.base : source.at(place, channel), bytes);
      } else {
#pragma unroll 1
        for (int i = 0; i < 8; ++i) {
          const bf16 value = i < inside ? load<bf16>(source.at(place, channel + i)) : bf16{};
          reinterpret_cast<bf16*>(to)[i] = value;
        }
      }
    }
  }
}

}  // namespace anneal::cuda
