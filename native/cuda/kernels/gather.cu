// gather.cu — picks and scatters along the middle axis of [outer, n, inner]. Additions to one place keep the
// order of j: each place has one thread, which finds its sources by walking along its line, or in a sorted
// list.
#include "cuda/device_state.h"
#include "cuda/host/grid.h"
#include "cuda/host/rows.h"
#include "cuda/host/scatter.h"
#include "cuda/kernels/sort.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr int kFlight = 4;  // items of a thread in flight

// [outer, n, inner] picked from or added to at [outer, m, inner] indices.
struct Axis {
  int64_t n, m, inner;

  // First element of the line of index `e`: (o, 0, i).
  ANNEAL_DEVICE int64_t lineOf(uint64_t e) const {
    const uint64_t row = inner == 1 ? e : e / static_cast<uint64_t>(inner);
    const int64_t i = static_cast<int64_t>(e) - static_cast<int64_t>(row) * inner;
    return static_cast<int64_t>(row / static_cast<uint64_t>(m)) * n * inner + i;
  }
};

// Floor: bytes of index and out, and a sector of x an element unless neighbours meet, ÷ bandwidth.
template <typename Word>
__global__ void __launch_bounds__(kThreads) gatherKernel(const Word* x, const int32_t* index, Word* out,
                                                         int64_t count, Axis axis, FaultReporter reporter) {
  const int64_t base = int64_t{blockIdx.x} * (kThreads * kFlight) + threadIdx.x;
  int32_t at[kFlight];
  Word value[kFlight];
  for (int k = 0; k < kFlight; ++k)
    at[k] = base + k * int64_t{kThreads} < count ? index[base + k * int64_t{kThreads}] : 0;
  for (int k = 0; k < kFlight; ++k) {
    const int64_t e = base + k * int64_t{kThreads};
    if (e < count && at[k] >= 0 && at[k] < axis.n)
      value[k] = x[axis.lineOf(static_cast<uint64_t>(e)) + at[k] * axis.inner];
  }
  for (int k = 0; k < kFlight; ++k) {
    const int64_t e = base + k * int64_t{kThreads};
    if (e >= count) continue;
    if (at[k] >= 0 && at[k] < axis.n)
      out[e] = value[k];
    else
      reportFault(reporter, kFaultIndex, e, at[k], axis.n);
  }
}

template <typename T>
ANNEAL_DEVICE T added(T place, T value) {
  return fromFloat<T>(toFloat(place) + toFloat(value));
}

// A thread a line (o, i), along j. Floor: bytes of src, index and out ÷ bandwidth.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    walkKernel(const T* src, const int32_t* index, T* out, int64_t lines, Axis axis, FaultReporter reporter) {
  const int64_t line = globalIndex(), inner = axis.inner;
  if (line >= lines) return;
  const int64_t o = line / inner, i = line % inner, first = o * axis.m * inner + i;
  T* places = out + o * axis.n * inner + i;
  for (int64_t j = 0; j < axis.m; j += kFlight) {
    int32_t at[kFlight];
    T value[kFlight];
    for (int k = 0; k < kFlight; ++k) {
      const int64_t e = first + (j + k < axis.m ? j + k : j) * inner;
      at[k] = index[e];
      value[k] = src[e];
    }
    for (int k = 0; k < kFlight; ++k) {
      if (j + k >= axis.m) break;
      if (at[k] < 0 || at[k] >= axis.n) {
        reportFault(reporter, kFaultIndex, first + (j + k) * inner, at[k], axis.n);
        continue;
      }
      T* place = places + at[k] * inner;
      *place = added(*place, value[k]);
    }
  }
}

// Pairs (place, source); an index outside gets the place `places`, which sorts last. Floor: a launch.
__global__ void __launch_bounds__(kThreads) placesKernel(const int32_t* index, Pair* pairs, int64_t count,
                                                         int64_t places, Axis axis, FaultReporter reporter) {
  for (int64_t e = globalIndex(); e < count; e += globalStride()) {
    const int32_t at = index[e];
    const bool bad = at < 0 || at >= axis.n;
    if (bad) reportFault(reporter, kFaultIndex, e, at, axis.n);
    const int64_t place = bad ? places : axis.lineOf(static_cast<uint64_t>(e)) + at * axis.inner;
    store(pairs + e, Pair{{static_cast<uint32_t>(place), static_cast<uint32_t>(e)}});
  }
}

// The thread at the start of a run of equal places adds the run, its sources loaded several at a time. Floor:
// bytes of the pairs, and a sector of src and of out an element ÷ bandwidth.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    addSortedKernel(const T* src, const Pair* pairs, T* out, int64_t count, int64_t places) {
  constexpr int kRun = 8;
  const int64_t start = globalIndex();
  if (start >= count) return;
  const uint32_t place = pairs[start].lane[0];
  if (place >= places || (start > 0 && pairs[start - 1].lane[0] == place)) return;
  T sum = out[place];
  for (int64_t p = start; p < count; p += kRun) {
    Pair held[kRun];
    T value[kRun];
    for (int k = 0; k < kRun; ++k) held[k] = load<Pair>(pairs + (p + k < count ? p + k : p));
    for (int k = 0; k < kRun; ++k) value[k] = held[k].lane[0] == place ? src[held[k].lane[1]] : T{};
    bool ended = false;
    for (int k = 0; k < kRun; ++k) {
      ended = ended || p + k >= count || held[k].lane[0] != place;
      if (!ended) sum = added(sum, value[k]);
    }
    if (ended) break;
  }
  out[place] = sum;
}

template <typename Word>
int gatherOf(KernelContext* context, const GatherArgs& args) {
  const int64_t count = args.outer * args.m * args.inner;
  const unsigned blocks = static_cast<unsigned>(divideUp(count, kThreads * kFlight));
  return launch(context, gatherKernel<Word>, {blocks, kThreads}, static_cast<const Word*>(args.x),
                static_cast<const int32_t*>(args.index), static_cast<Word*>(args.out), count,
                Axis{args.n, args.m, args.inner}, faultReporter(context));
}

int gather(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const GatherArgs*>(raw);
  switch (dtypeSize(args.dtype)) {
    case 1:
      return gatherOf<uint8_t>(context, args);
    case 2:
      return gatherOf<uint16_t>(context, args);
    case 4:
      return gatherOf<uint32_t>(context, args);
    case 8:
      return gatherOf<uint64_t>(context, args);
    default:
      return fail(context, "gather: unknown dtype %lld", static_cast<long long>(args.dtype));
  }
}

template <typename T>
int scatterSorted(KernelContext* context, const ScatterAddArgs& args) {
  const int64_t count = args.outer * args.m * args.inner, places = args.outer * args.n * args.inner;
  const SortPlan plan = planSort(count, places + 1);
  const size_t pairBytes = (static_cast<size_t>(count) * sizeof(Pair) + 255) / 256 * 256;
  auto* scratch = static_cast<unsigned char*>(workspace(context, 2 * pairBytes + plan.countBytes));
  if (scratch == nullptr) return 1;
  Pair* pairs = reinterpret_cast<Pair*>(scratch);
  Pair* spare = reinterpret_cast<Pair*>(scratch + pairBytes);
  auto* counters = reinterpret_cast<uint32_t*>(scratch + 2 * pairBytes);
  const Axis axis{args.n, args.m, args.inner};
  int status =
      launch(context, placesKernel, {gridFor(count, kThreads, processors(context)), kThreads},
             static_cast<const int32_t*>(args.index), pairs, count, places, axis, faultReporter(context));
  if (status != 0) return status;
  Pair* sorted = nullptr;
  if ((status = sortPairs(context, plan, pairs, spare, counters, count, &sorted))) return status;
  const unsigned blocks = static_cast<unsigned>(divideUp(count, kThreads));
  return launch(context, addSortedKernel<T>, {blocks, kThreads}, static_cast<const T*>(args.src), sorted,
                static_cast<T*>(args.out), count, places);
}

template <typename T>
int scatterAddOf(KernelContext* context, const ScatterAddArgs& args) {
  const int64_t lines = args.outer * args.inner;
  if (args.accumulate == 0) {
    const size_t bytes = static_cast<size_t>(lines * args.n) * sizeof(T);
    if (const int status = setBytes(context, args.out, 0, bytes)) return status;
  }
  if (lines == 0 || args.m == 0) return 0;
  if (scatterSorts(args.outer, args.n, args.m, args.inner)) return scatterSorted<T>(context, args);
  return launch(context, walkKernel<T>, {static_cast<unsigned>(divideUp(lines, kThreads)), kThreads},
                static_cast<const T*>(args.src), static_cast<const int32_t*>(args.index),
                static_cast<T*>(args.out), lines, Axis{args.n, args.m, args.inner}, faultReporter(context));
}

int scatterAdd(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const ScatterAddArgs*>(raw);
  if (args.dtype == kF32) return scatterAddOf<float>(context, args);
  if (args.dtype == kBF16) return scatterAddOf<bf16>(context, args);
  return fail(context, "scatterAdd: expected f32 or bf16, got %s", dtypeName(args.dtype));
}

}  // namespace

void registerGather(Backend& table) {
  table.kernels[kKernel_gather] = gather;
  table.kernels[kKernel_scatterAdd] = scatterAdd;
}

}  // namespace anneal::cuda
