// attention_plan.h — how attention is cut into blocks: the tile that serves a pair of head sizes, the upper
// bound of blocks where only the device knows the segments, the order of heads, splits over the keys, and
// passes over heads. Pure functions of sizes and of the device's figures.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace anneal::cuda {

// Head sizes (of q and k / of v) that tensor-core kernels exist for. Smaller heads are padded with zeros in
// shared memory to the next one; anything larger is computed on the plain cores.
enum class HeadTile : int { k64, k96, k128, k192x128, k256, kGeneral };

constexpr HeadTile headTile(int64_t qkDim, int64_t vDim) {
  const int64_t most = std::max(qkDim, vDim);
  if (most <= 64) return HeadTile::k64;
  if (most <= 96) return HeadTile::k96;
  if (most <= 128) return HeadTile::k128;
  if (qkDim <= 192 && vDim <= 128) return HeadTile::k192x128;
  return most <= 256 ? HeadTile::k256 : HeadTile::kGeneral;
}

// Segments, and the rows before the first and after the last, which form two more without keys (or queries),
// are cut into tiles of `tileRows` rows. Segment i, whose first row is boundary(i), owns the slots from
// boundary(i)/tileRows + i on, which are never fewer than its tiles, wherever the boundaries lie. This is the
// number of slots; blocks of the few that no tile fills end at once. Each token counts `rowsPerToken` rows.
constexpr int64_t attentionSlots(int64_t tokens, int64_t segments, int64_t rowsPerToken, int64_t tileRows) {
  return tokens * rowsPerToken / tileRows + segments + 2;
}
constexpr int64_t firstSlot(int64_t boundary, int64_t index, int64_t rowsPerToken, int64_t tileRows) {
  return boundary * rowsPerToken / tileRows + index;
}

// Heads that run side by side: blocks go through all tiles of a band of heads before the next band begins.
// All heads together would be the best order (heaviest tiles first), but what they read of a segment should
// stay in half of L2, and a band should still fill the processors several times. Multiples of `group` heads
// that share a key head.
constexpr int64_t attentionBand(int64_t heads, int64_t group, int64_t tokens, int64_t segments,
                                int64_t bytesPerToken, int64_t l2Bytes, int64_t tilesPerHead,
                                int64_t processors) {
  const int64_t length = (tokens + std::max<int64_t>(segments, 1) - 1) / std::max<int64_t>(segments, 1);
  const int64_t fits = group * (l2Bytes / 2 / std::max<int64_t>(1, length * bytesPerToken));
  const int64_t fills =
      (8 * processors + std::max<int64_t>(tilesPerHead, 1) - 1) / std::max<int64_t>(tilesPerHead, 1);
  const int64_t band = std::max({fits, fills, group});
  return std::min(heads, (band + group - 1) / group * group);
}

// Whether so few queries stand in a segment that the queries of all heads which share a key head form one
// tile, and the keys are split among blocks.
constexpr bool isDecode(int64_t tokensQ, int64_t segments) { return tokensQ <= 8 * segments; }

constexpr int64_t kMostKeySplits = 32;
constexpr int64_t kMostPartialBytes = int64_t{256} << 20;

// Parts that the keys of a segment are cut into, so that two blocks come on each processor: the lengths of
// segments are known on the device alone, so the number follows the blocks. partialBytes: what one part
// leaves behind.
constexpr int64_t keySplits(int64_t blocks, int64_t processors, int64_t partialBytes) {
  const int64_t wanted = (2 * processors + std::max<int64_t>(blocks, 1) - 1) / std::max<int64_t>(blocks, 1);
  const int64_t affordable = kMostPartialBytes / std::max<int64_t>(partialBytes, 1);
  return std::clamp<int64_t>(std::min(wanted, affordable), 1, kMostKeySplits);
}

// The tensor-core kernel of decoding: rows of a tile, keys of a stage, stages; 0 rows where shared memory
// does not hold it.
struct DecodePlan {
  int rows, keys, stages;
  size_t sharedBytes;
};
constexpr int64_t kDecodeMostQk = 576, kDecodeMostV = 512;

// Bytes of a row of `channels` bf16 in shared memory, padded to whole steps of mma and by 16 bytes, which
// turns the rows that ldmatrix reads together into different banks.
constexpr int64_t attentionPitch(int64_t channels) { return (channels + 15) / 16 * 32 + 16; }

// rowsPerUnit: queries of a segment times the heads that share a key head. sharesValues: values are the first
// channels of the keys (MLA's latent) and are read from the keys' tile.
constexpr DecodePlan planDecode(int64_t qkDim, int64_t vDim, bool sharesValues, int64_t rowsPerUnit,
                                int64_t sharedBytes) {
  if (qkDim > kDecodeMostQk || vDim > kDecodeMostV) return {0, 0, 0, 0};
  const int64_t keyBytes = attentionPitch(qkDim) + (sharesValues ? 0 : attentionPitch(vDim));
  for (const int rows : {64, 16}) {
    if (rows == 64 && rowsPerUnit <= 32) continue;
    const int keys = rows == 64 ? 32 : 64;
    // Queries, probabilities [rows, keys] in bf16, and per row: maximum of each of 8 warps, factor.
    const int64_t fixed = rows * attentionPitch(qkDim) + rows * attentionPitch(keys) + rows * 10 * 4;
    for (int stages = 3; stages >= 1; --stages) {
      const int64_t bytes = fixed + stages * keys * keyBytes;
      // More than two stages are worth it only where two blocks still share a processor.
      if (bytes > sharedBytes || (stages == 3 && bytes > sharedBytes / 2)) continue;
      return {rows, keys, stages, static_cast<size_t>(bytes)};
    }
  }
  return {0, 0, 0, 0};
}

// Key heads of one pass of the backward kernel over a key that all heads share: each leaves its gradient
// [tokensK, sharedDim] in f32, and their number is limited so that this stays below 256 MiB however long the
// keys are.
constexpr int64_t sharedPassHeads(int64_t kvHeads, int64_t tokensK, int64_t sharedDim) {
  if (sharedDim == 0) return kvHeads;
  const int64_t bytes = std::max<int64_t>(1, tokensK * sharedDim * 4);
  return std::clamp<int64_t>(kMostPartialBytes / bytes, 1, kvHeads);
}

}  // namespace anneal::cuda
