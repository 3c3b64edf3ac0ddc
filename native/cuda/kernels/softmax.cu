// softmax.cu — softmax and log-softmax over contiguous rows, and their gradients. A row stays in registers or
// shared memory between its statistics and its output if it fits there; a row that is all −∞ gives zeros.
#include "cuda/device/reduce.h"
#include "cuda/device_state.h"
#include "cuda/host/softmax.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"
#include "cuda/ptx/cluster.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {
namespace {

// What to subtract before exponentials are taken: nothing from a row that is all −∞.
ANNEAL_DEVICE float shiftOf(float top) { return top == -kInfinity ? 0.0f : top; }

ANNEAL_DEVICE float exponential(float x) { return exp2Approx(x * kLog2e); }

// Reduces over the threads of a row: the block, or a part of a warp.
template <typename State, typename Op>
ANNEAL_DEVICE State rowReduce(State value, Op op, State identity, unsigned lanes) {
  if (lanes > kWarpSize) return blockReduce(value, op, identity, sharedArena<State>());
  return warpReduce(value, op, lanes);
}

// The statistics that outputs need: softmax e^(x − shift)·factor, log-softmax (x − shift) − factor.
struct Statistics {
  float shift, factor;
};

ANNEAL_DEVICE Statistics statisticsOf(LogSum sum, bool log) {
  if (log) return {sum.top, logf(sum.sum)};
  return {shiftOf(sum.top), sum.sum == 0.0f ? 0.0f : 1.0f / sum.sum};
}

ANNEAL_DEVICE float softmaxOf(float x, const Statistics& row, bool log) {
  return log ? (x - row.shift) - row.factor : exponential(x - row.shift) * row.factor;
}

// dx from y and dy; `sum` is Σ dy·y, or Σ dy for log-softmax.
ANNEAL_DEVICE float gradientTerm(float y, float dy, bool log) { return log ? dy : dy * y; }
ANNEAL_DEVICE float gradientOf(float y, float dy, float sum, bool log) {
  return log ? dy - exponential(y) * sum : y * (dy - sum);
}

// Accesses of a row (backward: of each input) in a thread's registers: what fits 64 registers without spills.
template <int vec>
constexpr int kForwardHeld = vec == 1 ? 8 : 32 / vec;
template <int vec>
constexpr int kBackwardHeld = vec == 1 ? 4 : 16 / vec;

// Floor: bytes of x and y ÷ bandwidth; each is moved once. `accesses` of vec elements a row.
template <typename T, int vec>
__global__ void __launch_bounds__(kSoftmaxThreads, 1)
    softmaxKernel(const T* x, T* y, int64_t rows, int64_t n, unsigned accesses, unsigned lanes, bool log) {
  using Vector = Vec<T, vec>;
  constexpr int kHeld = kForwardHeld<vec>;
  const int64_t row = int64_t{blockIdx.x} * (blockDim.x / lanes) + threadIdx.x / lanes;
  const unsigned lane = threadIdx.x % lanes;
  const bool live = row < rows;
  const T* from = x + (live ? row : 0) * n;
  float held[kHeld][vec];
  float top = -kInfinity;
  for (int k = 0; k < kHeld; ++k) {
    const unsigned at = lane + k * lanes;
    if (live && at < accesses) {
      const Vector raw = loadOnce<Vector>(from + int64_t{at} * vec);
      for (int l = 0; l < vec; ++l) held[k][l] = toFloat(raw.lane[l]);
    } else {
      for (int l = 0; l < vec; ++l) held[k][l] = -kInfinity;
    }
  }
  for (int k = 0; k < kHeld; ++k) {
    for (int l = 0; l < vec; ++l) top = maxNan(top, held[k][l]);
  }
  top = rowReduce(top, Maximum{}, -kInfinity, lanes);
  const float shift = shiftOf(top);
  float sum = 0.0f;
  for (int k = 0; k < kHeld; ++k) {
    for (int l = 0; l < vec; ++l) {
      const float e = exponential(held[k][l] - shift);
      sum += e;
      if (!log) held[k][l] = e;
    }
  }
  sum = rowReduce(sum, Sum{}, 0.0f, lanes);
  const Statistics statistics = statisticsOf({top, sum}, log);
  T* to = y + (live ? row : 0) * n;
  for (int k = 0; k < kHeld; ++k) {
    const unsigned at = lane + k * lanes;
    if (!live || at >= accesses) continue;
    Vector raw;
    for (int l = 0; l < vec; ++l) {
      raw.lane[l] = fromFloat<T>(log ? (held[k][l] - statistics.shift) - statistics.factor
                                     : held[k][l] * statistics.factor);
    }
    storeOnce(to + int64_t{at} * vec, raw);
  }
}

// A block's part of a row that registers cannot hold: accesses [begin, end).
struct WidePart {
  int64_t row, begin, end;
};

ANNEAL_DEVICE WidePart widePart(int64_t accesses, int64_t part, unsigned cluster) {
  const int64_t begin = blockIdx.x % cluster * part;
  return {blockIdx.x / cluster, begin, accesses < begin + part ? accesses : begin + part};
}

// The place in shared memory, behind the reductions' scratch, where a part is kept: each thread reads what it
// wrote.
template <typename Vector>
ANNEAL_DEVICE Vector* keptPart() {
  return reinterpret_cast<Vector*>(sharedArena<unsigned char>() + kWideReserved);
}

// Reduces over the row's blocks, in order of rank. Peers may read this block's state until clusterWait() has
// returned: a kernel ends with it if `cluster` > 1.
template <typename State, typename Op>
ANNEAL_DEVICE State wideReduce(State value, Op op, State identity, unsigned cluster) {
  value = blockReduce(value, op, identity, sharedArena<State>());
  if (cluster == 1) return value;
  State* mine = sharedArena<State>();
  if (threadIdx.x == 0) *mine = value;
  clusterSync();
  value = identity;
  for (unsigned rank = 0; rank < cluster; ++rank) {
    value = op(value, loadPeer<State>(peerAddress(sharedAddress(mine), rank)));
  }
  clusterArrive();
  return value;
}

// Accesses of a thread in flight.
template <int vec>
constexpr int kWideFlight = vec == 1 ? 8 : 4;

// The running maximum and sum in one pass over the row. Floor as above if `keep`, else the bytes of x once
// more.
template <typename T, int vec>
__global__ void __launch_bounds__(kWideThreads, 2)
    wideKernel(const T* x, T* y, int64_t n, int64_t accesses, int64_t part, unsigned cluster, bool keep,
               bool log) {
  using Vector = Vec<T, vec>;
  constexpr int kFlight = kWideFlight<vec>;
  const WidePart mine = widePart(accesses, part, cluster);
  const T* from = x + mine.row * n;
  T* to = y + mine.row * n;
  Vector* kept = keptPart<Vector>() - mine.begin;
  LogSum state = kNoLogSum;
  for (int64_t base = mine.begin + threadIdx.x; base < mine.end; base += kFlight * int64_t{kWideThreads}) {
    Vector raw[kFlight];
    for (int k = 0; k < kFlight; ++k) {
      const int64_t at = base + k * int64_t{kWideThreads};
      if (at < mine.end) raw[k] = load<Vector>(from + at * vec);
    }
    for (int k = 0; k < kFlight; ++k) {
      const int64_t at = base + k * int64_t{kWideThreads};
      if (at >= mine.end) continue;
      if (keep) kept[at] = raw[k];
      float top = state.top, sum = 0.0f;
      for (int l = 0; l < vec; ++l) top = maxNan(top, toFloat(raw[k].lane[l]));
      const float shift = shiftOf(top);
      for (int l = 0; l < vec; ++l) sum += exponential(toFloat(raw[k].lane[l]) - shift);
      state = {top, fmaf(state.sum, exponential(state.top - shift), sum)};
    }
  }
  const Statistics statistics = statisticsOf(wideReduce(state, AddLogSum{}, kNoLogSum, cluster), log);
  for (int64_t base = mine.begin + threadIdx.x; base < mine.end; base += kFlight * int64_t{kWideThreads}) {
    Vector raw[kFlight];
    for (int k = 0; k < kFlight; ++k) {
      const int64_t at = base + k * int64_t{kWideThreads};
      if (at < mine.end) raw[k] = keep ? kept[at] : load<Vector>(from + at * vec);
    }
    for (int k = 0; k < kFlight; ++k) {
      const int64_t at = base + k * int64_t{kWideThreads};
      if (at >= mine.end) continue;
      for (int l = 0; l < vec; ++l)
        raw[k].lane[l] = fromFloat<T>(softmaxOf(toFloat(raw[k].lane[l]), statistics, log));
      storeOnce(to + at * vec, raw[k]);
    }
  }
  if (cluster > 1) clusterWait();
}

// Floor: bytes of y, dy and dx ÷ bandwidth; each is moved once.
template <typename T, int vec>
__global__ void __launch_bounds__(kSoftmaxThreads, 1)
    backwardKernel(const T* y, const T* dy, T* dx, int64_t rows, int64_t n, unsigned accesses, unsigned lanes,
                   bool log) {
  using Vector = Vec<T, vec>;
  constexpr int kHeld = kBackwardHeld<vec>;
  const int64_t row = int64_t{blockIdx.x} * (blockDim.x / lanes) + threadIdx.x / lanes;
  const unsigned lane = threadIdx.x % lanes;
  const bool live = row < rows;
  const int64_t start = (live ? row : 0) * n;
  Vector output[kHeld], gradient[kHeld];
  for (int k = 0; k < kHeld; ++k) {
    const unsigned at = lane + k * lanes;
    if (!live || at >= accesses) continue;
    output[k] = loadOnce<Vector>(y + start + int64_t{at} * vec);
    gradient[k] = loadOnce<Vector>(dy + start + int64_t{at} * vec);
  }
  float sum = 0.0f;
  for (int k = 0; k < kHeld; ++k) {
    if (!live || lane + k * lanes >= accesses) continue;
    for (int l = 0; l < vec; ++l)
      sum += gradientTerm(toFloat(output[k].lane[l]), toFloat(gradient[k].lane[l]), log);
  }
  sum = rowReduce(sum, Sum{}, 0.0f, lanes);
  for (int k = 0; k < kHeld; ++k) {
    const unsigned at = lane + k * lanes;
    if (!live || at >= accesses) continue;
    for (int l = 0; l < vec; ++l) {
      gradient[k].lane[l] =
          fromFloat<T>(gradientOf(toFloat(output[k].lane[l]), toFloat(gradient[k].lane[l]), sum, log));
    }
    storeOnce(dx + start + int64_t{at} * vec, gradient[k]);
  }
}

// Floor as above if `keep`, else the bytes of y and dy once more.
template <typename T, int vec>
__global__ void __launch_bounds__(kWideThreads, 2)
    wideBackwardKernel(const T* y, const T* dy, T* dx, int64_t n, int64_t accesses, int64_t part,
                       unsigned cluster, bool keep, bool log) {
  using Vector = Vec<T, vec>;
  constexpr int kFlight = kWideFlight<vec> / 2;
  const WidePart mine = widePart(accesses, part, cluster);
  const int64_t start = mine.row * n;
  Vector* keptOutput = keptPart<Vector>() - mine.begin;
  Vector* keptGradient = keptOutput + part;
  float sum = 0.0f;
  for (int64_t base = mine.begin + threadIdx.x; base < mine.end; base += kFlight * int64_t{kWideThreads}) {
    Vector output[kFlight], gradient[kFlight];
    for (int k = 0; k < kFlight; ++k) {
      const int64_t at = base + k * int64_t{kWideThreads};
      if (at >= mine.end) continue;
      output[k] = load<Vector>(y + start + at * vec);
      gradient[k] = load<Vector>(dy + start + at * vec);
    }
    for (int k = 0; k < kFlight; ++k) {
      const int64_t at = base + k * int64_t{kWideThreads};
      if (at >= mine.end) continue;
      if (keep) {
        keptOutput[at] = output[k];
        keptGradient[at] = gradient[k];
      }
      float terms = 0.0f;
      for (int l = 0; l < vec; ++l)
        terms += gradientTerm(toFloat(output[k].lane[l]), toFloat(gradient[k].lane[l]), log);
      sum += terms;
    }
  }
  sum = wideReduce(sum, Sum{}, 0.0f, cluster);
  for (int64_t base = mine.begin + threadIdx.x; base < mine.end; base += kFlight * int64_t{kWideThreads}) {
    Vector output[kFlight], gradient[kFlight];
    for (int k = 0; k < kFlight; ++k) {
      const int64_t at = base + k * int64_t{kWideThreads};
      if (at >= mine.end) continue;
      output[k] = keep ? keptOutput[at] : load<Vector>(y + start + at * vec);
      gradient[k] = keep ? keptGradient[at] : load<Vector>(dy + start + at * vec);
    }
    for (int k = 0; k < kFlight; ++k) {
      const int64_t at = base + k * int64_t{kWideThreads};
      if (at >= mine.end) continue;
      for (int l = 0; l < vec; ++l) {
        gradient[k].lane[l] =
            fromFloat<T>(gradientOf(toFloat(output[k].lane[l]), toFloat(gradient[k].lane[l]), sum, log));
      }
      storeOnce(dx + start + at * vec, gradient[k]);
    }
  }
  if (cluster > 1) clusterWait();
}

// True if rows of n elements at all of these addresses consist of whole 16 bytes.
template <typename T, typename... Pointers>
bool wholeRows(int64_t n, Pointers... pointers) {
  return n % kLanes16<T> == 0 && (... && (reinterpret_cast<uintptr_t>(pointers) % 16 == 0));
}

// How a call with `inputs` inputs is launched.
template <typename T, int vec>
SoftmaxPlan planOf(KernelContext* context, int64_t n, int64_t held, int64_t inputs) {
  const DeviceFacts& facts = stateOf(context).facts;
  const int64_t accessBytes = inputs * vec * static_cast<int64_t>(sizeof(T));
  return planSoftmax(n / vec, held, accessBytes, facts.sharedBytes, facts.computeCapability);
}

LaunchShape shapeOf(const SoftmaxPlan& plan, int64_t rows) {
  const int64_t blocks = plan.registers ? divideUp(rows, plan.threads / plan.lanes) : rows * plan.cluster;
  return {static_cast<unsigned>(blocks), plan.threads, static_cast<size_t>(kWideReserved + plan.kept),
          plan.cluster};
}

template <typename T, int vec>
int forward(KernelContext* context, const SoftmaxArgs& args) {
  const T* x = static_cast<const T*>(args.x);
  T* y = static_cast<T*>(args.y);
  const int64_t accesses = args.n / vec;
  const SoftmaxPlan plan = planOf<T, vec>(context, args.n, kForwardHeld<vec>, 1);
  const LaunchShape shape = shapeOf(plan, args.rows);
  if (plan.registers) {
    return launch(context, softmaxKernel<T, vec>, shape, x, y, args.rows, args.n,
                  static_cast<unsigned>(accesses), plan.lanes, args.log != 0);
  }
  return launch(context, wideKernel<T, vec>, shape, x, y, args.n, accesses, plan.part, plan.cluster,
                plan.kept != 0, args.log != 0);
}

template <typename T, int vec>
int backward(KernelContext* context, const SoftmaxBackwardArgs& args) {
  const T* y = static_cast<const T*>(args.y);
  const T* dy = static_cast<const T*>(args.dy);
  T* dx = static_cast<T*>(args.dx);
  const int64_t accesses = args.n / vec;
  const SoftmaxPlan plan = planOf<T, vec>(context, args.n, kBackwardHeld<vec>, 2);
  const LaunchShape shape = shapeOf(plan, args.rows);
  if (plan.registers) {
    return launch(context, backwardKernel<T, vec>, shape, y, dy, dx, args.rows, args.n,
                  static_cast<unsigned>(accesses), plan.lanes, args.log != 0);
  }
  return launch(context, wideBackwardKernel<T, vec>, shape, y, dy, dx, args.n, accesses, plan.part,
                plan.cluster, plan.kept != 0, args.log != 0);
}

template <typename T>
int softmaxOf(KernelContext* context, const SoftmaxArgs& args) {
  if (args.rows == 0 || args.n == 0) return 0;
  if (wholeRows<T>(args.n, args.x, args.y)) return forward<T, kLanes16<T>>(context, args);
  return forward<T, 1>(context, args);
}

template <typename T>
int softmaxBackwardOf(KernelContext* context, const SoftmaxBackwardArgs& args) {
  if (args.rows == 0 || args.n == 0) return 0;
  if (wholeRows<T>(args.n, args.y, args.dy, args.dx)) return backward<T, kLanes16<T>>(context, args);
  return backward<T, 1>(context, args);
}

int softmax(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const SoftmaxArgs*>(raw);
  if (args.dtype == kF32) return softmaxOf<float>(context, args);
  if (args.dtype == kBF16) return softmaxOf<bf16>(context, args);
  return fail(context, "softmax: expected f32 or bf16, got %s", dtypeName(args.dtype));
}

int softmaxBackward(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const SoftmaxBackwardArgs*>(raw);
  if (args.dtype == kF32) return softmaxBackwardOf<float>(context, args);
  if (args.dtype == kBF16) return softmaxBackwardOf<bf16>(context, args);
  return fail(context, "softmaxBackward: expected f32 or bf16, got %s", dtypeName(args.dtype));
}

}  // namespace

void registerSoftmax(Backend& table) {
  table.kernels[kKernel_softmax] = softmax;
  table.kernels[kKernel_softmaxBackward] = softmaxBackward;
}

}  // namespace anneal::cuda
