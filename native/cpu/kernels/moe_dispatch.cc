// moe_dispatch.cc — moving token rows to their experts and back: stable counting sort, permutation, weighted
// combination, selection-bias update. Row kernels are one pass over memory; a token's K rows are read
// together.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/lanes.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

constexpr int kHistogramSlot = 0;
constexpr int64_t kSortBlock = 4096;  // choices of one histogram
constexpr int kUnroll = 4;            // vectors of a row handled together

int moeSort(KernelContext* context, const void* args) {
  const auto& a = *static_cast<const MoeSortArgs*>(args);
  const int64_t rows = a.tokens * a.chosen, blocks = (rows + kSortBlock - 1) / kSortBlock;
  const auto* ids = static_cast<const int32_t*>(a.ids);
  auto* counts = static_cast<int32_t*>(a.counts);
  auto* offsets = static_cast<int32_t*>(a.offsets);
  auto* order = static_cast<int32_t*>(a.order);
  auto* inverse = static_cast<int32_t*>(a.inverse);
  // next [blocks, E]: first how often each expert occurs in a block, then where the block's first row of that
  // expert goes.
  auto* next = static_cast<int32_t*>(
      threadScratch(kHistogramSlot, static_cast<size_t>(blocks * a.experts) * sizeof(int32_t)));
  std::atomic<bool> bad{false};
  parallelFor(blocks, 4 * kSortBlock, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) {
      int32_t* count = next + b * a.experts;
      std::fill(count, count + a.experts, 0);
      for (int64_t r = b * kSortBlock; r < std::min((b + 1) * kSortBlock, rows); ++r) {
        if (ids[r] < 0 || ids[r] >= a.experts) {
          bad = true;
        } else {
          ++count[ids[r]];
        }
      }
    }
  });
  if (bad) {
    const int32_t* at = std::find_if(ids, ids + rows, [&](int32_t id) { return id < 0 || id >= a.experts; });
    return fail(context, "moeSort: expert id %d of choice %lld does not lie in 0..%lld", *at,
                static_cast<long long>(at - ids), static_cast<long long>(a.experts - 1));
  }
  int32_t place = 0;
  for (int64_t e = 0; e < a.experts; ++e) {
    offsets[e] = place;
    for (int64_t b = 0; b < blocks; ++b) {
      const int32_t count = next[b * a.experts + e];
      next[b * a.experts + e] = place;
      place += count;
    }
    counts[e] = place - offsets[e];
    if (a.totals != nullptr) static_cast<int32_t*>(a.totals)[e] += counts[e];
  }
  offsets[a.experts] = place;
  if (a.totals != nullptr && a.counted != nullptr) {
    const auto* counted = static_cast<const int32_t*>(a.counted);
    for (int64_t t = 0; t < a.tokens; ++t) {
      if (counted[t] >= 0) continue;
      for (int64_t k = 0; k < a.chosen; ++k) --static_cast<int32_t*>(a.totals)[ids[t * a.chosen + k]];
    }
  }
  parallelFor(blocks, 4 * kSortBlock, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) {
      int32_t* to = next + b * a.experts;
      for (int64_t r = b * kSortBlock; r < std::min((b + 1) * kSortBlock, rows); ++r) {
        const int32_t j = to[ids[r]]++;
        order[j] = static_cast<int32_t>(r);
        inverse[r] = j;
      }
    }
  });
  return 0;
}

int moePermute(KernelContext* context, const void* args) {
  const auto& a = *static_cast<const MoePermuteArgs*>(args);
  const int64_t bytes = a.width * static_cast<int64_t>(dtypeSize(a.dtype));
  if (bytes == 0 && a.width != 0)
    return fail(context, "moePermute got the unknown dtype %lld", static_cast<long long>(a.dtype));
  const auto* order = static_cast<const int32_t*>(a.order);
  parallelFor(a.rows, a.width, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) {
      std::memcpy(static_cast<char*>(a.y) + j * bytes,
                  static_cast<const char*>(a.x) + order[j] / a.chosen * bytes, static_cast<size_t>(bytes));
    }
  });
  return 0;
}

// y[c..] = addend[c..] + Σ_k w_k·x_k[c..] for kVectors whole vectors, or for `part` channels of one.
template <int kVectors, typename T>
inline void combine(const T* x, const int32_t* rows, const float* weights, int64_t chosen, int64_t width,
                    const T* addend, T* y, int64_t part) {
  Vec sum[kVectors];
  for (int v = 0; v < kVectors; ++v) sum[v] = addend != nullptr ? loadUpTo(addend + v * kLanes, part) : Vec{};
  for (int64_t k = 0; k < chosen; ++k) {
    const T* row = x + rows[k] * width;
    const float w = weights != nullptr ? weights[k] : 1.0f;
    for (int v = 0; v < kVectors; ++v) sum[v] += w * loadUpTo(row + v * kLanes, part);
  }
  for (int v = 0; v < kVectors; ++v) storeUpTo(y + v * kLanes, sum[v], part);
}

template <typename T>
int combineForward(const MoeCombineForwardArgs& a) {
  const T* x = static_cast<const T*>(a.x);
  const int64_t width = a.width, step = kUnroll * kLanes;
  parallelFor(a.tokens, (a.chosen + 1) * width, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const auto* rows = static_cast<const int32_t*>(a.inverse) + t * a.chosen;
      const float* weights =
          a.weights != nullptr ? static_cast<const float*>(a.weights) + t * a.chosen : nullptr;
      const T* addend = a.addend != nullptr ? static_cast<const T*>(a.addend) + t * width : nullptr;
      T* y = static_cast<T*>(a.y) + t * width;
      const auto from = [addend](int64_t c) { return addend != nullptr ? addend + c : nullptr; };
      int64_t c = 0;
      for (; c + step <= width; c += step)
        combine<kUnroll>(x + c, rows, weights, a.chosen, width, from(c), y + c, step);
      for (; c < width; c += kLanes)
        combine<1>(x + c, rows, weights, a.chosen, width, from(c), y + c, width - c);
    }
  });
  return 0;
}

template <typename T>
int combineBackward(const MoeCombineBackwardArgs& a) {
  const T* x = static_cast<const T*>(a.x);
  const int64_t width = a.width, whole = width / kLanes * kLanes,
                unrolled = whole / (kUnroll * kLanes) * (kUnroll * kLanes);
  parallelFor(a.tokens, 3 * a.chosen * width, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const T* dy = static_cast<const T*>(a.dy) + t * width;
      for (int64_t k = 0; k < a.chosen; ++k) {
        const int64_t row = static_cast<const int32_t*>(a.inverse)[t * a.chosen + k];
        const float w = static_cast<const float*>(a.weights)[t * a.chosen + k];
        const T* from = x + row * width;
        T* to = static_cast<T*>(a.dx) + row * width;
        Vec sums[kUnroll] = {};
        const auto visit = [&](int64_t c, int64_t part, Vec& sum) {
          const Vec gradient = loadUpTo(dy + c, part);
          storeUpTo(to + c, gradient * w, part);
          sum += gradient * loadUpTo(from + c, part);
        };
        int64_t c = 0;
        for (; c < unrolled; c += kUnroll * kLanes) {
          for (int v = 0; v < kUnroll; ++v) visit(c + v * kLanes, kLanes, sums[v]);
        }
        for (; c < width; c += kLanes) visit(c, width - c, sums[0]);
        const Vec sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        float total = 0;
        for (int i = 0; i < kLanes; ++i) total += sum[i];
        static_cast<float*>(a.dweights)[t * a.chosen + k] = total;
      }
    }
  });
  return 0;
}

int moeCombineForward(KernelContext* context, const void* args) {
  const auto& a = *static_cast<const MoeCombineForwardArgs*>(args);
  if (a.dtype == kF32) return combineForward<float>(a);
  if (a.dtype == kBF16) return combineForward<bf16>(a);
  return fail(context, "moeCombineForward takes f32 or bf16, got %s", dtypeName(a.dtype));
}

int moeCombineBackward(KernelContext* context, const void* args) {
  const auto& a = *static_cast<const MoeCombineBackwardArgs*>(args);
  if (a.dtype == kF32) return combineBackward<float>(a);
  if (a.dtype == kBF16) return combineBackward<bf16>(a);
  return fail(context, "moeCombineBackward takes f32 or bf16, got %s", dtypeName(a.dtype));
}

int moeBiasUpdate(KernelContext*, const void* args) {
  const auto& a = *static_cast<const MoeBiasUpdateArgs*>(args);
  auto* totals = static_cast<int32_t*>(a.totals);
  float* bias = static_cast<float*>(a.bias);
  int64_t all = 0;
  for (int64_t e = 0; e < a.experts; ++e) all += totals[e];
  for (int64_t e = 0; e < a.experts; ++e) {
    // sign(mean − n) in integers: E times both sides, exact.
    const int64_t above = all - totals[e] * a.experts;
    bias[e] += static_cast<float>(above > 0 ? a.rate : (above < 0 ? -a.rate : 0.0));
    totals[e] = 0;
  }
  return 0;
}

}  // namespace

void registerMoeDispatch(Backend& table) {
  table.kernels[kKernel_moeSort] = moeSort;
  table.kernels[kKernel_moePermute] = moePermute;
  table.kernels[kKernel_moeCombineForward] = moeCombineForward;
  table.kernels[kKernel_moeCombineBackward] = moeCombineBackward;
  table.kernels[kKernel_moeBiasUpdate] = moeBiasUpdate;
}

ANNEAL_CPU_NAMESPACE_END
