// attention_plain.h — products of attention tiles on the plain cores, for f32 and for head sizes of any kind:
// operands pass through shared memory as floats, 16 steps of the sum at a time, the next 16 already on their
// way in registers. 256 threads stand 16 × 16 over a tile; thread (y, x) has rows kR·y.. and columns 4·x...
#pragma once

#include "cuda/device/attention_work.h"
#include "cuda/ptx/bf16.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/sync.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {

constexpr int kPlainThreads = 256, kPlainKeys = 64, kPlainDepth = 16;
constexpr int kPlainPitch = 64 + 4;                      // floats of a row of 64
constexpr int kPlainStage = kPlainDepth * kPlainPitch;   // floats of one operand's 16 steps
constexpr int kPlainStaging = 4 * kPlainStage;           // two operands, two turns
constexpr int kPlainWeights = kPlainKeys * kPlainPitch;  // probabilities or their gradients
using Four = Vec<float, 4>;

// Tokens that lie one after the other.
struct InOrder {
  static constexpr bool kTable = false;  // whether a look at a row costs a load
  ANNEAL_DEVICE int row(int token) const { return token; }
};

// Rows of a tensor as a tile numbers them: row = token·rowsPerToken + head. Channels from `own` on come from
// `shared`, which has one row a token. Places: where tokens lie.
template <typename T, typename Places = InOrder>
struct PlainRows {
  const T* base;
  const T* shared;
  int64_t stride, headStride, sharedStride;
  int rows, rowsPerToken, heads;  // heads: those that exist of rowsPerToken
  int width, own;
  bool vectors;
  Places places;

  ANNEAL_DEVICE int token(int row) const { return rowsPerToken == 1 ? row : row / rowsPerToken; }
  ANNEAL_DEVICE int head(int row) const { return rowsPerToken == 1 ? 0 : row % rowsPerToken; }
  ANNEAL_DEVICE bool has(int row) const { return row >= 0 && row < rows && head(row) < heads; }
  ANNEAL_DEVICE const T* at(int row, int channel) const {
    return channel < own ? base + places.row(token(row)) * stride + head(row) * headStride + channel
                         : shared + places.row(token(row)) * sharedStride + (channel - own);
  }
  // The same, where the row's place is known: for several looks at one row.
  ANNEAL_DEVICE int64_t place(int row) const { return places.row(token(row)); }
  ANNEAL_DEVICE const T* atPlace(int64_t place, int row, int channel) const {
    return channel < own ? base + place * stride + head(row) * headStride + channel
                         : shared + place * sharedStride + (channel - own);
  }
  // Channels channel .. channel + 3 of a row, zero where there is nothing.
  ANNEAL_DEVICE Four four(int row, int channel) const {
    Four value{};
    if (!has(row) || channel >= width) return value;
    const int64_t known = Places::kTable ? place(row) : 0;
    const auto address = [&](int c) { return Places::kTable ? atPlace(known, row, c) : at(row, c); };
    if (vectors && channel + 4 <= width) {
      const auto raw = load<Vec<T, 4>>(address(channel));
#pragma unroll
      for (int i = 0; i < 4; ++i) value.lane[i] = toFloat(raw.lane[i]);
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if (channel + i < width) value.lane[i] = toFloat(load<T>(address(channel + i)));
      }
    }
    return value;
  }
};

// rows: of one head from `row` on; `rows` of them.
template <typename T>
ANNEAL_DEVICE PlainRows<T> plainQueries(const AttentionTensors<T>& a, int64_t row, int head, int rows,
                                        int rowsPerToken = 1, int heads = 1) {
  return {a.q + row * a.qRow + head * a.qHead,
          nullptr,
          a.qRow,
          a.qHead,
          0,
          rows * rowsPerToken,
          rowsPerToken,
          heads,
          a.qkDim,
          a.qkDim,
          a.qVectors,
          {}};
}
template <typename T>
ANNEAL_DEVICE PlainRows<T> plainKeys(const AttentionTensors<T>& a, int64_t row, int head, int rows) {
  const T* shared = a.sharedDim > 0 ? a.kShared + row * a.sharedRow : nullptr;
  return {a.k + row * a.kRow + head * a.kHead,
          shared,
          a.kRow,
          0,
          a.sharedRow,
          rows,
          1,
          1,
          a.qkDim,
          a.qkDim - a.sharedDim,
          a.kVectors,
          {}};
}
template <typename T>
ANNEAL_DEVICE PlainRows<T> plainValues(const AttentionTensors<T>& a, int64_t row, int head, int rows) {
  return {
      a.v + row * a.vRow + head * a.vHead, nullptr, a.vRow, 0, 0, rows, 1, 1, a.vDim, a.vDim, a.vVectors, {}};
}
template <typename T>
ANNEAL_DEVICE PlainRows<T> plainOutputs(const AttentionTensors<T>& a, const T* o, int64_t row, int head,
                                        int rows) {
  return {
      o + row * a.oRow + head * a.oHead, nullptr, a.oRow, 0, 0, rows, 1, 1, a.vDim, a.vDim, a.oVectors, {}};
}
// The same rows, their tokens where `places` says.
template <typename T, typename Places>
ANNEAL_DEVICE PlainRows<T, Places> placed(const PlainRows<T>& x, const Places& places) {
  return {x.base,         x.shared, x.stride, x.headStride, x.sharedStride, x.rows,
          x.rowsPerToken, x.heads,  x.width,  x.own,        x.vectors,      places};
}

ANNEAL_DEVICE int plainX() { return static_cast<int>(threadIdx.x) % 16; }
ANNEAL_DEVICE int plainY() { return static_cast<int>(threadIdx.x) / 16; }

// s [16·kR, 64] = A·Bᵀ: rows a0.. of A and b0.. of B, over their channels. Begins with a barrier; `staging`
// may be written again behind the next one.
template <int kR, typename T, typename Places>
ANNEAL_DEVICE void plainScores(float (&s)[kR][4], const PlainRows<T>& a, int a0,
                               const PlainRows<T, Places>& b, int b0, float* staging) {
  const int thread = static_cast<int>(threadIdx.x), lineB = thread % 64, stepB = thread / 64 * 4;
  const int lineA = thread % (16 * kR), stepA = thread / (16 * kR) * 4;
  const bool loadsA = stepA < kPlainDepth;
#pragma unroll
  for (int i = 0; i < kR; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) s[i][j] = 0.0f;
  }
  Four nextA{}, nextB = b.four(b0 + lineB, stepB);
  if (loadsA) nextA = a.four(a0 + lineA, stepA);
  syncThreads();
  int turn = 0;
#pragma unroll 1
  for (int depth = 0; depth < a.width; depth += kPlainDepth, turn ^= 1) {
    float* stageA = staging + turn * 2 * kPlainStage;
    float* stageB = stageA + kPlainStage;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      stageB[(stepB + i) * kPlainPitch + lineB] = nextB.lane[i];
      if (loadsA) stageA[(stepA + i) * kPlainPitch + lineA] = nextA.lane[i];
    }
    syncThreads();
    if (depth + kPlainDepth < a.width) {
      nextB = b.four(b0 + lineB, depth + kPlainDepth + stepB);
      if (loadsA) nextA = a.four(a0 + lineA, depth + kPlainDepth + stepA);
    }
#pragma unroll
    for (int d = 0; d < kPlainDepth; ++d) {
      const Four right = *reinterpret_cast<const Four*>(stageB + d * kPlainPitch + 4 * plainX());
      float left[kR];
      if constexpr (kR == 4) {
        const Four four = *reinterpret_cast<const Four*>(stageA + d * kPlainPitch + 4 * plainY());
#pragma unroll
        for (int i = 0; i < 4; ++i) left[i] = four.lane[i];
      } else {
        left[0] = stageA[d * kPlainPitch + plainY()];
      }
#pragma unroll
      for (int i = 0; i < kR; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) s[i][j] = fmaf(left[i], right.lane[j], s[i][j]);
      }
    }
  }
}

// Leaves s [16·kR, 64] in shared memory as weights of the next product, whose sum runs over s's columns
// (kOverColumns: weights[column][row]) or over its rows.
template <bool kOverColumns>
ANNEAL_DEVICE int weightAt(int row, int column) {
  return kOverColumns ? column * kPlainPitch + row : row * kPlainPitch + column;
}
template <bool kOverColumns, int kR>
ANNEAL_DEVICE void keepWeights(float* weights, const float (&s)[kR][4]) {
#pragma unroll
  for (int i = 0; i < kR; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j)
      weights[weightAt<kOverColumns>(kR * plainY() + i, 4 * plainX() + j)] = s[i][j];
  }
}

// o [16·kR, 64·kH] += Σ_k weights[k][row] · B[b0 + k][channel..], k < 64. A thread's channels are 4·x + 64·h
// + …. Begins with a barrier, behind which the weights are complete.
template <int kR, int kH, typename T, typename Places>
ANNEAL_DEVICE void plainWeighted(float (&o)[kR][kH][4], const float* weights, const PlainRows<T, Places>& b,
                                 int b0, int channel, float* staging) {
  constexpr int kRow = 64 * kH;
  const int thread = static_cast<int>(threadIdx.x), line = thread / 16, column = thread % 16 * 4;
  Four next[kH];
  const auto fetch = [&](int k) {
#pragma unroll
    for (int h = 0; h < kH; ++h) next[h] = b.four(b0 + k + line, channel + column + 64 * h);
  };
  fetch(0);
  syncThreads();
  int turn = 0;
#pragma unroll 1
  for (int k = 0; k < kPlainKeys; k += kPlainDepth, turn ^= 1) {
    float* stage = staging + turn * 2 * kPlainStage;
#pragma unroll
    for (int h = 0; h < kH; ++h) *reinterpret_cast<Four*>(stage + line * kRow + column + 64 * h) = next[h];
    syncThreads();
    if (k + kPlainDepth < kPlainKeys) fetch(k + kPlainDepth);
#pragma unroll
    for (int d = 0; d < kPlainDepth; ++d) {
      float left[kR];
      const float* from = weights + (k + d) * kPlainPitch + kR * plainY();
      if constexpr (kR == 4) {
        const Four four = *reinterpret_cast<const Four*>(from);
#pragma unroll
        for (int i = 0; i < 4; ++i) left[i] = four.lane[i];
      } else {
        left[0] = from[0];
      }
#pragma unroll
      for (int h = 0; h < kH; ++h) {
        const Four right = *reinterpret_cast<const Four*>(stage + d * kRow + 4 * plainX() + 64 * h);
#pragma unroll
        for (int i = 0; i < kR; ++i) {
#pragma unroll
          for (int j = 0; j < 4; ++j) o[i][h][j] = fmaf(left[i], right.lane[j], o[i][h][j]);
        }
      }
    }
  }
}

// Sums and maxima over the 16 threads that have a row's columns.
ANNEAL_DEVICE float plainRowMax(float value) {
#pragma unroll
  for (unsigned distance = 8; distance > 0; distance /= 2) value = fmaxf(value, shuffleXor(value, distance));
  return value;
}
ANNEAL_DEVICE float plainRowSum(float value) {
#pragma unroll
  for (unsigned distance = 8; distance > 0; distance /= 2) value += shuffleXor(value, distance);
  return value;
}

}  // namespace anneal::cuda
