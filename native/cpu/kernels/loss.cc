// loss.cc — cross-entropy and token log-probabilities fused with the output projection. Only a chunk of rows
// has its logits in memory at a time; they become their own gradient in place. Rows that do not count are
// left out of every product.
#include <algorithm>
#include <cmath>
#include <exception>

#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/bf16.h"
#include "cpu/gemm.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "cpu/vec_math.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

constexpr int64_t kLanes = 16;
constexpr int64_t kBlock = 256;  // logits whose exponentials are summed at a time
constexpr int64_t kChunkLogits =
    4 << 20;  // logits in memory at once, where the caller leaves the choice: 16 MB
constexpr int64_t kLeastChunk =
    256;  // rows: fewer would spend the time on reading and adding to the weight's gradient

constexpr int kLogitSlot = 4, kRowSlot = 5, kIndexSlot = 6;

float sumLanes(const float* lanes) {
  float total = 0;
  for (int64_t l = 0; l < kLanes; ++l) total += lanes[l];
  return total;
}

float maxOf(const float* x, int64_t n) {
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, -INFINITY);
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) lanes[l] = x[j + l] > lanes[l] ? x[j + l] : lanes[l];
  }
  for (; j < n; ++j) lanes[0] = x[j] > lanes[0] ? x[j] : lanes[0];
  return *std::max_element(lanes, lanes + kLanes);
}

// Adds x to the lanes, element j to lane j mod 16.
void addTo(float* lanes, const float* x, int64_t n) {
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) lanes[l] += x[j + l];
  }
  for (int64_t l = 0; j < n; ++j, ++l) lanes[l] += x[j];
}

float sumOf(const float* x, int64_t n) {
  float lanes[kLanes] = {};
  addTo(lanes, x, n);
  return sumLanes(lanes);
}

struct Softmax {
  float largest, sum, lse;  // Σ e^(z − largest) and its logarithm plus largest
};

// Statistics of a row of logits; kInPlace: the row becomes e^(z − largest).
template <bool kInPlace>
Softmax softmaxOf(float* z, int64_t n) {
  const float largest = maxOf(z, n);
  float lanes[kLanes] = {}, buffer[kBlock];
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t count = std::min(kBlock, n - begin);
    float* e = kInPlace ? z + begin : buffer;
    for (int64_t j = 0; j < count; ++j) e[j] = vexp(z[begin + j] - largest);
    addTo(lanes, e, count);
  }
  const float sum = sumLanes(lanes);
  return {largest, sum, largest + std::log(sum)};
}

// The rows that count, in order, taken a chunk at a time.
struct Rows {
  int32_t* index;  // of each row that counts
  float* values;   // working memory, one number a row
  int64_t count = 0, chunk = 1;
};

// Lists the rows with a target. False (and a message) when a target is outside the vocabulary.
template <typename Args>
bool selectRows(KernelContext* context, const char* kernel, const Args& args, Rows* rows) {
  rows->index =
      static_cast<int32_t*>(threadScratch(kIndexSlot, static_cast<size_t>(args.rows) * 2 * sizeof(int32_t)));
  rows->values = reinterpret_cast<float*>(rows->index + args.rows);
  const auto* targets = static_cast<const int32_t*>(args.targets);
  for (int64_t r = 0; r < args.rows; ++r) {
    if (targets[r] == args.ignoreIndex) continue;
    if (targets[r] < 0 || targets[r] >= args.vocab) {
      fail(context, "%s: target %d of row %lld is neither in [0, %lld) nor the ignored index %lld", kernel,
           targets[r], static_cast<long long>(r), static_cast<long long>(args.vocab),
           static_cast<long long>(args.ignoreIndex));
      return false;
    }
    rows->index[rows->count++] = static_cast<int32_t>(r);
  }
  const int64_t fitting = std::max(kLeastChunk, kChunkLogits / std::max<int64_t>(args.vocab, 1));
  rows->chunk = std::max<int64_t>(1, std::min(args.chunkRows > 0 ? args.chunkRows : fitting, rows->count));
  return true;
}

// Products of one chunk of rows with the projection. T: dtype of h, weight and dh.
template <typename T>
class Projection {
 public:
  Projection(const void* h, const void* weight, int64_t width, int64_t vocab, const Rows& rows)
      : h_(static_cast<const T*>(h)),
        weight_(static_cast<const T*>(weight)),
        width_(width),
        vocab_(vocab),
        rows_(rows) {
    logits_ = static_cast<float*>(
        threadScratch(kLogitSlot, static_cast<size_t>(rows.chunk * vocab) * sizeof(float)));
    gathered_ =
        static_cast<T*>(threadScratch(kRowSlot, static_cast<size_t>(2 * rows.chunk * width) * sizeof(T)));
  }

  // z = h·weightᵀ for the rows begin.. of the list → [count, vocab] f32.
  float* logits(int64_t begin, int64_t count) {
    begin_ = begin;
    count_ = count;
    const int32_t* index = rows_.index + begin;
    contiguous_ = index[count - 1] - index[0] == count - 1;
    chunk_ = h_ + index[0] * width_;
    if (!contiguous_) {
      for (int64_t i = 0; i < count; ++i) std::copy_n(h_ + index[i] * width_, width_, gathered_ + i * width_);
      chunk_ = gathered_;
    }
    GemmCall call;
    call.a = chunk_;
    call.b = weight_;
    call.c = logits_;
    call.m = count;
    call.n = vocab_;
    call.k = width_;
    call.transB = true;
    call.lda = call.ldb = width_;
    call.ldc = vocab_;
    call.dtype = kType;
    call.outDtype = kF32;
    gemm(call);
    return logits_;
  }

  // With the logits replaced by dz: dh = dz·weight into the rows of the list, dweight = beta·dweight + dzᵀ·h.
  void backward(T* dh, float* dweight, float beta) {
    const int32_t* index = rows_.index + begin_;
    T* target = contiguous_ ? dh + index[0] * width_ : gathered_ + rows_.chunk * width_;
    GemmCall call;
    call.a = logits_;
    call.b = weight_;
    call.c = target;
    call.m = count_;
    call.n = width_;
    call.k = vocab_;
    call.lda = vocab_;
    call.ldb = call.ldc = width_;
    call.dtype = kF32;
    call.bDtype = call.outDtype = kType;
    gemm(call);
    if (!contiguous_) {
      for (int64_t i = 0; i < count_; ++i) std::copy_n(target + i * width_, width_, dh + index[i] * width_);
    }
    addToWeight(dweight, beta);
  }

  // dweight = beta·dweight + dzᵀ·h; without rows, dweight = beta·dweight.
  void addToWeight(float* dweight, float beta) {
    GemmCall call;
    call.a = logits_;
    call.b = chunk_;
    call.c = dweight;
    call.m = vocab_;
    call.n = width_;
    call.k = count_;
    call.transA = true;
    call.lda = vocab_;
    call.ldb = call.ldc = width_;
    call.beta = beta;
    call.dtype = call.outDtype = kF32;
    call.bDtype = kType;
    gemm(call);
  }

 private:
  static constexpr int64_t kType = std::is_same_v<T, float> ? kF32 : kBF16;
  const T* h_;
  const T* weight_;
  int64_t width_, vocab_;
  const Rows& rows_;
  float* logits_;
  T* gathered_;  // rows of h, then rows of dh, of a chunk whose rows do not follow one another
  const T* chunk_ = nullptr;
  int64_t begin_ = 0, count_ = 0;
  bool contiguous_ = true;
};

// Zeroes the rows of dh that no chunk writes.
template <typename T, typename Args>
void clearIgnored(const Args& args, T* dh) {
  const auto* targets = static_cast<const int32_t*>(args.targets);
  for (int64_t r = 0; r < args.rows; ++r) {
    if (targets[r] == args.ignoreIndex) std::fill_n(dh + r * args.width, args.width, fromFloat<T>(0));
  }
}

// Replaces a row of logits z (soft-capped) by its share of dz. `softmax` was taken in place unless there is a
// soft cap.
void crossEntropyGradient(const LinearCrossEntropyArgs& args, float scale, Softmax softmax, int64_t target,
                          float* z) {
  const float smoothing = static_cast<float>(args.labelSmoothing), cap = static_cast<float>(args.softcap);
  const float byProbability = scale * (1 + 2 * static_cast<float>(args.zLoss) * softmax.lse);
  const float uniform = scale * smoothing / static_cast<float>(args.vocab), hit = scale * (1 - smoothing);
  if (cap == 0) {
    const float factor = byProbability / softmax.sum;
    for (int64_t j = 0; j < args.vocab; ++j) z[j] = z[j] * factor - uniform;
    z[target] -= hit;
    return;
  }
  const float targetSlope = 1 - z[target] / cap * (z[target] / cap), inverse = 1 / cap;
  for (int64_t j = 0; j < args.vocab; ++j) {
    const float y = z[j] * inverse;
    z[j] = (byProbability * vexp(z[j] - softmax.lse) - uniform) * (1 - y * y);
  }
  z[target] -= hit * targetSlope;
}

template <typename T>
void crossEntropy(const LinearCrossEntropyArgs& args, const Rows& rows) {
  const auto* targets = static_cast<const int32_t*>(args.targets);
  const bool gradients = args.dweight != nullptr;
  const float smoothing = static_cast<float>(args.labelSmoothing), zLoss = static_cast<float>(args.zLoss);
  const float cap = static_cast<float>(args.softcap);
  const double divisor =
      args.normaliser > 0 ? args.normaliser : static_cast<double>(std::max<int64_t>(rows.count, 1));
  const float scale = static_cast<float>(args.factor / divisor);
  float* rowLoss = static_cast<float*>(args.rowLoss);
  if (rowLoss != nullptr) std::fill_n(rowLoss, args.rows, 0.0f);
  if (gradients) clearIgnored(args, static_cast<T*>(args.dh));

  Projection<T> projection(args.h, args.weight, args.width, args.vocab, rows);
  double total = 0;
  if (gradients && rows.count == 0)
    projection.addToWeight(static_cast<float*>(args.dweight), static_cast<float>(args.beta));
  for (int64_t begin = 0; begin < rows.count; begin += rows.chunk) {
    const int64_t count = std::min(rows.chunk, rows.count - begin);
    float* logits = projection.logits(begin, count);
    float* losses = rows.values;
    parallelFor(count, args.vocab * 16, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        float* z = logits + i * args.vocab;
        const int64_t target = targets[rows.index[begin + i]];
        if (cap != 0) {
          for (int64_t j = 0; j < args.vocab; ++j) z[j] = cap * vtanh(z[j] / cap);
        }
        const float hit = z[target],
                    mean = smoothing == 0 ? 0 : sumOf(z, args.vocab) / static_cast<float>(args.vocab);
        const Softmax softmax = cap == 0 ? softmaxOf<true>(z, args.vocab) : softmaxOf<false>(z, args.vocab);
        losses[i] =
            softmax.lse - (1 - smoothing) * hit - smoothing * mean + zLoss * softmax.lse * softmax.lse;
        if (gradients) crossEntropyGradient(args, scale, softmax, target, z);
      }
    });
    for (int64_t i = 0; i < count; ++i) {
      total += losses[i];
      if (rowLoss != nullptr) rowLoss[rows.index[begin + i]] = losses[i];
    }
    if (gradients) {
      projection.backward(static_cast<T*>(args.dh), static_cast<float*>(args.dweight),
                          begin == 0 ? static_cast<float>(args.beta) : 1.0f);
    }
  }
  *static_cast<float*>(args.loss) = static_cast<float>(args.factor * total / divisor);
  if (args.count != nullptr) *static_cast<float*>(args.count) = static_cast<float>(rows.count);
}

template <typename T>
void logProbsForward(const TokenLogProbsForwardArgs& args, const Rows& rows) {
  const auto* targets = static_cast<const int32_t*>(args.targets);
  const float coldness = static_cast<float>(1 / args.temperature);
  float* logp = static_cast<float*>(args.logp);
  float* entropy = static_cast<float*>(args.entropy);
  float* lse = static_cast<float*>(args.lse);
  std::fill_n(logp, args.rows, 0.0f);
  std::fill_n(lse, args.rows, 0.0f);
  if (entropy != nullptr) std::fill_n(entropy, args.rows, 0.0f);
  Projection<T> projection(args.h, args.weight, args.width, args.vocab, rows);
  for (int64_t begin = 0; begin < rows.count; begin += rows.chunk) {
    const int64_t count = std::min(rows.chunk, rows.count - begin);
    float* logits = projection.logits(begin, count);
    parallelFor(count, args.vocab * 16, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        float* z = logits + i * args.vocab;
        const int64_t row = rows.index[begin + i];
        for (int64_t j = 0; j < args.vocab; ++j) z[j] *= coldness;
        const Softmax softmax = softmaxOf<false>(z, args.vocab);
        lse[row] = softmax.lse;
        logp[row] = z[targets[row]] - softmax.lse;
        if (entropy == nullptr) continue;
        // −Σ p ln p with ln p = z − lse, over blocks; p = 0 contributes 0 even where ln p is −∞.
        float lanes[kLanes] = {}, buffer[kBlock];
        for (int64_t at = 0; at < args.vocab; at += kBlock) {
          const int64_t size = std::min(kBlock, args.vocab - at);
          for (int64_t j = 0; j < size; ++j) {
            const float logP = z[at + j] - softmax.lse, p = vexp(logP);
            buffer[j] = p == 0 ? 0 : p * logP;
          }
          addTo(lanes, buffer, size);
        }
        entropy[row] = -sumLanes(lanes);
      }
    });
  }
}

template <typename T>
void logProbsBackward(const TokenLogProbsBackwardArgs& args, const Rows& rows) {
  const auto* targets = static_cast<const int32_t*>(args.targets);
  const float coldness = static_cast<float>(1 / args.temperature);
  const float* lse = static_cast<const float*>(args.lse);
  const float* entropy = static_cast<const float*>(args.entropy);
  const float* dlogp = static_cast<const float*>(args.dlogp);
  const float* dentropy = static_cast<const float*>(args.dentropy);
  clearIgnored(args, static_cast<T*>(args.dh));
  Projection<T> projection(args.h, args.weight, args.width, args.vocab, rows);
  if (rows.count == 0)
    projection.addToWeight(static_cast<float*>(args.dweight), static_cast<float>(args.beta));
  for (int64_t begin = 0; begin < rows.count; begin += rows.chunk) {
    const int64_t count = std::min(rows.chunk, rows.count - begin);
    float* logits = projection.logits(begin, count);
    parallelFor(count, args.vocab * 16, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        float* z = logits + i * args.vocab;
        const int64_t row = rows.index[begin + i];
        const float byLogp = dlogp[row] * coldness,
                    byEntropy = dentropy == nullptr ? 0 : dentropy[row] * coldness;
        const float offset = byEntropy == 0 ? 0 : entropy[row];
        for (int64_t j = 0; j < args.vocab; ++j) {
          const float logP = z[j] * coldness - lse[row], p = vexp(logP);
          z[j] = p == 0 ? 0 : -p * (byLogp + byEntropy * (logP + offset));
        }
        z[targets[row]] += byLogp;
      }
    });
    projection.backward(static_cast<T*>(args.dh), static_cast<float*>(args.dweight),
                        begin == 0 ? static_cast<float>(args.beta) : 1.0f);
  }
}

// Common entry: checks, selects the rows and runs the body for the dtype.
template <typename Args, typename F32Body, typename Bf16Body>
int runLoss(KernelContext* context, const char* kernel, const void* arguments, F32Body f32Body,
            Bf16Body bf16Body) {
  const auto& args = *static_cast<const Args*>(arguments);
  if (args.dtype != kF32 && args.dtype != kBF16) {
    return fail(context, "%s: h and weight are %s; expected f32 or bf16", kernel, dtypeName(args.dtype));
  }
  try {
    Rows rows;
    if (!selectRows(context, kernel, args, &rows)) return 1;
    args.dtype == kF32 ? f32Body(args, rows) : bf16Body(args, rows);
  } catch (const std::exception& error) {
    return fail(context, "%s: %s", kernel, error.what());
  }
  return 0;
}

int linearCrossEntropy(KernelContext* context, const void* args) {
  return runLoss<LinearCrossEntropyArgs>(context, "linearCrossEntropy", args, crossEntropy<float>,
                                         crossEntropy<bf16>);
}

int tokenLogProbsForward(KernelContext* context, const void* args) {
  return runLoss<TokenLogProbsForwardArgs>(context, "tokenLogProbsForward", args, logProbsForward<float>,
                                           logProbsForward<bf16>);
}

int tokenLogProbsBackward(KernelContext* context, const void* args) {
  return runLoss<TokenLogProbsBackwardArgs>(context, "tokenLogProbsBackward", args, logProbsBackward<float>,
                                            logProbsBackward<bf16>);
}

}  // namespace

void registerLoss(Backend& table) {
  table.kernels[kKernel_linearCrossEntropy] = linearCrossEntropy;
  table.kernels[kKernel_tokenLogProbsForward] = tokenLogProbsForward;
  table.kernels[kKernel_tokenLogProbsBackward] = tokenLogProbsBackward;
}

ANNEAL_CPU_NAMESPACE_END
