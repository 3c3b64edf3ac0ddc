// reduce.cu — folds over the middle axis of [outer, n, inner]. Rows (inner = 1) take a part of a warp, a warp
// or a block; columns lie side by side across a block. An axis that few lines share is cut into pieces, whose
// states a second launch combines in order.
#include "cuda/device/reduce.h"
#include "cuda/device/rows.h"
#include "cuda/device_state.h"
#include "cuda/host/rows.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"

namespace anneal::cuda {
namespace {

// Sums, products and extremes: the state is a number.
template <typename Op, typename Number>
struct Plain {
  using State = Number;
  template <typename T>
  using Out = T;
  static ANNEAL_DEVICE State start() { return Op::template identity<Number>(); }
  static ANNEAL_DEVICE State lift(Number x, int32_t) { return x; }
  static ANNEAL_DEVICE State combine(State a, State b) { return Op{}(a, b); }
  template <typename T>
  static ANNEAL_DEVICE T finish(State state, float factor) {
    if constexpr (std::is_same_v<T, int32_t>)
      return state;
    else
      return fromFloat<T>(state * factor);
  }
};

// Argmax (sign 1) and argmin (−1): the order of the number above, ~index below, so that the largest word is
// the first of the best.
template <int sign>
struct Arg {
  using State = uint64_t;
  template <typename T>
  using Out = int32_t;
  static ANNEAL_DEVICE State start() { return 0; }
  static ANNEAL_DEVICE State lift(float x, int32_t at) {
    return uint64_t{orderOf(sign * x)} << 32 | ~static_cast<uint32_t>(at);
  }
  static ANNEAL_DEVICE State combine(State a, State b) { return a > b ? a : b; }
  template <typename T>
  static ANNEAL_DEVICE int32_t finish(State state, float) {
    return static_cast<int32_t>(~static_cast<uint32_t>(state));
  }
};

struct LogSumExp {
  using State = LogSum;
  template <typename T>
  using Out = T;
  static ANNEAL_DEVICE State start() { return kNoLogSum; }
  static ANNEAL_DEVICE State lift(float x, int32_t) { return {x, 1.0f}; }
  static ANNEAL_DEVICE State combine(State a, State b) { return AddLogSum{}(a, b); }
  template <typename T>
  static ANNEAL_DEVICE T finish(State state, float) {
    return fromFloat<T>(logOf(state));
  }
};

template <typename Fold>
struct CombineOf {
  ANNEAL_DEVICE typename Fold::State operator()(typename Fold::State a, typename Fold::State b) const {
    return Fold::combine(a, b);
  }
};

// Where a block's states go: to the output, or to partial [outer, splits, inner] for finishKernel.
template <typename Fold, typename T>
struct Target {
  typename Fold::template Out<T>* out;
  typename Fold::State* partial;
  int64_t splits, inner;
  float factor;

  ANNEAL_DEVICE void write(int64_t o, int64_t split, int64_t i, typename Fold::State state) const {
    if (splits == 1)
      out[o * inner + i] = Fold::template finish<T>(state, factor);
    else
      partial[(o * splits + split) * inner + i] = state;
  }
};

// Floor: bytes of x ÷ bandwidth.
template <typename Fold, typename T>
__global__ void __launch_bounds__(kRowThreads, 3)
    rowsKernel(const T* x, Target<Fold, T> target, int64_t outer, int64_t n, int64_t chunk, unsigned lanes) {
  using State = typename Fold::State;
  const int64_t o = int64_t{blockIdx.x} * (blockDim.x / lanes) + threadIdx.x / lanes;
  const unsigned lane = threadIdx.x % lanes;
  const int64_t first = blockIdx.y * chunk;
  const int64_t count = o < outer ? (n - first < chunk ? n - first : chunk) : 0;
  State state = foldRow<Fold, T>(x + (o < outer ? o : 0) * n + first, first, count, lane, lanes);
  if (lanes > kWarpSize)
    state = blockReduce(state, CombineOf<Fold>{}, Fold::start(), sharedArena<State>());
  else
    state = warpReduce(state, CombineOf<Fold>{}, lanes);
  if (lane == 0 && o < outer) target.write(o, blockIdx.y, 0, state);
}

// Floor: bytes of x ÷ bandwidth. A thread folds kLanes16 columns: neighbours if rows are made of whole 16
// bytes
// (`whole`), else every across-th. Threads of one column combine through shared memory, by halves.
template <typename Fold, typename T>
__global__ void __launch_bounds__(kRowThreads)
    columnsKernel(const T* x, Target<Fold, T> target, int64_t n, int64_t chunk, unsigned across,
                  int64_t tiles, bool whole) {
  using State = typename Fold::State;
  constexpr int kVec = kLanes16<T>, kFlight = 4;
  const int64_t inner = target.inner, o = blockIdx.x / tiles;
  const unsigned column = threadIdx.x % across, along = blockDim.x / across;
  unsigned line = threadIdx.x / across;
  const int64_t corner = blockIdx.x % tiles * across * kVec;
  const int64_t i0 = corner + column * (whole ? kVec : 1), step = whole ? 1 : across;
  const int64_t begin = blockIdx.y * chunk, end = n < begin + chunk ? n : begin + chunk;
  State state[kVec];
  for (int l = 0; l < kVec; ++l) state[l] = Fold::start();
  const T* from = x + o * n * inner + i0;
  int64_t j = begin + line;
  if (whole) {
    using Vector = Vec<T, kVec>;
    if (i0 < inner) {
      for (; j + (kFlight - 1) * int64_t{along} < end; j += kFlight * int64_t{along}) {
        Vector held[kFlight];
        for (int k = 0; k < kFlight; ++k) held[k] = loadOnce<Vector>(from + (j + k * int64_t{along}) * inner);
        for (int k = 0; k < kFlight; ++k) {
          for (int l = 0; l < kVec; ++l) {
            state[l] = Fold::combine(state[l], Fold::lift(numberOf(held[k].lane[l]),
                                                          static_cast<int32_t>(j + k * int64_t{along})));
          }
        }
      }
      for (; j < end; j += along) {
        const Vector held = loadOnce<Vector>(from + j * inner);
        for (int l = 0; l < kVec; ++l)
          state[l] = Fold::combine(state[l], Fold::lift(numberOf(held.lane[l]), static_cast<int32_t>(j)));
      }
    }
  } else {
    for (; j < end; j += along) {
      T held[kVec];
      for (int l = 0; l < kVec; ++l) held[l] = i0 + l * step < inner ? from[j * inner + l * step] : T{};
      for (int l = 0; l < kVec; ++l)
        state[l] = Fold::combine(state[l], Fold::lift(numberOf(held[l]), static_cast<int32_t>(j)));
    }
  }
  if (along > 1) {
    State* shared = sharedArena<State>();
    for (int l = 0; l < kVec; ++l) shared[l * blockDim.x + threadIdx.x] = state[l];
    for (unsigned half = along / 2; half > 0; half /= 2) {
      syncThreads();
      if (line < half) {
        for (int l = 0; l < kVec; ++l) {
          State* mine = shared + l * blockDim.x + threadIdx.x;
          *mine = Fold::combine(*mine, mine[half * across]);
        }
      }
    }
    for (int l = 0; l < kVec; ++l) state[l] = shared[l * blockDim.x + threadIdx.x];
  }
  if (line != 0) return;
  for (int l = 0; l < kVec; ++l) {
    if (i0 + l * step < inner) target.write(o, blockIdx.y, i0 + l * step, state[l]);
  }
}

// Combines the pieces' states, a warp an output. Floor: a launch.
template <typename Fold, typename T>
__global__ void __launch_bounds__(kRowThreads) finishKernel(Target<Fold, T> target, int64_t outputs) {
  const int64_t at = globalIndex() / kWarpSize;
  if (at >= outputs) return;
  const auto* from = target.partial + at / target.inner * target.splits * target.inner + at % target.inner;
  typename Fold::State state = Fold::start();
  for (int64_t s = laneId(); s < target.splits; s += kWarpSize)
    state = Fold::combine(state, from[s * target.inner]);
  state = warpReduce(state, CombineOf<Fold>{});
  if (laneId() == 0) target.out[at] = Fold::template finish<T>(state, target.factor);
}

template <typename Fold, typename T>
int fold(KernelContext* context, const ReduceArgs& args, float factor = 1.0f) {
  using State = typename Fold::State;
  constexpr int kVec = kLanes16<T>;
  const int64_t outputs = args.outer * args.inner;
  if (outputs == 0) return 0;
  const T* x = static_cast<const T*>(args.x);
  Target<Fold, T> target{static_cast<typename Fold::template Out<T>*>(args.out), nullptr, 1, args.inner,
                         factor};
  const auto partials = [&](int64_t splits) {
    target.splits = splits;
    if (splits > 1) {
      target.partial =
          static_cast<State*>(workspace(context, static_cast<size_t>(outputs * splits) * sizeof(State)));
    }
    return splits == 1 || target.partial != nullptr;
  };
  int status = 0;
  if (args.inner == 1) {
    const RowPlan plan = planRows(args.outer, args.n, kVec);
    if (!partials(plan.splits)) return 1;
    const dim3 grid(static_cast<unsigned>(divideUp(args.outer, plan.rows)),
                    static_cast<unsigned>(plan.splits));
    status = launch(context, rowsKernel<Fold, T>, {grid, kRowThreads, kWarpSize * sizeof(State)}, x, target,
                    args.outer, args.n, plan.chunk, plan.lanes);
  } else {
    const ColumnPlan plan = planColumns(args.outer, args.n, args.inner, kVec);
    if (!partials(plan.splits)) return 1;
    const bool whole = args.inner % kVec == 0 && reinterpret_cast<uintptr_t>(x) % 16 == 0;
    const unsigned threads = plan.across * plan.along;
    const dim3 grid(static_cast<unsigned>(args.outer * plan.tiles), static_cast<unsigned>(plan.splits));
    status = launch(context, columnsKernel<Fold, T>, {grid, threads, threads * kVec * sizeof(State)}, x,
                    target, args.n, plan.chunk, plan.across, plan.tiles, whole);
  }
  if (status != 0 || target.splits == 1) return status;
  const unsigned blocks = static_cast<unsigned>(divideUp(outputs, kRowThreads / kWarpSize));
  return launch(context, finishKernel<Fold, T>, {blocks, kRowThreads}, target, outputs);
}

template <typename T>
int reduceFloat(KernelContext* context, const ReduceArgs& args) {
  switch (args.op) {
    case kReduceSum:
      return fold<Plain<Sum, float>, T>(context, args);
    case kReduceMean:
      // 0·(1/0) is the NaN that an empty mean is.
      return fold<Plain<Sum, float>, T>(context, args, static_cast<float>(1.0 / static_cast<double>(args.n)));
    case kReduceMax:
      return fold<Plain<Maximum, float>, T>(context, args);
    case kReduceMin:
      return fold<Plain<Minimum, float>, T>(context, args);
    case kReduceProd:
      return fold<Plain<Product, float>, T>(context, args);
    case kReduceArgMax:
    case kReduceArgMin:
      if (args.n == 0) return fail(context, "reduce: argmax and argmin need at least one element, got n = 0");
      return args.op == kReduceArgMax ? fold<Arg<1>, T>(context, args) : fold<Arg<-1>, T>(context, args);
    case kReduceLogSumExp:
      return fold<LogSumExp, T>(context, args);
    default:
      return fail(context, "reduce: unknown operation %lld", static_cast<long long>(args.op));
  }
}

int reduce(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const ReduceArgs*>(raw);
  switch (args.dtype) {
    case kF32:
      return reduceFloat<float>(context, args);
    case kBF16:
      return reduceFloat<bf16>(context, args);
    case kI32:
      if (args.op == kReduceSum) return fold<Plain<Sum, int32_t>, int32_t>(context, args);
      if (args.op == kReduceMax) return fold<Plain<Maximum, int32_t>, int32_t>(context, args);
      if (args.op == kReduceMin) return fold<Plain<Minimum, int32_t>, int32_t>(context, args);
      return fail(context, "reduce: operation %lld does not take i32", static_cast<long long>(args.op));
    default:
      return fail(context, "reduce: expected f32, bf16 or i32, got %s", dtypeName(args.dtype));
  }
}

}  // namespace

void registerReduce(Backend& table) { table.kernels[kKernel_reduce] = reduce; }

}  // namespace anneal::cuda
