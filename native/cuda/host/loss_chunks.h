// loss_chunks.h — how the losses over a vocabulary divide their work: rows whose logits are in memory at a
// time, and the block that walks over one row of them.
#pragma once

#include <algorithm>
#include <cstdint>

namespace anneal::cuda {

// Logits and rows of h in memory at once, where the caller leaves the choice and kLossLeastRows allows it.
constexpr int64_t kLossChunkBytes = int64_t{256} << 20;
// Each chunk reads and writes dweight once, 8 bytes for 2·rows operations of every element: with fewer rows
// the product takes the time of that traffic (H200: 790 TFLOP/s ÷ 4.3 TB/s · 8 ÷ 2 = 735 rows).
constexpr int64_t kLossLeastRows = 1024;
// A whole number of tiles of any product.
constexpr int64_t kLossRowMultiple = 128;

// Elements from one row of logits to the next: rows begin at multiples of 32 bytes.
inline int64_t logitStride(int64_t vocab) { return (vocab + 7) / 8 * 8; }

// Rows a chunk, between 1 and rows (1 for none): `requested` when that is positive, else chunks of about
// equal size. keptBytes: what a row needs beside its logits. It does not depend on whether gradients are
// wanted, so that the loss is the same to the last bit with and without them.
inline int64_t lossChunkRows(int64_t rows, int64_t vocab, int64_t keptBytes, int64_t requested) {
  if (rows <= 1) return 1;
  if (requested > 0) return std::min(requested, rows);
  const int64_t rowBytes = logitStride(vocab) * 4 + keptBytes;
  const int64_t fitting =
      std::max(kLossLeastRows, kLossChunkBytes / rowBytes / kLossRowMultiple * kLossRowMultiple);
  const int64_t chunks = (rows + fitting - 1) / fitting;
  const int64_t each = (rows + chunks - 1) / chunks;
  return std::min(rows, (each + kLossRowMultiple - 1) / kLossRowMultiple * kLossRowMultiple);
}

// The block of a row of logits: threads, a multiple of 32, and logits kept in shared memory between the two
// walks, a multiple of 4 from the row's beginning.
struct LogitBlock {
  unsigned threads;
  int64_t kept;
};

// sharedBytes: dynamic shared memory that a block may have beside its other needs.
inline LogitBlock logitBlock(int64_t vocab, int64_t sharedBytes) {
  const int64_t groups = (vocab + 3) / 4;
  // Up to 100 KB two blocks share a multiprocessor, and one computes while the other waits for memory.
  const int64_t most = vocab * 4 <= 100 * 1024 ? 512 : 1024;
  const int64_t threads = std::clamp<int64_t>((groups + 31) / 32 * 32, 32, most);
  const int64_t capacity = std::max<int64_t>(sharedBytes, 0) / 16 * 4;
  return {static_cast<unsigned>(threads), std::min(groups * 4, capacity)};
}

}  // namespace anneal::cuda
