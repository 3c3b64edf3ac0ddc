// attention_tile.h — bf16 tiles of attention in shared memory and a warp's products with them. A tile holds
// rows of kChannels elements, 16 bytes apart from each other beyond that: eight neighbouring rows then lie in
// different banks, and every address of a fragment is one base a lane plus a constant.
#pragma once

#include "cuda/device/attention_work.h"
#include "cuda/ptx/async_copy.h"
#include "cuda/ptx/bf16.h"
#include "cuda/ptx/mma.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/sync.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {

template <int kChannels>
constexpr int kTilePitch = kChannels * 2 + 16;

// Rows in global memory: channels [0, own) at base, [own, width) at shared, which all heads have in common.
template <typename T>
struct RowSource {
  const T* base;
  const T* shared;
  int64_t stride, sharedStride;
  int width, own;
  bool vectors;

  ANNEAL_DEVICE const T* at(int64_t row, int channel) const {
    return channel < own ? base + row * stride + channel : shared + row * sharedStride + (channel - own);
  }
};

template <typename T>
ANNEAL_DEVICE RowSource<T> queryRows(const AttentionTensors<T>& a, int64_t row, int head) {
  return {a.q + row * a.qRow + head * a.qHead, nullptr, a.qRow, 0, a.qkDim, a.qkDim, a.qVectors};
}
template <typename T>
ANNEAL_DEVICE RowSource<T> keyRows(const AttentionTensors<T>& a, int64_t row, int head) {
  const T* shared = a.sharedDim > 0 ? a.kShared + row * a.sharedRow : nullptr;
  return {a.k + row * a.kRow + head * a.kHead,
          shared,
          a.kRow,
          a.sharedRow,
          a.qkDim,
          a.qkDim - a.sharedDim,
          a.kVectors};
}
template <typename T>
ANNEAL_DEVICE RowSource<T> valueRows(const AttentionTensors<T>& a, int64_t row, int head) {
  return {a.v + row * a.vRow + head * a.vHead, nullptr, a.vRow, 0, a.vDim, a.vDim, a.vVectors};
}
// Rows of o, dout or anything with their strides.
template <typename T>
ANNEAL_DEVICE RowSource<T> outputRows(const AttentionTensors<T>& a, const T* o, int64_t row, int head) {
  return {o + row * a.oRow + head * a.oHead, nullptr, a.oRow, 0, a.vDim, a.vDim, a.oVectors};
}

// What a block goes through: the rows that it copies step by step, and the segment. It stays in shared
// memory, because the sums leave no registers.
struct KeptRows {
  RowSource<bf16> first, second;  // keys and values; or queries and dout of head 0
  AttentionPlace place;
  AttentionRange range;  // what of the segment is gone through
};
// All threads of the block call it; one barrier.
ANNEAL_DEVICE const KeptRows* keepRows(unsigned char* place, const RowSource<bf16>& first,
                                       const RowSource<bf16>& second, const AttentionPlace& whole,
                                       const AttentionRange& range) {
  auto* kept = reinterpret_cast<KeptRows*>(place);
  if (threadIdx.x == 0) *kept = {first, second, whole, range};
  syncThreads();
  return kept;
}

// Queues copies of rows row.. row + kRows - 1 to a tile; rows from `rows` on and channels beyond the source's
// width become zero. Rows that are not aligned to 16 bytes go through registers, at once. `offset`: a head's,
// in elements.
template <int kRows, int kChannels, int kThreads>
ANNEAL_DEVICE void copyRows(unsigned char* tile, const RowSource<bf16>& source, int row, int rows,
                            int64_t offset = 0) {
  constexpr int kPieces = kChannels % 64 == 0 ? 8 : 4, kStep = kThreads / kPieces;
  constexpr int kPitch = kTilePitch<kChannels>;
  static_assert(kRows % kStep == 0 && kChannels % (8 * kPieces) == 0);
  const int line = static_cast<int>(threadIdx.x) / kPieces, piece = static_cast<int>(threadIdx.x) % kPieces;
  const int left = rows - row - line;
  if (source.vectors) {
    const uint32_t to = sharedAddress(tile) + line * kPitch + piece * 16;
    // Not unrolled: the sums of attention leave few registers for addresses.
#pragma unroll 1
    for (int j = 0; j < kChannels / 8 / kPieces; ++j) {
      const int channel = (piece + j * kPieces) * 8;
      const int inside = source.width - channel;
      const uint32_t bytes = inside >= 8 ? 16 : inside <= 0 ? 0 : 2 * inside;
      const bf16* from = bytes == 0 ? source.base : source.at(row + line, channel) + offset;
      const int64_t step = kStep * (channel < source.own ? source.stride : source.sharedStride);
#pragma unroll
      for (int i = 0; i < kRows / kStep; ++i) {
        copyAsync16(to + i * kStep * kPitch + j * kPieces * 16, from, i * kStep < left ? bytes : 0);
        from += step;
      }
    }
  } else {
#pragma unroll 1
    for (int i = 0; i < kRows * kPieces / kThreads * (kChannels / kPieces); ++i) {
      const int at = i / (kChannels / kPieces), channel = i % (kChannels / kPieces) * kPieces + piece;
      bf16 value{};
      if (at * kStep < left && channel < source.width) {
        value = load<bf16>(source.at(row + line + at * kStep, channel) + offset);
      }
      *reinterpret_cast<bf16*>(tile + (line + at * kStep) * kPitch + channel * 2) = value;
    }
  }
}

// A lane's part of fragment addresses. rowOffset: A, and B whose rows run along the sum (transposed by
// ldmatrix). columnOffset: B whose rows are the result's columns.
ANNEAL_DEVICE uint32_t rowOffset(int pitch) { return laneId() % 16 * pitch + laneId() / 16 * 16; }
ANNEAL_DEVICE uint32_t columnOffset(int pitch) {
  return (laneId() % 8 + laneId() / 16 * 8) * pitch + laneId() / 8 % 2 * 16;
}

// s [16·kM, 8·kN] += A·Bᵀ over kDepth channels; a and b: addresses of the first rows plus rowOffset and
// columnOffset.
template <int kDepth, int kPitchA, int kPitchB, int kM, int kN>
ANNEAL_DEVICE void multiplyRows(float (&s)[kM][kN][4], uint32_t a, uint32_t b) {
#pragma unroll
  for (int k = 0; k < kDepth / 16; ++k) {
    uint32_t left[kM][4];
#pragma unroll
    for (int m = 0; m < kM; ++m) loadMatrices(left[m], a + m * 16 * kPitchA + k * 32);
#pragma unroll
    for (int n = 0; n < kN / 2; ++n) {
      uint32_t right[4];
      loadMatrices(right, b + n * 16 * kPitchB + k * 32);
#pragma unroll
      for (int m = 0; m < kM; ++m) {
        mmaBf16(s[m][2 * n], left[m], right[0], right[1]);
        mmaBf16(s[m][2 * n + 1], left[m], right[2], right[3]);
      }
    }
  }
}

// o [16·kM, 8·kN] += W·B: W [16·kM, 16·kK] in registers, B 16·kK rows of the tile; b: address plus rowOffset.
template <int kPitch, int kM, int kN, int kK>
ANNEAL_DEVICE void multiplyColumns(float (&o)[kM][kN][4], const uint32_t (&w)[kM][kK][4], uint32_t b) {
#pragma unroll
  for (int k = 0; k < kK; ++k) {
#pragma unroll
    for (int n = 0; n < kN / 2; ++n) {
      uint32_t right[4];
      loadMatricesTransposed(right, b + k * 16 * kPitch + n * 32);
#pragma unroll
      for (int m = 0; m < kM; ++m) {
        mmaBf16(o[m][2 * n], w[m][k], right[0], right[1]);
        mmaBf16(o[m][2 * n + 1], w[m][k], right[2], right[3]);
      }
    }
  }
}

// The sums of a product, rounded, as the left operand of the next: columns 16·k.. of s become step k of its
// sum.
template <int kM, int kN>
ANNEAL_DEVICE void toOperand(uint32_t (&w)[kM][kN / 2][4], const float (&s)[kM][kN][4]) {
#pragma unroll
  for (int m = 0; m < kM; ++m) {
#pragma unroll
    for (int k = 0; k < kN / 2; ++k) {
      w[m][k][0] = packBf16(s[m][2 * k][0], s[m][2 * k][1]);
      w[m][k][1] = packBf16(s[m][2 * k][2], s[m][2 * k][3]);
      w[m][k][2] = packBf16(s[m][2 * k + 1][0], s[m][2 * k + 1][1]);
      w[m][k][3] = packBf16(s[m][2 * k + 1][2], s[m][2 * k + 1][3]);
    }
  }
}

// A warp's results [16·kM, 8·kN], each row times its factor, to rows of a tensor: rounded, collected in the
// warp's own rows of shared memory (`staging`, kPitch bytes a row, nobody else's any more), then written row
// by row. `live` rows and channels below `width` are written.
template <int kPitch, int kM, int kN>
ANNEAL_DEVICE void writeRows(const float (&value)[kM][kN][4], const float (&factor)[kM][2],
                             unsigned char* staging, bf16* to, int64_t stride, int live, int width,
                             bool vectors) {
  const int lane = static_cast<int>(laneId());
  const uint32_t address = sharedAddress(staging) + rowOffset(kPitch);
  syncWarp();
#pragma unroll
  for (int m = 0; m < kM; ++m) {
#pragma unroll
    for (int n = 0; n < kN / 2; ++n) {
      const uint32_t words[4] = {
          packBf16(value[m][2 * n][0] * factor[m][0], value[m][2 * n][1] * factor[m][0]),
          packBf16(value[m][2 * n][2] * factor[m][1], value[m][2 * n][3] * factor[m][1]),
          packBf16(value[m][2 * n + 1][0] * factor[m][0], value[m][2 * n + 1][1] * factor[m][0]),
          packBf16(value[m][2 * n + 1][2] * factor[m][1], value[m][2 * n + 1][3] * factor[m][1])};
      storeMatrices(address + m * 16 * kPitch + n * 32, words);
    }
  }
  syncWarp();
  for (int i = lane; i < 16 * kM * kN; i += 32) {
    const int row = i / kN, channel = i % kN * 8;
    if (row >= live || channel >= width) continue;
    const auto piece = *reinterpret_cast<const Vec<bf16, 8>*>(staging + row * kPitch + channel * 2);
    bf16* at = to + row * stride + channel;
    if (vectors && channel + 8 <= width) {
      store(at, piece);
    } else {
      for (int l = 0; l < 8; ++l) {
        if (channel + l < width) store(at + l, piece.lane[l]);
      }
    }
  }
  syncWarp();
}

}  // namespace anneal::cuda
