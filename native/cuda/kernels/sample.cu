// sample.cu — draws one id per row of logits, a block a row. Probabilities are double and every sum has a
// fixed order, so that the same Philox word gives the same id as on the CPU. Top-k and top-p find their last
// logit by selection, four bits of its order at a time, instead of sorting; the draw narrows the range of ids
// 32-fold at a time.
#include "core/philox.h"
#include "cuda/device/rows.h"
#include "cuda/device/scan.h"
#include "cuda/device_state.h"
#include "cuda/host/sample.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"

namespace anneal::cuda {
namespace {

// Bits of a logit's order: bf16 has only the upper half.
template <typename T>
constexpr int kOrderBits = 8 * sizeof(T);

template <typename T>
ANNEAL_DEVICE uint32_t logitOrder(float logit) {
  return orderOf(logit) >> (32 - kOrderBits<T>);
}

// The logit of an order.
template <typename T>
ANNEAL_DEVICE float logitOf(uint32_t order) {
  const uint32_t low = (uint64_t{1} << (32 - kOrderBits<T>)) - 1;
  const bool negative = order >> (kOrderBits<T> - 1) == 0;
  const uint32_t full =
      static_cast<uint32_t>(uint64_t{order} << (32 - kOrderBits<T>)) | (negative ? low : 0u);
  return asFloat(negative ? ~full : full ^ 0x80000000u);
}

// One row and what the filters keep of it.
template <typename T>
struct Row {
  const T* logits;
  int64_t n;
  double scale;  // 1 / temperature
  double top;    // the largest logit, scaled
  double minP;
  uint32_t least;  // order of the last logit that top-k and top-p keep
  int64_t limit;   // of the tokens at `least`, those with smaller ids are kept

  // e^(z − top), unfiltered.
  ANNEAL_DEVICE double mass(float logit) const { return exp(static_cast<double>(logit) * scale - top); }
  ANNEAL_DEVICE double kept(float logit, int64_t id) const {
    const uint32_t order = logitOrder<T>(logit);
    if (order < least || (order == least && id >= limit)) return 0.0;
    const double p = mass(logit);
    return minP > 0.0 && !(p >= minP) ? 0.0 : p;
  }
};

// The block's shared memory.
struct Shared {
  double* sums;     // kSamplePieces
  double* scratch;  // kWarpSize
  double* bins;     // kSampleBins rows of a number a thread
};

ANNEAL_DEVICE Shared sharedOf() {
  double* arena = sharedArena<double>();
  return {arena, arena + kSamplePieces, arena + 2 * kSamplePieces};
}

// Calls body(logit, id) for ids begin + lane, begin + lane + lanes, … below end; several loads in flight.
template <typename T, typename Body>
ANNEAL_DEVICE void forLogits(const T* logits, int64_t begin, int64_t end, unsigned lane, unsigned lanes,
                             const Body& body) {
  constexpr int kFlight = 8;
  for (int64_t i = begin + lane; i < end; i += kFlight * int64_t{lanes}) {
    T held[kFlight];
    for (int k = 0; k < kFlight; ++k)
      held[k] = i + k * int64_t{lanes} < end ? logits[i + k * int64_t{lanes}] : T{};
    for (int k = 0; k < kFlight; ++k) {
      if (i + k * int64_t{lanes} < end) body(toFloat(held[k]), i + k * int64_t{lanes});
    }
  }
}

// Σ e^(z − top) over the row.
template <typename T>
ANNEAL_DEVICE double massOf(const Row<T>& row, const Shared& shared) {
  double sum = 0.0;
  forLogits(row.logits, 0, row.n, threadIdx.x, blockDim.x,
            [&](float logit, int64_t) { sum += row.mass(logit); });
  return blockReduce(sum, Sum{}, 0.0, shared.scratch);
}

// Where a cumulative weight, from the largest logit down, reaches a target.
struct Cut {
  uint32_t order;  // the last order that has less than the target above it; the largest always counts
  double above;    // weight of the larger ones
  double at;       // weight of the tokens of this order
  double target;
  double total;
};

// weight(logit): not negative, equal for equal logits. The target is `share`, or that part of the total
// weight.
template <typename T, typename Weight>
ANNEAL_DEVICE Cut select(const Row<T>& row, const Shared& shared, double share, bool ofTotal,
                         const Weight& weight) {
  Cut cut{0, 0.0, 0.0, share, 0.0};
  const unsigned threads = blockDim.x;
  for (int shift = kOrderBits<T> - 4; shift >= 0; shift -= 4) {
    const bool first = shift == kOrderBits<T> - 4;
    double* mine = shared.bins + threadIdx.x;
    for (unsigned b = 0; b < kSampleBins; ++b) mine[b * threads] = 0.0;
    forLogits(row.logits, 0, row.n, threadIdx.x, threads, [&](float logit, int64_t) {
      const uint32_t order = logitOrder<T>(logit);
      if (first || order >> (shift + 4) == cut.order) mine[(order >> shift & 15u) * threads] += weight(logit);
    });
    syncThreads();
    // threads / kSampleBins neighbours share a bin.
    const unsigned team = threads / kSampleBins, bin = threadIdx.x / team;
    double sum = 0.0;
    for (unsigned t = threadIdx.x % team; t < threads; t += team) sum += shared.bins[bin * threads + t];
    sum = warpReduce(sum, Sum{}, team);
    if (threadIdx.x % team == 0) shared.sums[bin] = sum;
    syncThreads();
    if (first) {
      for (unsigned b = 0; b < kSampleBins; ++b) cut.total += shared.sums[b];
      if (ofTotal) cut.target = share * cut.total;
    }
    double running = cut.above;
    bool found = false;
    uint32_t digit = 0;
    for (unsigned b = kSampleBins; b-- > 0;) {
      const double weightOfBin = shared.sums[b];
      if (weightOfBin > 0.0 && (!found || running < cut.target)) {
        found = true;
        digit = b;
        cut.above = running;
        cut.at = weightOfBin;
      }
      running += weightOfBin;
    }
    cut.order = cut.order << 4 | digit;
    syncThreads();
  }
  return cut;
}

// The first id, ascending, whose cumulative weight exceeds the target (`share`, or that part of the total
// weight); the last that has any weight if rounding leaves none, 0 if there is no weight. *total: the weight
// of the row.
template <typename T, typename Weight>
ANNEAL_DEVICE int64_t locate(const Row<T>& row, const Shared& shared, double share, bool ofTotal,
                             double* total, const Weight& weight) {
  int64_t begin = 0, end = row.n;
  double before = 0.0, target = share;
  for (bool first = true;; first = false) {
    const int64_t pieces = (end - begin + kSamplePieces - 1) / kSamplePieces;
    const int64_t piece = (pieces + kWarpSize - 1) / kWarpSize * kWarpSize;
    for (unsigned p = warpId(); p < kSamplePieces; p += blockDim.x / kWarpSize) {
      const int64_t from = begin + p * piece, to = from + piece < end ? from + piece : end;
      double sum = 0.0;
      forLogits(row.logits, from, to, laneId(), kWarpSize,
                [&](float logit, int64_t id) { sum += weight(logit, id); });
      if (from < to) sum = warpReduce(sum, Sum{});
      if (laneId() == 0) shared.sums[p] = sum;
    }
    syncThreads();
    if (first) {
      double all = 0.0;
      for (unsigned p = 0; p < kSamplePieces; ++p) all += shared.sums[p];
      *total = all;
      if (ofTotal) target = share * all;
    }
    int chosen = -1;
    double running = before;
    for (unsigned p = 0; p < kSamplePieces; ++p) {
      const double sum = shared.sums[p];
      if (!(sum > 0.0)) continue;
      chosen = static_cast<int>(p);
      before = running;
      running += sum;
      if (running > target) break;
    }
    syncThreads();
    if (chosen < 0) return 0;
    begin += chosen * piece;
    end = begin + piece < end ? begin + piece : end;
    if (piece == kWarpSize) break;
  }
  // Every warp looks at the last 32 ids.
  const int64_t id = begin + laneId();
  const double value = id < end ? weight(toFloat(row.logits[id]), id) : 0.0;
  const double running = before + warpScan(value);
  const uint32_t some = ballot(value > 0.0), over = ballot(value > 0.0 && running > target);
  if (over != 0) return begin + firstBit(over) - 1;
  int last = 0;
  for (unsigned lane = 0; lane < kWarpSize; ++lane) last = some >> lane & 1u ? static_cast<int>(lane) : last;
  return begin + last;
}

// Applies top-p: tokens of the last order are kept in order of id while the mass before them is below the
// target.
template <typename T>
ANNEAL_DEVICE void applyTopP(Row<T>& row, const Shared& shared, const Cut& cut) {
  const double each = row.mass(logitOf<T>(cut.order)), wanted = ceil((cut.target - cut.above) / each);
  const double ties = wanted > 1.0 ? wanted : 1.0;
  int64_t limit = row.n;
  if (ties * each < cut.at) {
    double unused;
    limit = 1 + locate(row, shared, ties - 1.0, false, &unused,
                       [&](float logit, int64_t) { return logitOrder<T>(logit) == cut.order ? 1.0 : 0.0; });
  }
  row.least = cut.order;
  row.limit = limit;
}

// Floor: vocab exponentials in double ÷ FP64 rate of one multiprocessor a row; bytes of logits ÷ bandwidth.
template <typename T>
__global__ void __launch_bounds__(kSampleMostThreads, 1)
    sampleKernel(SampleArgs args, FaultReporter reporter) {
  const Shared shared = sharedOf();
  const int64_t r = blockIdx.x, n = args.vocab;
  const T* logits = static_cast<const T*>(args.logits) + r * n;
  uint64_t best = 0;
  forLogits(logits, 0, n, threadIdx.x, blockDim.x, [&](float logit, int64_t id) {
    const uint64_t word = uint64_t{orderOf(logit)} << 32 | ~static_cast<uint32_t>(id);
    best = word > best ? word : best;
  });
  best = blockReduce(
      best, [](uint64_t a, uint64_t b) { return a > b ? a : b; }, uint64_t{0},
      reinterpret_cast<uint64_t*>(shared.scratch));
  int64_t id = static_cast<int64_t>(~static_cast<uint32_t>(best));
  const bool draws = args.temperature != 0.0;
  const double scale = draws ? 1.0 / args.temperature : 1.0;
  Row<T> row{logits, n, scale, static_cast<double>(toFloat(logits[id])) * scale, args.minP, 0, n};
  // Mass of the whole row, for the log-probability; negative while no pass has given it.
  double whole = -1.0;
  if (draws) {
    if (!(row.top - row.top == 0.0)) {
      if (threadIdx.x == 0) reportFault(reporter, kFaultLogits, r, 0, 0);
      return;
    }
    const bool topK = args.topK > 0 && args.topK < n, topP = args.topP < 1.0;
    if (topK) {
      row.least = select(row, shared, static_cast<double>(args.topK), false, [](float) { return 1.0; }).order;
    }
    if (topP) {
      const Cut cut = select(row, shared, args.topP, true, [&](float logit) {
        return logitOrder<T>(logit) < row.least ? 0.0 : row.mass(logit);
      });
      if (!topK) whole = cut.total;
      applyTopP(row, shared, cut);
    }
    const PhiloxBlock words = philox(static_cast<uint64_t>(args.seed), static_cast<uint64_t>(r),
                                     static_cast<uint64_t>(args.offset));
    const double u = static_cast<double>(words.word[0] >> 8) * 0x1p-24;
    double total;
    id = locate(row, shared, u, true, &total,
                [&](float logit, int64_t token) { return row.kept(logit, token); });
    if (!topK && !topP && !(args.minP > 0.0)) whole = total;
  }
  if (threadIdx.x == 0) static_cast<int32_t*>(args.ids)[r] = static_cast<int32_t>(id);
  if (args.logp == nullptr) return;
  if (whole < 0.0) whole = massOf(row, shared);
  if (threadIdx.x == 0) {
    const double z = static_cast<double>(toFloat(logits[id])) * scale;
    static_cast<float*>(args.logp)[r] = static_cast<float>(z - (row.top + log(whole)));
  }
}

template <typename T>
int sampleOf(KernelContext* context, const SampleArgs& args) {
  const unsigned threads = sampleThreads(args.vocab);
  const bool selects =
      args.temperature != 0.0 && ((args.topK > 0 && args.topK < args.vocab) || args.topP < 1.0);
  return launch(context, sampleKernel<T>,
                {static_cast<unsigned>(args.rows), threads, sampleShared(threads, selects)}, args,
                faultReporter(context));
}

int sample(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const SampleArgs*>(raw);
  if (args.rows > 0 && args.vocab <= 0) return fail(context, "sample: the vocabulary is empty");
  if (!(args.temperature >= 0.0))
    return fail(context, "sample: temperature must be >= 0, got %g", args.temperature);
  if (args.dtype == kF32) return sampleOf<float>(context, args);
  if (args.dtype == kBF16) return sampleOf<bf16>(context, args);
  return fail(context, "sample: expected f32 or bf16, got %s", dtypeName(args.dtype));
}

}  // namespace

void registerSample(Backend& table) { table.kernels[kKernel_sample] = sample; }

}  // namespace anneal::cuda
