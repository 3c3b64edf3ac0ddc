// gemm_tile_bf16.h — a tile of a bf16 operand in shared memory: how a block copies it there, and how a warp
// takes fragments from it. A tile is kRows rows of kColumns elements as they lie in memory: rows are rows of
// op(a) (columns of op(b)) and columns run along k, or, with kDepthRows, rows run along k. Its 16-byte chunks
// are swizzled: chunk c of row r lies at c ^ (r % 8), so that ldmatrix, which reads one chunk of eight
// neighbouring rows, meets every bank once.
#pragma once

#include "cuda/ptx/async_copy.h"
#include "cuda/ptx/bf16.h"
#include "cuda/ptx/mma.h"
#include "cuda/ptx/target.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {

constexpr int kGemmDepth = 64;  // of k in a stage

// One thread's part in copying the tiles of one operand, stage after stage along k.
template <int kRows, int kColumns, bool kDepthRows, int kThreads>
class TileCopy {
 public:
  static constexpr int kBytes = kRows * kColumns * 2;

  // `origin`: first element of the operand's part of k; `line`: the tile's first row of op(a) or column of
  // op(b), of `lines`; `unit`: bytes that one copy may move.
  ANNEAL_DEVICE TileCopy(const bf16* origin, int64_t stride, int64_t line, int64_t lines, int unit)
      : origin_(origin), step_(stride * kStep), unit_(unit) {
    const int chunk = static_cast<int>(threadIdx.x) % kChunks, row = static_cast<int>(threadIdx.x) / kChunks;
    offset_ = row * kRowBytes + ((chunk ^ (row & 7)) << 4);
    source_ = origin + row * stride + chunk * 8 + (kDepthRows ? line : line * stride);
    const int64_t left = lines - line;
    lines_ = static_cast<int>(left < kGemmDepth * 4 ? left : kGemmDepth * 4) - (kDepthRows ? chunk * 8 : row);
    depthAt_ = kDepthRows ? row : chunk * 8;
    advance_ = kDepthRows ? kGemmDepth * stride : kGemmDepth;
  }

  // Queues the copy of the next stage, of whose k `depth` elements exist; everything beyond becomes zero.
  ANNEAL_DEVICE void next(unsigned char* stage, uint32_t stageAddress, int64_t depth) {
    const int left = static_cast<int>(depth < kGemmDepth ? depth : kGemmDepth) - depthAt_;
    const int rows = kDepthRows ? left : lines_, columns = kDepthRows ? lines_ : left;
    const uint32_t bytes = columns >= 8 ? 16 : columns <= 0 ? 0 : 2 * columns;
    const bf16* from = source_;
    if (unit_ == 16) {
#pragma unroll
      for (int i = 0; i < kCopies; ++i) {
        const uint32_t valid = i * kStep < rows ? bytes : 0;
        copyAsync16(stageAddress + offset_ + i * kStep * kRowBytes, valid == 0 ? origin_ : from, valid);
        from += step_;
      }
    } else {
      copySlowly(stage, stageAddress, from, rows, bytes);
    }
    source_ += advance_;
  }

 private:
  static constexpr int kRowBytes = kColumns * 2;
  static constexpr int kChunks = kColumns / 8;
  static constexpr int kStep = kThreads / kChunks;
  static constexpr int kCopies = kRows / kStep;
  static_assert(kThreads % kChunks == 0 && kStep % 8 == 0,
                "a thread's chunks share one place in the swizzle");
  static_assert(kRows % kStep == 0 && kRows <= kGemmDepth * 4 && kColumns <= kGemmDepth * 4);

  // Operands whose rows do not begin at multiples of 16 bytes: by 4 bytes, or element by element through
  // registers.
  ANNEAL_DEVICE void copySlowly(unsigned char* stage, uint32_t stageAddress, const bf16* from, int rows,
                                uint32_t bytes) const {
#pragma unroll 1
    for (int i = 0; i < kCopies; ++i) {
      const uint32_t valid = i * kStep < rows ? bytes : 0, at = offset_ + i * kStep * kRowBytes;
      if (unit_ == 4) {
#pragma unroll
        for (uint32_t j = 0; j < 4; ++j) {
          const uint32_t part = valid <= 4 * j ? 0 : valid - 4 * j < 4 ? valid - 4 * j : 4;
          copyAsync<4>(stageAddress + at + 4 * j, part == 0 ? origin_ : from + 2 * j, part);
        }
      } else {
        Vec<bf16, 8> chunk{};
#pragma unroll
        for (uint32_t j = 0; j < 8; ++j) {
          if (2 * j < valid) chunk.lane[j] = load<bf16>(from + j);
        }
        *reinterpret_cast<Vec<bf16, 8>*>(stage + at) = chunk;
      }
      from += step_;
    }
  }

  const bf16* origin_;
  const bf16* source_;
  int64_t step_, advance_;
  int unit_, offset_, lines_, depthAt_;
};

// A warp's fragments of 16 lines (rows of op(a) or columns of op(b)) by 16 of k from such a tile. The four
// matrices of a fragment come in the order that mma expects of A: the second is 8 lines further, the third 8
// of k; with kIsB the other way round, so that words 0, 1 are B [16, 8] of the first 8 columns and words 2, 3
// of the next.
template <int kLines, bool kDepthRows, bool kIsB>
class FragmentLoader {
 public:
  // `line`: the warp's first line in the tile, a multiple of 32.
  ANNEAL_DEVICE explicit FragmentLoader(int line) {
    const int lane = static_cast<int>(laneId()), row = lane % 8;
    const int lineHalf = kIsB ? lane / 16 : lane / 8 % 2, depthHalf = kIsB ? lane / 8 % 2 : lane / 16;
    if constexpr (kDepthRows) {
      rowOffset_ = (depthHalf * 8 + row) * kLines * 2;
      chunk_ = ((line / 8 + lineHalf) ^ row) << 4;
    } else {
      rowOffset_ = (line + lineHalf * 8 + row) * kGemmDepth * 2;
      chunk_ = (depthHalf ^ row) << 4;
    }
  }
  // Lines 16·i.. and 16·step.. of k.
  ANNEAL_DEVICE void load(uint32_t (&fragment)[4], uint32_t tile, int i, int step) const {
    if constexpr (kDepthRows) {
      loadMatricesTransposed(fragment, tile + rowOffset_ + step * 16 * kLines * 2 + (chunk_ ^ (i << 5)));
    } else {
      loadMatrices(fragment, tile + rowOffset_ + i * 16 * kGemmDepth * 2 + (chunk_ ^ (step << 5)));
    }
  }

 private:
  uint32_t rowOffset_, chunk_;
};

}  // namespace anneal::cuda
