// attention_decode.cu — attention of few queries on the tensor cores: the queries of all heads that share a
// key head form one tile, so that keys and values, which are what decoding waits for, are read once for all
// of them. The eight warps of a block share a tile of keys for the scores, and the channels for the output,
// which lets values of 512 channels (MLA's latent) stay in registers. The keys are cut into parts for
// different blocks (attention_combine.cu).
#include "cuda/device/attention_pages.h"
#include "cuda/device/attention_plain.h"
#include "cuda/device/attention_tile.h"
#include "cuda/device/reduce.h"
#include "cuda/kernels/attention.h"
#include "cuda/launch.h"

namespace anneal::cuda {
namespace {

constexpr int kDecodeWarps = 8, kDecodeThreads = 32 * kDecodeWarps;
constexpr int kPairs = static_cast<int>(kDecodeMostV) / 16 / kDecodeWarps;  // of 8 channels, a warp

// Copies `rows` rows to shared memory, each padded with zeros to whole steps of 16 channels: eight lanes a
// row, 16 bytes each. Rows that do not exist become zero.
template <typename Rows>
ANNEAL_DEVICE void copyPadded(unsigned char* tile, int pitch, const Rows& source, int first, int rows) {
  const int steps = (source.width + 15) / 16 * 2;
  for (int row = static_cast<int>(threadIdx.x) / 8; row < rows; row += kDecodeThreads / 8) {
    const bool live = source.has(first + row);
    const int64_t place = live ? source.place(first + row) : 0;
    for (int piece = static_cast<int>(threadIdx.x) % 8; piece < steps; piece += 8) {
      const int channel = piece * 8, inside = live ? source.width - channel : 0;
      unsigned char* to = tile + row * pitch + piece * 16;
      if (source.vectors) {
        const uint32_t bytes = inside >= 8 ? 16 : inside <= 0 ? 0 : 2 * inside;
        copyAsync16(sharedAddress(to), bytes == 0 ? source.base : source.atPlace(place, first + row, channel),
                    bytes);
      } else {
        for (int i = 0; i < 8; ++i) {
          const bf16 value =
              i < inside ? load<bf16>(source.atPlace(place, first + row, channel + i)) : bf16{};
          reinterpret_cast<bf16*>(to)[i] = value;
        }
      }
    }
  }
}

// Floor: bytes of the keys and values ÷ bandwidth up to about 64 rows (heads times queries), then 2·(qkDim +
// vDim) FLOPs for each row and key ÷ the rate of mma.
template <int kRows, int kKeys>
__global__ void __launch_bounds__(kDecodeThreads, 1)
    attentionDecodeKernel(const __grid_constant__ ForwardParams<bf16> p, int stages, bool sharesValues) {
  constexpr int kM = kRows / 16;              // tiles of rows
  constexpr int kAcross = kDecodeWarps / kM;  // warps that share a tile of rows
  constexpr int kN = kKeys / kAcross / 8;     // groups of 8 keys a warp
  constexpr int kPitchP = kKeys * 2 + 16;
  static_assert(kN == 1 || kN == 2);
  const AttentionWork& work = p.work;
  AttentionPlace place;
  if (!findPlace<false>(work, blockIdx.x, kRows, place)) return;
  checkPages(work, place, p.faults);
  const AttentionSegment& segment = place.segment;
  const HeadRange heads(place.unit, work.heads, work.kvHeads);
  const auto queries = plainQueries(p.tensors, segment.queryBegin, heads.first, segment.queries,
                                    work.rowsPerToken, heads.last - heads.first);
  const PageMap pages{&work, place.number};
  const auto keys = placed(plainKeys(p.tensors, segment.keyBegin, place.unit, segment.keys), pages);
  const auto values = placed(plainValues(p.tensors, segment.keyBegin, place.unit, segment.keys), pages);
  const int first = (work.causal ? place.tiles - 1 - place.tile : place.tile) * kRows;
  const int lastRow = first + kRows < queries.rows ? first + kRows - 1 : queries.rows - 1;
  const AttentionRange range = keysSeen(work, segment, queries.token(first), queries.token(lastRow) + 1);
  int begin = range.first / kKeys * kKeys, end = range.last;
  if (p.splits > 1 && begin < end) {
    const int tiles = (end - begin + kKeys - 1) / kKeys, part = (tiles + p.splits - 1) / p.splits;
    begin += static_cast<int>(blockIdx.y) * part * kKeys;
    end = begin + part * kKeys < end ? begin + part * kKeys : end;
  }

  const int pitchK = static_cast<int>(attentionPitch(p.tensors.qkDim));
  const int pitchV = sharesValues ? pitchK : static_cast<int>(attentionPitch(p.tensors.vDim));
  const int valuesAt = sharesValues ? 0 : kKeys * pitchK, stageBytes = valuesAt + kKeys * pitchV;
  auto* queryTile = sharedArena<unsigned char>();
  unsigned char* probabilities = queryTile + kRows * pitchK;
  auto* maxima =
      reinterpret_cast<float*>(probabilities + kRows * kPitchP);  // [kAcross, kRows], later the sums
  float* shrinks = maxima + kDecodeWarps * kRows;                 // [kRows]
  unsigned char* ring = reinterpret_cast<unsigned char*>(shrinks + 2 * kRows);

  const int warp = static_cast<int>(warpId()), lane = static_cast<int>(laneId());
  const int tileRow = warp % kM * 16, across = warp / kM;
  const int rowOf[2] = {tileRow + lane / 4, tileRow + lane / 4 + 8};
  AttentionRange seen[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int token = queries.token(first + rowOf[half]);
    seen[half] = keysSeen(work, segment, token, token + 1);
  }
  const uint32_t q = sharedAddress(queryTile) + tileRow * pitchK + rowOffset(pitchK);
  const uint32_t w = sharedAddress(probabilities) + rowOffset(kPitchP);
  const uint32_t keyOffset =
      across * 8 * kN * pitchK + (kN == 2 ? columnOffset(pitchK) : lane % 8 * pitchK + lane / 8 % 2 * 16);
  const uint32_t valueOffset = valuesAt + warp * 32 + rowOffset(pitchV);
  const int pairs = (p.tensors.vDim + 15) / 16;

  float o[kM][2 * kPairs][4] = {};
  float top[2] = {-kInfinity, -kInfinity}, sum[2] = {};
  int fetched = begin, slot = 0;
  const auto fetch = [&] {
    if (fetched < end) {
      unsigned char* stage = ring + slot * stageBytes;
      copyPadded(stage, pitchK, keys, fetched, kKeys);
      if (!sharesValues) copyPadded(stage + valuesAt, pitchV, values, fetched, kKeys);
      fetched += kKeys;
      slot = slot + 1 == stages ? 0 : slot + 1;
    }
    commitGroup();
  };
  if (begin < end) copyPadded(queryTile, pitchK, queries, first, kRows);
  for (int i = 1; i < stages; ++i) fetch();

  int current = 0;
#pragma unroll 1
  for (int key = begin; key < end; key += kKeys) {
    // Behind the barrier this tile is complete, and the stage of the one before it is free.
    if (stages == 1) {
      syncThreads();
      fetch();
    }
    if (stages == 3) {
      waitGroups<1>();
    } else {
      waitGroups<0>();
    }
    syncThreads();
    if (stages > 1) fetch();
    const uint32_t stage = sharedAddress(ring + current * stageBytes);
    current = current + 1 == stages ? 0 : current + 1;

    float s[kN][4] = {};
#pragma unroll 4
    for (int step = 0; step < (p.tensors.qkDim + 15) / 16; ++step) {
      uint32_t left[4];
      loadMatrices(left, q + step * 32);
      if constexpr (kN == 2) {
        uint32_t right[4];
        loadMatrices(right, stage + keyOffset + step * 32);
        mmaBf16(s[0], left, right[0], right[1]);
        mmaBf16(s[1], left, right[2], right[3]);
      } else {
        uint32_t right[2];
        loadMatrices(right, stage + keyOffset + step * 32);
        mmaBf16(s[0], left, right);
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float most = -kInfinity;
#pragma unroll
      for (int n = 0; n < kN; ++n) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          float& x = s[n][2 * half + i];
          const int j = key + (across * kN + n) * 8 + lane % 4 * 2 + i;
          if (work.rule.mode != ScoreMode::kScaled) x = scoreOf<false>(work.rule, x);
          if (j < seen[half].first || j >= seen[half].last) x = -kInfinity;
          most = fmaxf(most, x);
        }
      }
      most = fmaxf(most, shuffleXor(most, 1));
      most = fmaxf(most, shuffleXor(most, 2));
      if (lane % 4 == 0) maxima[across * kRows + rowOf[half]] = most;
    }
    syncThreads();
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float most = top[half];
#pragma unroll
      for (int i = 0; i < kAcross; ++i) most = fmaxf(most, maxima[i * kRows + rowOf[half]]);
      const float shift = most == -kInfinity ? 0.0f : most * work.rule.factor;
      const float shrink = exp2Approx(top[half] * work.rule.factor - shift);
      top[half] = most;
      sum[half] *= shrink;
      if (across == 0 && lane % 4 == 0) shrinks[rowOf[half]] = shrink;
#pragma unroll
      for (int n = 0; n < kN; ++n) {
        const float low = exp2Approx(fmaf(s[n][2 * half], work.rule.factor, -shift));
        const float high = exp2Approx(fmaf(s[n][2 * half + 1], work.rule.factor, -shift));
        sum[half] += low + high;
        const int column = (across * kN + n) * 8 + lane % 4 * 2;
        *reinterpret_cast<uint32_t*>(probabilities + rowOf[half] * kPitchP + column * 2) =
            packBf16(low, high);
      }
    }
    syncThreads();
#pragma unroll
    for (int m = 0; m < kM; ++m) {
      const float shrink[2] = {shrinks[16 * m + lane / 4], shrinks[16 * m + lane / 4 + 8]};
#pragma unroll
      for (int n = 0; n < 2 * kPairs; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) o[m][n][i] *= shrink[i / 2];
      }
    }
#pragma unroll
    for (int step = 0; step < kKeys / 16; ++step) {
      uint32_t left[kM][4];
#pragma unroll
      for (int m = 0; m < kM; ++m) loadMatrices(left[m], w + m * 16 * kPitchP + step * 32);
#pragma unroll
      for (int i = 0; i < kPairs; ++i) {
        if (warp + kDecodeWarps * i >= pairs) continue;
        uint32_t right[4];
        loadMatricesTransposed(right, stage + valueOffset + step * 16 * pitchV + i * kDecodeWarps * 32);
#pragma unroll
        for (int m = 0; m < kM; ++m) {
          mmaBf16(o[m][2 * i], left[m], right[0], right[1]);
          mmaBf16(o[m][2 * i + 1], left[m], right[2], right[3]);
        }
      }
    }
  }

  // The sums of the warps that share rows, added in their order.
  syncThreads();
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    sum[half] += shuffleXor(sum[half], 1);
    sum[half] += shuffleXor(sum[half], 2);
    if (lane % 4 != 0) continue;
    maxima[across * kRows + rowOf[half]] = sum[half];
    if (across == 0) shrinks[rowOf[half]] = top[half] * work.rule.factor;
  }
  syncThreads();
#pragma unroll
  for (int m = 0; m < kM; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int inTile = 16 * m + 8 * half + lane / 4, row = first + inTile;
      if (!queries.has(row)) continue;
      float total = 0.0f;
#pragma unroll
      for (int i = 0; i < kAcross; ++i) total += maxima[i * kRows + inTile];
      const float factor = total == 0.0f ? 0.0f : 1.0f / total, log = shrinks[inTile] + log2f(total);
      const int head = heads.first + queries.head(row);
      const int64_t token = segment.queryBegin + queries.token(row);
      const int64_t record = (int64_t{blockIdx.y} * work.heads + head) * work.tokensQ + token;
      if (warp == 0 && lane % 4 == 0) {
        if (p.splits > 1) {
          p.partialLog[record] = total == 0.0f ? -kInfinity : log;
        } else if (p.lse != nullptr) {
          p.lse[record] = total == 0.0f ? kInfinity : log * kLn2;
        }
      }
#pragma unroll
      for (int n = 0; n < 2 * kPairs; ++n) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const int channel = (warp + kDecodeWarps * (n / 2)) * 16 + n % 2 * 8 + lane % 4 * 2 + i;
          if (channel >= p.tensors.vDim) continue;
          const float value = o[m][n][2 * half + i] * factor;
          if (p.splits > 1) {
            p.partial[record * p.tensors.vDim + channel] = value;
          } else {
            store(p.o + token * p.tensors.oRow + head * p.tensors.oHead + channel, toBf16(value));
          }
        }
      }
    }
  }
}

}  // namespace

int launchAttentionDecode(KernelContext* context, const ForwardParams<bf16>& params, const DecodePlan& plan,
                          bool sharesValues) {
  ForwardParams<bf16> p = params;
  const int64_t bytesPerToken = (p.tensors.qkDim + p.tensors.vDim) * 2;
  const int64_t blocks = attentionBlocks(context, p.work, false, plan.rows, bytesPerToken);
  if (blocks == 0) return 1;
  const dim3 grid(static_cast<unsigned>(blocks), static_cast<unsigned>(p.splits));
  const auto kernel = plan.rows == 64 ? attentionDecodeKernel<64, 32> : attentionDecodeKernel<16, 64>;
  return launch(context, kernel, {grid, kDecodeThreads, plan.sharedBytes}, p, plan.stages, sharesValues);
}

}  // namespace anneal::cuda
