// gemm_bf16.h — one block's tile of a bf16 product on the tensor cores: mma m16n8k16 with f32 sums, fed by
// cp.async through kStages stages of shared memory and by ldmatrix one step of k ahead.
#pragma once

#include "cuda/device/gemm_epilogue.h"
#include "cuda/device/gemm_tile_bf16.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/sync.h"

namespace anneal::cuda {

// kWarpsM × kWarpsN warps, each with kWarpRows × kWarpColumns of c.
template <int kWarpsM_, int kWarpsN_, int kWarpRows_, int kWarpColumns_, int kBlocks_>
struct Bf16Tile {
  static constexpr int kWarpsM = kWarpsM_, kWarpsN = kWarpsN_, kWarpRows = kWarpRows_,
                       kWarpColumns = kWarpColumns_;
  static constexpr int kRows = kWarpsM * kWarpRows, kColumns = kWarpsN * kWarpColumns;
  static constexpr int kThreads = 32 * kWarpsM * kWarpsN;
  static constexpr int kBlocks = kBlocks_;  // that share a multiprocessor
  static constexpr int kStages = 3;
  static constexpr int kStageBytes = (kRows + kColumns) * kGemmDepth * 2;
  static constexpr int kSharedBytes = kStages * kStageBytes;
  static_assert(kRows * kSumStride<kColumns> * 4 <= kSharedBytes, "the sums reuse the stages' memory");
};

using Bf16Small = Bf16Tile<2, 2, 32, 32, 4>;   // 64 × 64, 48 KiB
using Bf16Medium = Bf16Tile<2, 2, 64, 64, 2>;  // 128 × 128, 96 KiB
using Bf16Large = Bf16Tile<2, 4, 64, 64, 1>;   // 128 × 256, 144 KiB

// The warp's sums over the block's part of k.
template <typename Tile, bool kTransA, bool kTransB>
ANNEAL_DEVICE void multiplyBf16(const GemmParams& p, const GemmBlock<bf16>& block,
                                float (&sum)[Tile::kWarpRows / 16][Tile::kWarpColumns / 8][4]) {
  constexpr int kSteps = kGemmDepth / 16, kFragmentsA = Tile::kWarpRows / 16,
                kFragmentsB = Tile::kWarpColumns / 16;
  using CopyA = TileCopy<kTransA ? kGemmDepth : Tile::kRows, kTransA ? Tile::kRows : kGemmDepth, kTransA,
                         Tile::kThreads>;
  using CopyB = TileCopy<kTransB ? Tile::kColumns : kGemmDepth, kTransB ? kGemmDepth : Tile::kColumns,
                         !kTransB, Tile::kThreads>;
  auto* shared = sharedArena<unsigned char>();
  const uint32_t address = sharedAddress(shared);
  const int64_t tiles = ceilDiv(block.depth, kGemmDepth);
  if (tiles <= 0) return;

  CopyA copyA(block.a, p.lda, block.row, block.m, p.aCopy);
  CopyB copyB(block.b, p.ldb, block.column, p.n, p.bCopy);
  int64_t copied = 0;  // of the part's depth
  int slot = 0;        // stage that the next copy fills
  const auto copyNext = [&] {
    if (copied < block.depth) {
      const int at = slot * Tile::kStageBytes;
      copyA.next(shared + at, address + at, block.depth - copied);
      copyB.next(shared + at + CopyA::kBytes, address + at + CopyA::kBytes, block.depth - copied);
      copied += kGemmDepth;
      slot = slot + 1 == Tile::kStages ? 0 : slot + 1;
    }
    commitGroup();
  };

  const int warp = static_cast<int>(warpId());
  const FragmentLoader<Tile::kRows, kTransA, false> loadA(warp % Tile::kWarpsM * Tile::kWarpRows);
  const FragmentLoader<Tile::kColumns, !kTransB, true> loadB(warp / Tile::kWarpsM * Tile::kWarpColumns);
  uint32_t a[2][kFragmentsA][4], b[2][kFragmentsB][4];
  uint32_t stage = address;
  const auto loadStep = [&](int to, int step) {
#pragma unroll
    for (int i = 0; i < kFragmentsA; ++i) loadA.load(a[to][i], stage, i, step);
#pragma unroll
    for (int j = 0; j < kFragmentsB; ++j) loadB.load(b[to][j], stage + CopyA::kBytes, j, step);
  };

#pragma unroll
  for (int i = 0; i < Tile::kStages - 1; ++i) copyNext();
  waitGroups<Tile::kStages - 2>();
  syncThreads();
  loadStep(0, 0);
  for (int64_t tile = 0; tile < tiles; ++tile) {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      if (step + 1 < kSteps) {
        loadStep((step + 1) % 2, step + 1);
      } else {
        // Behind this barrier the next stage is complete, and this one, whose fragments are all in registers,
        // is free.
        waitGroups<Tile::kStages - 2>();
        syncThreads();
        stage =
            stage == address + (Tile::kStages - 1) * Tile::kStageBytes ? address : stage + Tile::kStageBytes;
        if (tile + 1 < tiles) loadStep(0, 0);
      }
      if (step == 0) copyNext();
#pragma unroll
      for (int i = 0; i < kFragmentsA; ++i) {
#pragma unroll
        for (int j = 0; j < kFragmentsB; ++j) {
          mmaBf16(sum[i][2 * j], a[step % 2][i], b[step % 2][j][0], b[step % 2][j][1]);
          mmaBf16(sum[i][2 * j + 1], a[step % 2][i], b[step % 2][j][2], b[step % 2][j][3]);
        }
      }
    }
  }
}

template <typename Tile, bool kTransA, bool kTransB>
ANNEAL_DEVICE void gemmBf16(const GemmParams& p) {
  GemmBlock<bf16> block;
  if (!findBlock(p, kTransA, kTransB, Tile::kRows, Tile::kColumns, block)) return;
  float sum[Tile::kWarpRows / 16][Tile::kWarpColumns / 8][4] = {};
  multiplyBf16<Tile, kTransA, kTransB>(p, block, sum);

  waitAll();
  syncThreads();
  auto* sums = sharedArena<float>();
  const int warp = static_cast<int>(warpId()), lane = static_cast<int>(laneId());
  const int row = warp % Tile::kWarpsM * Tile::kWarpRows + lane / 4;
  const int column = warp / Tile::kWarpsM * Tile::kWarpColumns + lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < Tile::kWarpRows / 16; ++i) {
#pragma unroll
    for (int j = 0; j < Tile::kWarpColumns / 8; ++j) {
      float* at = sums + (row + 16 * i) * kSumStride<Tile::kColumns> + column + 8 * j;
      *reinterpret_cast<Vec<float, 2>*>(at) = {{sum[i][j][0], sum[i][j][1]}};
      *reinterpret_cast<Vec<float, 2>*>(at + 8 * kSumStride<Tile::kColumns>) = {{sum[i][j][2], sum[i][j][3]}};
    }
  }
  syncThreads();
  storeStaged<bf16, Tile::kThreads, Tile::kRows, Tile::kColumns>(p, block, sums,
                                                                 [](int staged) { return staged; });
}

}  // namespace anneal::cuda
