// balance.cu — the sequence-wise balance loss of DeepSeek-V3 and its gradient. Blocks sum chunks of tokens,
// a warp a token; the chunks of a sequence are then added in order, and the products of all experts.
#include "cuda/device/choice.h"
#include "cuda/device_state.h"
#include "cuda/host/loops.h"
#include "cuda/host/moe_plan.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"

namespace anneal::cuda {
namespace {

struct Balance {
  int64_t length, chunks, chunk;  // tokens of a sequence; chunks of it, and tokens of one
  int experts, steps;             // steps of 32 experts
  int chosen;
  bool softmax, topScores;
  unsigned warpBytes;  // shared memory of a warp
};

// Adds one to the count of each id; the lane id % 32 owns it.
ANNEAL_DEVICE void countIds(const int32_t* ids, int32_t* counts, const Balance& b) {
  for (int base = 0; base < b.chosen; base += 32) {
    const int at = base + static_cast<int>(laneId());
    const int32_t mine = at < b.chosen ? ids[at] : -1;
    const int some = b.chosen - base < 32 ? b.chosen - base : 32;
    for (int k = 0; k < some; ++k) {
      const int32_t id = shuffle(mine, static_cast<unsigned>(k));
      if (id >= 0 && id < b.experts && id % 32 == static_cast<int>(laneId())) ++counts[id];
    }
  }
}

// The chunk's Σ p and choices of every expert: sums and counts [sequences·chunks, E]. Floor: bytes of the
// scores ÷ bandwidth.
template <int held>
__global__ void __launch_bounds__(kMoeThreads)
    chunksKernel(const float* scores, const int32_t* ids, float* sums, int32_t* counts, Balance b) {
  const int lane = static_cast<int>(laneId()), warps = static_cast<int>(blockDim.x / kWarpSize);
  const int stride = static_cast<int>(b.warpBytes / 4), padded = b.steps * 32;
  // Of each warp: sums, counts, and of wide rows scores and keys.
  float* shared = sharedArena<float>();
  float* warpSums = shared + static_cast<int>(warpId()) * stride;
  int32_t* warpCounts = reinterpret_cast<int32_t*>(warpSums + padded);
  Lane<float, held> row(warpSums + 2 * padded, b.steps);
  Lane<uint32_t, held> keys(reinterpret_cast<uint32_t*>(warpSums + 3 * padded), b.steps);
  for (int e = lane; e < padded; e += 32) {
    warpSums[e] = 0.0f;
    warpCounts[e] = 0;
  }
  const int64_t sequence = blockIdx.x / b.chunks, begin = blockIdx.x % b.chunks * b.chunk;
  const int64_t end = b.length < begin + b.chunk ? b.length : begin + b.chunk;
  for (int64_t t = begin + warpId(); t < end; t += warps) {
    const int64_t token = sequence * b.length + t;
    const float* from = scores + token * b.experts;
    float total = 0.0f;
    row.each([&](int i, float& s) {
      s = i * 32 + lane < b.experts ? from[i * 32 + lane] : 0.0f;
      total += s;
    });
    const float scale = b.softmax ? 1.0f : 1.0f / warpReduce(total, Sum{});
    row.each([&](int i, float& s) {
      if (i < b.steps) warpSums[i * 32 + lane] += s * scale;
    });
    if (b.topScores) {
      eachOf(keys, row, [&](int i, uint32_t& key, float& s) {
        key = i * 32 + lane < b.experts ? orderOf(s) : kExcluded;
      });
      takeLargest(keys, b.chosen);
      keys.each([&](int i, uint32_t& key) {
        if (key == kTaken) ++warpCounts[i * 32 + lane];
      });
    } else {
      countIds(ids + token * b.chosen, warpCounts, b);
    }
  }
  syncThreads();
  for (int e = static_cast<int>(threadIdx.x); e < b.experts; e += static_cast<int>(blockDim.x)) {
    float sum = 0.0f;
    int32_t count = 0;
    for (int w = 0; w < warps; ++w) {
      sum += shared[w * stride + e];
      count += reinterpret_cast<const int32_t*>(shared)[w * stride + padded + e];
    }
    const int64_t at = int64_t{blockIdx.x} * b.experts + e;
    sums[at] = sum;
    counts[at] = count;
  }
}

// Joins the chunks of 32 (sequence, expert) pairs a block: means and fractions of `pairs` of them, and Σ of
// their products. Floor: bytes of the partial sums ÷ bandwidth.
__global__ void __launch_bounds__(kMoeThreads)
    joinKernel(const float* sums, const int32_t* counts, float* means, float* fractions, double* products,
               int64_t pairs, Balance b, float perChoice) {
  const int64_t column = threadIdx.x % kJoinItems, piece = threadIdx.x / kJoinItems;
  const int64_t pair = int64_t{blockIdx.x} * kJoinItems + column;
  const int64_t share = (b.chunks + kJoinPieces - 1) / kJoinPieces, begin = piece * share;
  const int64_t end = b.chunks < begin + share ? b.chunks : begin + share;
  float* sharedSums = sharedArena<float>();
  auto* sharedCounts = reinterpret_cast<int32_t*>(sharedSums + kMoeThreads);
  float sum = 0.0f;
  int32_t count = 0;
  if (pair < pairs) {
    const int64_t first = pair / b.experts * b.chunks * b.experts + pair % b.experts;
#pragma unroll 4
    for (int64_t c = begin; c < end; ++c) {
      sum += sums[first + c * b.experts];
      count += counts[first + c * b.experts];
    }
  }
  sharedSums[threadIdx.x] = sum;
  sharedCounts[threadIdx.x] = count;
  syncThreads();
  if (piece != 0) return;
  for (int64_t p = 1; p < kJoinPieces; ++p) {
    sum += sharedSums[p * kJoinItems + column];
    count += sharedCounts[p * kJoinItems + column];
  }
  const float mean = sum / static_cast<float>(b.length), fraction = static_cast<float>(count) * perChoice;
  double product = 0.0;
  if (pair < pairs) {
    means[pair] = mean;
    fractions[pair] = fraction;
    product = static_cast<double>(fraction) * static_cast<double>(mean);
  }
  product = warpReduce(product, Sum{});
  if (column == 0) products[blockIdx.x] = product;
}

// loss = factor·Σ products. Floor: a launch.
__global__ void __launch_bounds__(kMoeThreads)
    lossKernel(const double* products, int64_t count, float* loss, double factor) {
  double sum = 0.0;
  for (int64_t i = threadIdx.x; i < count; i += kMoeThreads) sum += products[i];
  sum = blockReduce(sum, Sum{}, 0.0, sharedArena<double>());
  if (threadIdx.x == 0) *loss = static_cast<float>(factor * sum);
}

// A warp a token; the second pass over its rows meets the cache. Floor: bytes of scores and of dlogits twice
// ÷ bandwidth.
__global__ void __launch_bounds__(kMoeThreads)
    balanceBackwardKernel(const float* scores, const float* fractions, const float* dloss, float* dlogits,
                          int64_t tokens, int64_t experts, Divisor length, bool softmax, double alpha) {
  const int64_t token = int64_t{blockIdx.x} * kMoeWarps + warpId();
  if (token >= tokens) return;
  const int64_t lane = laneId();
  const float* score = scores + token * experts;
  const float* fraction = fractions + quotient(token, length) * experts;
  float* gradient = dlogits + token * experts;
  // Gradient of p_te is this times f_e.
  const float factor = static_cast<float>(static_cast<double>(*dloss) * alpha);
  float inner = 0.0f, total = 0.0f;
#pragma unroll 8
  for (int64_t e = lane; e < experts; e += kWarpSize) {
    const float s = score[e];
    inner = fmaf(fraction[e], s, inner);
    total += s;
  }
  inner = factor * warpReduce(inner, Sum{});
  // p = s/Σs: ds = (dp − Σ dp·p)/Σs.
  const float scale = softmax ? 1.0f : 1.0f / warpReduce(total, Sum{}), mean = inner * scale;
#pragma unroll 8
  for (int64_t e = lane; e < experts; e += kWarpSize) {
    const float s = score[e], slope = softmax ? s : s * (1.0f - s);
    gradient[e] += slope * ((factor * fraction[e] - mean) * scale);
  }
}

int badSequences(KernelContext* context, const char* kernel, int64_t tokens, int64_t sequences) {
  return fail(context, "%s: %lld tokens cannot be divided into %lld sequences of equal length", kernel,
              static_cast<long long>(tokens), static_cast<long long>(sequences));
}

template <int held>
int sumChunks(KernelContext* context, const BalanceLossForwardArgs& args, const Balance& balance,
              unsigned warps, float* sums, int32_t* counts) {
  const unsigned blocks = static_cast<unsigned>(args.sequences * balance.chunks);
  return launch(context, chunksKernel<held>, {blocks, warps * kWarpSize, size_t{warps} * balance.warpBytes},
                static_cast<const float*>(args.scores), static_cast<const int32_t*>(args.ids), sums, counts,
                balance);
}

int sumTokens(KernelContext* context, const BalanceLossForwardArgs& args, const Balance& balance,
              unsigned warps, float* sums, int32_t* counts) {
  switch (heldExperts(args.experts)) {
    case 2:
      return sumChunks<2>(context, args, balance, warps, sums, counts);
    case 8:
      return sumChunks<8>(context, args, balance, warps, sums, counts);
    case 16:
      return sumChunks<16>(context, args, balance, warps, sums, counts);
    default:
      return sumChunks<0>(context, args, balance, warps, sums, counts);
  }
}

int balanceLossForward(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const BalanceLossForwardArgs*>(raw);
  const int64_t experts = args.experts, sequences = args.sequences, pairs = sequences * experts;
  if (sequences < 0 || (sequences == 0 ? args.tokens != 0 : args.tokens % sequences != 0))
    return badSequences(context, "balanceLossForward", args.tokens, sequences);
  if (args.tokens == 0) {
    if (const int status = setBytes(context, args.loss, 0, sizeof(float))) return status;
    return setBytes(context, args.fractions, 0, static_cast<size_t>(pairs) * sizeof(float));
  }
  if (args.chosen < 1 || args.chosen > experts) {
    return fail(context, "balanceLossForward: chosen must lie in 1..experts = %lld, got %lld",
                static_cast<long long>(experts), static_cast<long long>(args.chosen));
  }
  const int64_t room = stateOf(context).facts.sharedBytes;
  const size_t warpBytes = balanceBytes(experts);
  const unsigned warps = warpsOf(warpBytes, room);
  if (warps == 0) {
    return fail(
        context, "balanceLossForward: %lld experts need %lld bytes of shared memory, a block has %lld",
        static_cast<long long>(experts), static_cast<long long>(warpBytes), static_cast<long long>(room));
  }
  const int64_t length = args.tokens / sequences, chunk = balanceChunk(length, sequences);
  const Balance balance{length,
                        divideUp(length, chunk),
                        chunk,
                        static_cast<int>(experts),
                        static_cast<int>(divideUp(experts, 32)),
                        static_cast<int>(args.chosen),
                        args.scoring == kScoreSoftmax,
                        args.counting == kCountTopScores,
                        static_cast<unsigned>(warpBytes)};
  // products [blocks of joinKernel], sums and counts [sequences·chunks, E].
  const int64_t blocks = divideUp(pairs, kJoinItems), partials = pairs * balance.chunks;
  auto* products = static_cast<double*>(
      workspace(context, static_cast<size_t>(blocks) * sizeof(double) + static_cast<size_t>(partials) * 8));
  if (products == nullptr) return 1;
  auto* sums = reinterpret_cast<float*>(products + blocks);
  auto* counts = reinterpret_cast<int32_t*>(sums + partials);
  int status = sumTokens(context, args, balance, warps, sums, counts);
  if (status != 0) return status;
  const float perChoice =
      static_cast<float>(static_cast<double>(experts) / static_cast<double>(args.chosen * length));
  status = launch(context, joinKernel, {static_cast<unsigned>(blocks), kMoeThreads, kMoeThreads * 8}, sums,
                  counts, static_cast<float*>(args.workspace), static_cast<float*>(args.fractions), products,
                  pairs, balance, perChoice);
  if (status != 0) return status;
  return launch(context, lossKernel, {1, kMoeThreads, kWarpSize * sizeof(double)}, products, blocks,
                static_cast<float*>(args.loss), args.alpha / static_cast<double>(sequences));
}

int balanceLossBackward(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const BalanceLossBackwardArgs*>(raw);
  if (args.tokens == 0) return 0;
  if (args.sequences < 1 || args.tokens % args.sequences != 0)
    return badSequences(context, "balanceLossBackward", args.tokens, args.sequences);
  const unsigned blocks = static_cast<unsigned>(divideUp(args.tokens, kMoeWarps));
  return launch(context, balanceBackwardKernel, {blocks, kMoeThreads}, static_cast<const float*>(args.scores),
                static_cast<const float*>(args.fractions), static_cast<const float*>(args.dloss),
                static_cast<float*>(args.dlogits), args.tokens, args.experts,
                divisorOf(args.tokens / args.sequences), args.scoring == kScoreSoftmax,
                args.alpha / static_cast<double>(args.tokens));
}

}  // namespace

void registerBalance(Backend& table) {
  table.kernels[kKernel_balanceLossForward] = balanceLossForward;
  table.kernels[kKernel_balanceLossBackward] = balanceLossBackward;
}

}  // namespace anneal::cuda
