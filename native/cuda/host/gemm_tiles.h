// gemm_tiles.h — how a matrix product is cut into blocks: the tile of c that a block computes, the order in
// which tiles are handed out, and into how many parts k is split. Pure functions of sizes and of the device's
// figures.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace anneal::cuda {

// Tiles that kernels exist for: rows and columns of c.
enum class GemmTile : int { k64x64, k128x128, k128x256 };

// One kernel's tile. `depth` is the stretch of k between two barriers, perProcessor the blocks that share a
// multiprocessor, rate its multiply-adds in a cycle when it is full, lone the part of that which one block
// alone reaches. The rates are estimates from the instruction's peak (about 1,470 for mma on Hopper, 128 for
// FFMA) and from shared-memory traffic; only their ratios matter here.
struct GemmTileFacts {
  int64_t rows, columns, depth, perProcessor;
  double rate, lone;
};

constexpr GemmTileFacts kBf16Tiles[] = {
    {64, 64, 64, 4, 700, 0.35}, {128, 128, 64, 2, 1150, 0.65}, {128, 256, 64, 1, 1250, 1.0}};
// f32 has no 128 × 256.
constexpr GemmTileFacts kF32Tiles[] = {{64, 64, 16, 4, 95, 0.4}, {128, 128, 16, 2, 116, 0.65}};

struct GemmPlan {
  GemmTile tile;
  int64_t tilesM, tilesN;
  int64_t splits;      // parts of k, each summed by blocks of its own; 1: no second stage
  int64_t splitDepth;  // length of every part but the last
};

constexpr int64_t ceilDiv(int64_t x, int64_t y) { return (x + y - 1) / y; }

constexpr const GemmTileFacts& gemmTileFacts(bool bf16, GemmTile tile) {
  return bf16 ? kBf16Tiles[static_cast<int>(tile)] : kF32Tiles[static_cast<int>(tile)];
}

// k is split only into parts this long: the sums of a part are worth their way through memory.
constexpr int64_t kLeastSplitDepth = 512;
constexpr int64_t kMostSplits = 32;
constexpr int64_t kMostSplitBytes = int64_t{64} << 20;

namespace gemm_tiles {

// Bytes of device memory per cycle and multiprocessor: 4.3 TB/s on 132 of them at 1.7 GHz.
constexpr double kBytesPerCycle = 19;
constexpr double kLaunchCycles = 4000;
constexpr double kBlockCycles = 1500;  // of a block beside its products: filling the pipeline, storing c

// Estimated cycles of `blocks` blocks of one tile over `depth` of k.
constexpr double blockCycles(const GemmTileFacts& tile, int64_t blocks, int64_t depth, int64_t processors) {
  const int64_t busiest = ceilDiv(blocks, processors);
  const double filled = std::min(1.0, static_cast<double>(busiest) / static_cast<double>(tile.perProcessor));
  const double rate = tile.rate * (tile.lone + (1.0 - tile.lone) * filled);
  const double products = static_cast<double>(tile.rows * tile.columns) * static_cast<double>(depth);
  return static_cast<double>(busiest) * products / rate +
         static_cast<double>(ceilDiv(busiest, tile.perProcessor)) * kBlockCycles;
}

}  // namespace gemm_tiles

// The plan of `batch` products [m, n] over k, all at least 1 (k may be 0). `largest` is the last tile that
// may be taken, scratchBytes bounds what the parts of a split k may occupy.
constexpr GemmPlan planGemm(bool bf16, int64_t m, int64_t n, int64_t k, int64_t batch, int64_t processors,
                            size_t scratchBytes, GemmTile largest) {
  using namespace gemm_tiles;
  GemmPlan best{};
  double bestCycles = 0;
  const int64_t resultBytes = batch * m * n * 4;
  const int64_t affordable =
      std::min<int64_t>(kMostSplitBytes, static_cast<int64_t>(scratchBytes)) / resultBytes;
  for (int index = 0; index <= static_cast<int>(largest); ++index) {
    const GemmTile tile = static_cast<GemmTile>(index);
    const GemmTileFacts& facts = gemmTileFacts(bf16, tile);
    const int64_t tilesM = ceilDiv(m, facts.rows), tilesN = ceilDiv(n, facts.columns);
    const int64_t blocks = tilesM * tilesN * batch;
    // The widest tile never splits, so that the parts do not depend on whether it may be taken.
    const int64_t most =
        tile == GemmTile::k128x256 ? 1 : std::min({kMostSplits, k / kLeastSplitDepth, affordable});
    for (int64_t wanted = 1; wanted <= std::max<int64_t>(1, most); ++wanted) {
      const int64_t depth = std::max<int64_t>(1, ceilDiv(ceilDiv(k, wanted), facts.depth)) * facts.depth;
      const int64_t splits = std::max<int64_t>(1, ceilDiv(k, depth));
      if (splits != wanted) continue;
      double cycles = blockCycles(facts, blocks * splits, depth, processors);
      if (splits > 1) {
        cycles += kLaunchCycles + static_cast<double>(resultBytes) * static_cast<double>(2 * splits + 1) /
                                      (kBytesPerCycle * static_cast<double>(processors));
      }
      if (bestCycles == 0 || cycles < bestCycles) {
        bestCycles = cycles;
        best = {tile, tilesM, tilesN, splits, depth};
      }
    }
  }
  return best;
}

// Bytes of the partial sums [splits, batch, m, n] f32 of a plan.
constexpr size_t planScratchBytes(const GemmPlan& plan, int64_t m, int64_t n, int64_t batch) {
  return plan.splits == 1 ? 0 : static_cast<size_t>(plan.splits * batch * m * n * 4);
}

// The tile of a grouped product: `rows` rows of all experts together meet `experts` matrices of `n` columns.
// What each expert gets is known on the device alone, so the tile follows the mean.
constexpr GemmTile groupedTile(int64_t rows, int64_t n, int64_t experts, int64_t processors,
                               GemmTile largest) {
  const int64_t mean = ceilDiv(rows, experts);
  if (mean <= 64 || n <= 64) return GemmTile::k64x64;
  const int64_t medium = ceilDiv(mean, 128) * experts * ceilDiv(n, 128);
  if (medium < processors) return GemmTile::k64x64;
  const int64_t wide = ceilDiv(mean, 128) * experts * ceilDiv(n, 256);
  const bool suits = mean >= 256 && wide >= 2 * processors;
  return std::min(largest, suits ? GemmTile::k128x256 : GemmTile::k128x128);
}

// The last tile that a product may take: 128 × 256 needs 144 KiB of shared memory, f32 has none, and of both
// operands transposed, which hardly occurs, bf16 has the smallest alone.
constexpr GemmTile largestTile(bool bf16, bool transA, bool transB, int64_t sharedBytes) {
  if (bf16 && transA && transB) return GemmTile::k64x64;
  return bf16 && sharedBytes >= 144 * 1024 ? GemmTile::k128x256 : GemmTile::k128x128;
}

// Most tiles of `tileRows` rows that `rows` rows of `experts` experts can need, however they are spread.
constexpr int64_t groupedTiles(int64_t rows, int64_t experts, int64_t tileRows) {
  return rows / tileRows + std::min(experts, rows);
}

// The tile that block `index` of tilesM·tilesN computes: columns go by within bands of kBandTiles rows of
// tiles, so that the blocks that run at the same time read few different rows of a and columns of b, which
// stay in L2.
constexpr int64_t kBandTiles = 8;
struct TilePosition {
  int64_t row, column;
};
constexpr TilePosition tilePosition(int64_t index, int64_t tilesM, int64_t tilesN) {
  const int64_t band = index / (kBandTiles * tilesN), first = band * kBandTiles;
  const int64_t height = tilesM - first < kBandTiles ? tilesM - first : kBandTiles;
  const int64_t inside = index - first * tilesN;
  return {first + inside % height, inside / height};
}

}  // namespace anneal::cuda
