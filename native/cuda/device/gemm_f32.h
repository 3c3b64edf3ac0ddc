// gemm_f32.h — one block's tile of an f32 product with true f32 multiplications and sums (FFMA): operands lie
// in shared memory as [k][line], whichever way they are stored, and each thread keeps 8 × 4·kWarpColumns/32
// sums in registers.
#pragma once

#include "cuda/device/gemm_epilogue.h"
#include "cuda/ptx/async_copy.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/sync.h"

namespace anneal::cuda {

// Warps of 32 rows × kWarpColumns columns; a warp's lanes stand 4 (rows) × 8 (columns).
template <int kWarpsM_, int kWarpsN_, int kWarpColumns_, int kBlocks_>
struct F32Tile {
  static constexpr int kWarpsM = kWarpsM_, kWarpsN = kWarpsN_, kWarpColumns = kWarpColumns_;
  static constexpr int kRows = kWarpsM * 32, kColumns = kWarpsN * kWarpColumns;
  static constexpr int kWarps = kWarpsM * kWarpsN, kThreads = 32 * kWarps;
  static constexpr int kBlocks = kBlocks_;  // that share a multiprocessor
  static constexpr int kDepth = 16, kStages = 3;
  // Four more words a row: the transposing copies of a warp then meet every bank once.
  static constexpr int kStrideA = kRows + 4, kStrideB = kColumns + 4;
  static constexpr int kStageFloats = kDepth * (kStrideA + kStrideB);
  static constexpr int kSharedBytes = kStages * kStageFloats * 4;
  static_assert(kRows / 2 * kSumStride<kColumns> * 4 <= kSharedBytes,
                "half of the sums reuse the stages' memory");
};

using F32Small = F32Tile<2, 2, 32, 4>;   // 64 × 64, 25.5 KiB
using F32Medium = F32Tile<4, 2, 64, 2>;  // 128 × 128, 49.5 KiB

// One thread's part in copying tiles [16 of k][kLines] of an operand, stage after stage. The stored layout is
// data, not a template parameter: 4-byte copies may transpose, and they are 2 % of a tile's instructions.
template <int kLines, int kWarps>
class F32Copy {
 public:
  // depthMajor: neighbours along k are neighbours in memory (else neighbours along the lines are). `unit` =
  // 16 allows 16-byte copies along the lines.
  ANNEAL_DEVICE F32Copy(const float* origin, int64_t stride, bool depthMajor, int64_t line, int64_t lines,
                        int unit)
      : origin_(origin), depthStride_(depthMajor ? 1 : stride), lineStride_(depthMajor ? stride : 1) {
    const int lane = static_cast<int>(laneId()), warp = static_cast<int>(warpId());
    const int64_t left = lines - line;
    mode_ = depthMajor ? kTransposing : unit == 16 ? kVectors : kElements;
    if (depthMajor) {
      depth_ = lane % 8;
      line_ = 4 * warp + lane / 8;
    } else if (mode_ == kVectors) {
      depth_ = static_cast<int>(threadIdx.x) / (kLines / 4);
      line_ = static_cast<int>(threadIdx.x) % (kLines / 4) * 4;
    } else {
      depth_ = warp;
      line_ = lane;
    }
    lines_ = static_cast<int>(left < kLines ? left : kLines);
    source_ = origin + (line + line_) * lineStride_ + depth_ * depthStride_;
  }

  // Queues the copy of the next stage, of whose k `depth` elements exist; everything beyond becomes zero.
  ANNEAL_DEVICE void next(uint32_t stage, int64_t depth) {
    const int existing = static_cast<int>(depth < kDepth ? depth : kDepth);
    const uint32_t to = stage + (depth_ * kStride + line_) * 4;
    if (mode_ == kTransposing) {
      copyWords<kLines / (4 * kWarps), 4 * kWarps, kDepth / 8, 8>(to, existing);
    } else if (mode_ == kElements) {
      copyWords<kLines / 32, 32, kDepth / kWarps, kWarps>(to, existing);
    } else {
      constexpr int kStep = 32 * kWarps / (kLines / 4);
      const int inside = lines_ - line_;
      const uint32_t bytes = inside >= 4 ? 16 : inside <= 0 ? 0 : 4 * inside;
#pragma unroll
      for (int j = 0; j < kDepth / kStep; ++j) {
        const uint32_t valid = depth_ + j * kStep < existing ? bytes : 0;
        copyAsync16(to + j * kStep * kStride * 4, valid == 0 ? origin_ : source_ + j * kStep * depthStride_,
                    valid);
      }
    }
    source_ += kDepth * depthStride_;
  }

 private:
  static constexpr int kDepth = 16, kStride = kLines + 4;
  enum Mode { kTransposing, kElements, kVectors };

  // kLineCopies × kDepthCopies words, so many lines and elements of k apart.
  template <int kLineCopies, int kLineStep, int kDepthCopies, int kDepthStep>
  ANNEAL_DEVICE void copyWords(uint32_t to, int existing) const {
    const float* from = source_;
#pragma unroll
    for (int i = 0; i < kLineCopies; ++i) {
#pragma unroll
      for (int j = 0; j < kDepthCopies; ++j) {
        const bool inside = line_ + i * kLineStep < lines_ && depth_ + j * kDepthStep < existing;
        copyAsync<4>(to + (j * kDepthStep * kStride + i * kLineStep) * 4,
                     inside ? from + j * kDepthStep * depthStride_ : origin_, inside ? 4 : 0);
      }
      from += kLineStep * lineStride_;
    }
  }

  const float* origin_;
  const float* source_;
  int64_t depthStride_, lineStride_;
  int depth_, line_, lines_;
  Mode mode_;
};

template <typename Tile>
ANNEAL_DEVICE void gemmF32(const GemmParams& p, bool transA, bool transB) {
  constexpr int kHalves = Tile::kWarpColumns / 32, kDepth = Tile::kDepth;  // four columns each
  GemmBlock<float> block;
  if (!findBlock(p, transA, transB, Tile::kRows, Tile::kColumns, block)) return;
  const int warp = static_cast<int>(warpId()), lane = static_cast<int>(laneId());
  const int row = warp % Tile::kWarpsM * 32 + lane / 8 * 4;
  const int column = warp / Tile::kWarpsM * Tile::kWarpColumns + lane % 8 * 4;
  auto* shared = sharedArena<float>();
  const uint32_t address = sharedAddress(shared);
  F32Copy<Tile::kRows, Tile::kWarps> copyA(block.a, p.lda, !transA, block.row, block.m, p.aCopy);
  F32Copy<Tile::kColumns, Tile::kWarps> copyB(block.b, p.ldb, transB, block.column, p.n, p.bCopy);
  int64_t copied = 0;
  int slot = 0;
  const auto copyNext = [&] {
    if (copied < block.depth) {
      const uint32_t at = address + slot * Tile::kStageFloats * 4;
      copyA.next(at, block.depth - copied);
      copyB.next(at + kDepth * Tile::kStrideA * 4, block.depth - copied);
      copied += kDepth;
      slot = slot + 1 == Tile::kStages ? 0 : slot + 1;
    }
    commitGroup();
  };

  // a of two steps: rows row + i and row + 16 + i; b: columns column + i and column + 32 + i.
  FourFloats a[2][2], b[2][kHalves];
  float sum[2][4][kHalves][4] = {};
  const float* stage = shared;
  const auto loadStep = [&](int to, int step) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      a[to][h] = *reinterpret_cast<const FourFloats*>(stage + step * Tile::kStrideA + row + 16 * h);
    }
#pragma unroll
    for (int h = 0; h < kHalves; ++h) {
      b[to][h] = *reinterpret_cast<const FourFloats*>(stage + kDepth * Tile::kStrideA +
                                                      step * Tile::kStrideB + column + 32 * h);
    }
  };

  const int64_t tiles = ceilDiv(block.depth, kDepth);
#pragma unroll
  for (int i = 0; i < Tile::kStages - 1; ++i) copyNext();
  waitGroups<Tile::kStages - 2>();
  syncThreads();
  if (tiles > 0) loadStep(0, 0);
  int current = 0;
  for (int64_t tile = 0; tile < tiles; ++tile) {
#pragma unroll
    for (int step = 0; step < kDepth; ++step) {
      if (step + 1 < kDepth) {
        loadStep((step + 1) % 2, step + 1);
      } else {
        // Behind this barrier the next stage is complete, and this one is in registers and free.
        waitGroups<Tile::kStages - 2>();
        syncThreads();
        current = current + 1 == Tile::kStages ? 0 : current + 1;
        stage = shared + current * Tile::kStageFloats;
        if (tile + 1 < tiles) loadStep(0, 0);
      }
      if (step == 0) copyNext();
#pragma unroll
      for (int h = 0; h < 2; ++h) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
#pragma unroll
          for (int g = 0; g < kHalves; ++g) {
#pragma unroll
            for (int j = 0; j < 4; ++j) {
              sum[h][i][g][j] = fmaf(a[step % 2][h].lane[i], b[step % 2][g].lane[j], sum[h][i][g][j]);
            }
          }
        }
      }
    }
  }

  waitAll();
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    // Half of each warp's rows at a time: the sums take the place of the stages.
    syncThreads();
    const int staged = warp % Tile::kWarpsM * 16 + lane / 8 * 4;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int g = 0; g < kHalves; ++g) {
        *reinterpret_cast<FourFloats*>(shared + (staged + i) * kSumStride<Tile::kColumns> + column +
                                       32 * g) = {
            {sum[h][i][g][0], sum[h][i][g][1], sum[h][i][g][2], sum[h][i][g][3]}};
      }
    }
    syncThreads();
    storeStaged<float, Tile::kThreads, Tile::kRows / 2, Tile::kColumns>(
        p, block, shared, [&](int row) { return row / 16 * 32 + 16 * h + row % 16; });
  }
}

}  // namespace anneal::cuda
