// scan.cu — running sums along the middle axis of [outer, n, inner]. Where few lines share a long axis, a
// first launch sums its pieces, and each block of the second starts from the sum of the pieces before its
// own.
#include "cuda/device/rows.h"
#include "cuda/device/scan.h"
#include "cuda/device_state.h"
#include "cuda/host/rows.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"

namespace anneal::cuda {
namespace {

template <typename T>
using NumberOf = std::conditional_t<std::is_same_v<T, int32_t>, int32_t, float>;

template <typename T>
ANNEAL_DEVICE T stored(NumberOf<T> value) {
  if constexpr (std::is_same_v<T, int32_t>)
    return value;
  else
    return fromFloat<T>(value);
}

template <typename T>
struct SumFold {
  using State = NumberOf<T>;
  static ANNEAL_DEVICE State start() { return State{0}; }
  static ANNEAL_DEVICE State lift(State x, int32_t) { return x; }
  static ANNEAL_DEVICE State combine(State a, State b) { return Sum{}(a, b); }
};

// x and y [outer, n, inner]; positions count from the end if reverse. sums [outer, splits, inner]: of each
// piece of `chunk` positions; null if there is one piece.
template <typename T>
struct Lines {
  const T* x;
  T* y;
  NumberOf<T>* sums;
  int64_t outer, n, inner, splits, chunk;
  bool reverse;
};

// Sum of each piece of each row. Floor: bytes of x ÷ bandwidth.
template <typename T>
__global__ void __launch_bounds__(kRowThreads) rowSumsKernel(Lines<T> lines) {
  using Number = NumberOf<T>;
  const int64_t first = blockIdx.y * lines.chunk;
  const int64_t count = lines.n - first < lines.chunk ? lines.n - first : lines.chunk;
  const T* row = lines.x + blockIdx.x * lines.n + (lines.reverse ? lines.n - first - count : first);
  Number sum = foldRow<SumFold<T>, T>(row, 0, count, threadIdx.x, blockDim.x);
  sum = blockReduce(sum, Sum{}, Number{0}, sharedArena<Number>());
  if (threadIdx.x == 0) lines.sums[blockIdx.x * lines.splits + blockIdx.y] = sum;
}

// Rows, inner = 1; a thread takes 16 bytes of neighbours at a time, in one access if `whole`. Floor: bytes of
// x and y ÷ bandwidth.
template <typename T>
__global__ void __launch_bounds__(kRowThreads) scanRowsKernel(Lines<T> lines, unsigned lanes, bool whole) {
  using Number = NumberOf<T>;
  constexpr int kVec = kLanes16<T>;
  using Vector = Vec<T, kVec>;
  const int64_t n = lines.n;
  const int64_t o = int64_t{blockIdx.x} * (blockDim.x / lanes) + threadIdx.x / lanes;
  const unsigned lane = threadIdx.x % lanes;
  const int64_t first = blockIdx.y * lines.chunk;
  const int64_t count = n - first < lines.chunk ? n - first : lines.chunk;
  const bool live = o < lines.outer, reverse = lines.reverse;
  const T* x = lines.x + (live ? o : 0) * n;
  T* y = lines.y + (live ? o : 0) * n;
  Number* scratch = sharedArena<Number>();
  Number carry{0};
  if (lines.sums != nullptr) {
    for (unsigned s = lane; s < blockIdx.y; s += lanes)
      carry = Sum{}(carry, lines.sums[o * lines.splits + s]);
    carry = blockReduce(carry, Sum{}, Number{0}, scratch);
  }
  for (int64_t tile = 0; tile < count; tile += int64_t{lanes} * kVec) {
    const int64_t offset = tile + int64_t{lane} * kVec, at = first + offset;
    const int64_t valid = live && offset < count ? count - offset : 0;
    const bool vector = whole && valid >= kVec;
    const int64_t low = reverse ? n - at - kVec : at;
    Number value[kVec];
    if (vector) {
      const Vector held = loadOnce<Vector>(x + low);
      for (int l = 0; l < kVec; ++l) value[l] = numberOf(reverse ? held.lane[kVec - 1 - l] : held.lane[l]);
    } else {
      for (int l = 0; l < kVec; ++l)
        value[l] = l < valid ? numberOf(x[reverse ? n - 1 - at - l : at + l]) : Number{0};
    }
    for (int l = 1; l < kVec; ++l) value[l] = Sum{}(value[l - 1], value[l]);
    const Scanned<Number> scanned = groupScan(value[kVec - 1], lanes, scratch);
    const Number before = Sum{}(carry, scanned.before);
    if (vector) {
      Vector held;
      for (int l = 0; l < kVec; ++l) {
        const T low16 = stored<T>(Sum{}(before, value[l])),
                high16 = stored<T>(Sum{}(before, value[kVec - 1 - l]));
        held.lane[l] = reverse ? high16 : low16;
      }
      store(y + low, held);
    } else {
      for (int l = 0; l < kVec; ++l) {
        if (l < valid) y[reverse ? n - 1 - at - l : at + l] = stored<T>(Sum{}(before, value[l]));
      }
    }
    carry = Sum{}(carry, scanned.total);
  }
}

// Columns, inner > 1: a thread walks along one piece of one column, several loads in flight; last = false
// only sums it. Floor: bytes of x (and y) ÷ bandwidth.
template <typename T>
__global__ void __launch_bounds__(kRowThreads) scanColumnsKernel(Lines<T> lines, bool last) {
  using Number = NumberOf<T>;
  constexpr int kFlight = 8;
  const int64_t line = globalIndex(), inner = lines.inner, n = lines.n;
  if (line >= lines.outer * lines.splits * inner) return;
  const int64_t i = line % inner, split = line / inner % lines.splits, o = line / inner / lines.splits;
  const int64_t first = split * lines.chunk;
  const int64_t count = n - first < lines.chunk ? n - first : lines.chunk;
  const int64_t origin = (o * n + (lines.reverse ? n - 1 - first : first)) * inner + i;
  const int64_t step = lines.reverse ? -inner : inner;
  Number sum{0};
  if (last && lines.sums != nullptr) {
    for (int64_t s = 0; s < split; ++s) sum = Sum{}(sum, lines.sums[(o * lines.splits + s) * inner + i]);
  }
  for (int64_t j = 0; j < count; j += kFlight) {
    T held[kFlight];
    for (int k = 0; k < kFlight; ++k) held[k] = j + k < count ? lines.x[origin + (j + k) * step] : T{};
    for (int k = 0; k < kFlight; ++k) {
      sum = Sum{}(sum, numberOf(held[k]));
      if (last && j + k < count) lines.y[origin + (j + k) * step] = stored<T>(sum);
    }
  }
  if (!last) lines.sums[line] = sum;
}

template <typename T>
int cumsumOf(KernelContext* context, const CumsumArgs& args) {
  using Number = NumberOf<T>;
  constexpr int kVec = kLanes16<T>;
  Lines<T> lines{static_cast<const T*>(args.x),
                 static_cast<T*>(args.y),
                 nullptr,
                 args.outer,
                 args.n,
                 args.inner,
                 1,
                 args.n,
                 args.reverse != 0};
  if (args.outer * args.n * args.inner == 0) return 0;
  const RowPlan rows = planRows(args.outer, args.n, kVec);
  const LinePlan columns = planLines(args.outer * args.inner, args.n);
  lines.splits = args.inner == 1 ? rows.splits : columns.splits;
  lines.chunk = args.inner == 1 ? rows.chunk : columns.chunk;
  if (lines.splits > 1) {
    const size_t bytes = static_cast<size_t>(args.outer * lines.splits * args.inner) * sizeof(Number);
    lines.sums = static_cast<Number*>(workspace(context, bytes));
    if (lines.sums == nullptr) return 1;
  }
  const unsigned splits = static_cast<unsigned>(lines.splits);
  const size_t scratch = kWarpSize * sizeof(Number);
  if (args.inner == 1) {
    if (splits > 1) {
      const dim3 grid(static_cast<unsigned>(args.outer), splits);
      if (const int status = launch(context, rowSumsKernel<T>, {grid, kRowThreads, scratch}, lines))
        return status;
    }
    const bool whole = args.n % kVec == 0 && reinterpret_cast<uintptr_t>(args.x) % 16 == 0 &&
                       reinterpret_cast<uintptr_t>(args.y) % 16 == 0;
    const dim3 grid(static_cast<unsigned>(divideUp(args.outer, rows.rows)), splits);
    return launch(context, scanRowsKernel<T>, {grid, kRowThreads, scratch}, lines, rows.lanes, whole);
  }
  const unsigned blocks =
      static_cast<unsigned>(divideUp(args.outer * lines.splits * args.inner, kRowThreads));
  if (splits > 1) {
    const int status = launch(context, scanColumnsKernel<T>, {blocks, kRowThreads}, lines, false);
    if (status != 0) return status;
  }
  return launch(context, scanColumnsKernel<T>, {blocks, kRowThreads}, lines, true);
}

int cumsum(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const CumsumArgs*>(raw);
  switch (args.dtype) {
    case kF32:
      return cumsumOf<float>(context, args);
    case kBF16:
      return cumsumOf<bf16>(context, args);
    case kI32:
      return cumsumOf<int32_t>(context, args);
    default:
      return fail(context, "cumsum: expected f32, bf16 or i32, got %s", dtypeName(args.dtype));
  }
}

}  // namespace

void registerScan(Backend& table) { table.kernels[kKernel_cumsum] = cumsum; }

}  // namespace anneal::cuda
