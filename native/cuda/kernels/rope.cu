// rope.cu — the rotary position embedding, forward and inverse, in halves and interleaved layouts. A thread
// takes N pairs of one head: in halves these are two items of N channels half a rotation apart, interleaved
// two adjacent ones; N channels fill 16 bytes, or N = 1 where heads do not begin at multiples of that.
// Further threads copy N channels each that are not rotated.
#include <algorithm>
#include <cmath>

#include "core/dtype.h"
#include "cuda/device_state.h"
#include "cuda/host/row_tiles.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {
namespace {

constexpr unsigned kThreads = 256;

struct RopeShape {
  int64_t xRow, xHead, yRow, yHead, maxPositions;
  int64_t rows;              // tokens·heads
  unsigned heads, perBlock;  // perBlock: heads a block
  unsigned rotating, items;  // items a head: those of N pairs, and with those of N channels that are copied
  unsigned threads;          // threads a head
  unsigned half, offset;
  float sign;
};

// N pairs: a and b of each.
template <typename T, int N>
struct Pairs {
  Vec<T, N> a, b;
};

template <typename T, int N, bool kInterleaved>
ANNEAL_DEVICE Pairs<T, N> readPairs(const T* head, unsigned first, unsigned half) {
  if constexpr (!kInterleaved) {
    return {load<Vec<T, N>>(head + first), load<Vec<T, N>>(head + first + half)};
  } else {
    const T* at = head + 2 * first;
    const auto low = load<Vec<T, N>>(at), high = load<Vec<T, N>>(at + N);
    Pairs<T, N> pairs;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      pairs.a.lane[i] = 2 * i < N ? low.lane[2 * i % N] : high.lane[2 * i % N];
      pairs.b.lane[i] = 2 * i + 1 < N ? low.lane[(2 * i + 1) % N] : high.lane[(2 * i + 1) % N];
    }
    return pairs;
  }
}

template <typename T, int N, bool kInterleaved>
ANNEAL_DEVICE void writePairs(T* head, unsigned first, unsigned half, const Pairs<T, N>& pairs) {
  if constexpr (!kInterleaved) {
    store(head + first, pairs.a);
    store(head + first + half, pairs.b);
  } else {
    Vec<T, N> item[2];
#pragma unroll
    for (int i = 0; i < N; ++i) {
      item[2 * i / N].lane[2 * i % N] = pairs.a.lane[i];
      item[(2 * i + 1) / N].lane[(2 * i + 1) % N] = pairs.b.lane[i];
    }
    store(head + 2 * first, item[0]);
    store(head + 2 * first + N, item[1]);
  }
}

// N numbers of a table of cosines or sines, in loads of 16 bytes where N is a multiple of 4.
template <int N>
ANNEAL_DEVICE void readAngles(const float* table, float (&out)[N]) {
  if constexpr (N == 1) {
    out[0] = *table;
  } else {
#pragma unroll
    for (int i = 0; i < N; i += 4) {
      const auto four = load<Vec<float, 4>>(table + i);
#pragma unroll
      for (int k = 0; k < 4; ++k) out[i + k] = four.lane[k];
    }
  }
}

// Floor: channels of x read and y written ÷ bandwidth; the tables stay in the caches. kExchange: x is y and
// the layouts differ, so that all threads of a head must have read before one writes.
template <typename T, int N, bool kIn, bool kOut, bool kExchange>
__global__ void __launch_bounds__(kThreads)
    ropeKernel(const T* x, T* y, const int32_t* positions, const float* cos, const float* sin,
               RopeShape shape, FaultReporter reporter) {
  const unsigned inBlock = threadIdx.x / shape.threads;
  const int64_t row = int64_t{blockIdx.x} * shape.perBlock + inBlock;
  const bool inside = inBlock < shape.perBlock && row < shape.rows;
  if (!kExchange && !inside) return;
  // The quotient of 64-bit numbers costs more than all else here.
  const int64_t token =
      shape.rows <= INT32_MAX ? int64_t{static_cast<uint32_t>(row) / shape.heads} : row / shape.heads;
  const int64_t head = row - token * shape.heads;
  const T* from = x + token * shape.xRow + head * shape.xHead;
  T* to = y + token * shape.yRow + head * shape.yHead;
  const int32_t position = inside ? positions[token] : 0;
  const bool good = position >= 0 && position < shape.maxPositions;
  const int64_t angles = int64_t{position} * shape.half;
  unsigned item = threadIdx.x - inBlock * shape.threads;
  const bool reports = !good && item == 0 && head == 0;
  do {
    const unsigned first = item * N;
    // x is read before the position is known to be good, so that both are on their way together.
    Pairs<T, N> in{}, out;
    if (inside && item < shape.rotating) in = readPairs<T, N, kIn>(from + shape.offset, first, shape.half);
    const bool rotates = inside && good && item < shape.rotating;
    if (rotates) {
      float c[N], s[N];
      readAngles<N>(cos + angles + first, c);
      readAngles<N>(sin + angles + first, s);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        const float a = toFloat(in.a.lane[i]), b = toFloat(in.b.lane[i]), sine = shape.sign * s[i];
        out.a.lane[i] = fromFloat<T>(fmaf(a, c[i], -(b * sine)));
        out.b.lane[i] = fromFloat<T>(fmaf(b, c[i], a * sine));
      }
    }
    if constexpr (kExchange) syncThreads();
    if (rotates) {
      writePairs<T, N, kOut>(to + shape.offset, first, shape.half, out);
    } else if (!kExchange && item >= shape.rotating) {
      // The channels before and after the rotated ones.
      unsigned channel = first - shape.half;
      if (channel >= shape.offset) channel += 2 * shape.half;
      store(to + channel, load<Vec<T, N>>(from + channel));
    }
    item += shape.threads;
  } while (!kExchange && item < shape.items);
  if (reports) reportFault(reporter, kFaultPosition, token, position, shape.maxPositions);
}

// x: args.x or a copy of it. rotatedOnly: the other channels stand in y already.
template <typename T, int N, bool kIn, bool kOut, bool kExchange>
int rotate(KernelContext* context, const RopeArgs& args, const void* x, bool rotatedOnly) {
  RopeShape shape;
  shape.xRow = args.xRow;
  shape.xHead = args.xHead;
  shape.yRow = args.yRow;
  shape.yHead = args.yHead;
  shape.maxPositions = args.maxPositions;
  shape.rows = args.tokens * args.heads;
  shape.heads = static_cast<unsigned>(args.heads);
  shape.half = static_cast<unsigned>(args.rotary / 2);
  shape.offset = static_cast<unsigned>(args.offset);
  shape.sign = args.inverse != 0 ? -1.0f : 1.0f;
  shape.rotating = shape.half / N;
  shape.items = shape.rotating + (rotatedOnly ? 0 : static_cast<unsigned>((args.headSize - args.rotary) / N));
  if (shape.items == 0 || shape.rows == 0) return 0;
  shape.threads = std::min(shape.items, kThreads);
  shape.perBlock = kThreads / shape.threads;
  const int64_t blocks = (shape.rows + shape.perBlock - 1) / shape.perBlock;
  return launch(context, ropeKernel<T, N, kIn, kOut, kExchange>, {static_cast<unsigned>(blocks), kThreads},
                static_cast<const T*>(x), static_cast<T*>(args.y),
                static_cast<const int32_t*>(args.positions), static_cast<const float*>(args.cos),
                static_cast<const float*>(args.sin), shape, faultReporter(context));
}

// Layouts that differ, perhaps in place.
template <typename T, int N, bool kIn, bool kOut>
int exchange(KernelContext* context, const RopeArgs& args) {
  if (args.x != args.y) return rotate<T, N, kIn, kOut, false>(context, args, args.x, false);
  if (args.rotary / 2 / N <= kThreads) return rotate<T, N, kIn, kOut, true>(context, args, args.x, true);
  // A head that is too large for one block is read from a copy.
  if (args.tokens == 0 || args.heads == 0) return 0;
  const int64_t elements = (args.tokens - 1) * args.xRow + (args.heads - 1) * args.xHead + args.headSize;
  const size_t bytes = static_cast<size_t>(elements) * sizeof(T);
  void* copy = workspace(context, bytes);
  if (copy == nullptr || copyBytes(context, copy, args.x, bytes) != 0) return 1;
  return rotate<T, N, kIn, kOut, false>(context, args, copy, true);
}

template <typename T, int N>
int rotateLayouts(KernelContext* context, const RopeArgs& args) {
  const bool inPlace = args.x == args.y;
  if (args.inputInterleaved != 0) {
    return args.outputInterleaved != 0 ? rotate<T, N, true, true, false>(context, args, args.x, inPlace)
                                       : exchange<T, N, true, false>(context, args);
  }
  return args.outputInterleaved != 0 ? exchange<T, N, false, true>(context, args)
                                     : rotate<T, N, false, false, false>(context, args, args.x, inPlace);
}

template <typename T>
int rotateType(KernelContext* context, const RopeArgs& args) {
  constexpr int kLanes = kLanes16<T>;
  const auto whole = [](auto... numbers) { return ((numbers % kLanes == 0) && ...); };
  const bool vectors =
      aligned16(args.x, args.y, args.cos, args.sin) &&
      whole(args.headSize, args.rotary / 2, args.offset, args.xRow, args.xHead, args.yRow, args.yHead);
  return vectors ? rotateLayouts<T, kLanes>(context, args) : rotateLayouts<T, 1>(context, args);
}

int rope(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const RopeArgs*>(raw);
  if (args.rotary % 2 != 0 || args.rotary < 0 || args.offset < 0 ||
      args.offset + args.rotary > args.headSize) {
    return fail(context, "rope: channels %lld to %lld are no even range of a head of %lld",
                static_cast<long long>(args.offset), static_cast<long long>(args.offset + args.rotary),
                static_cast<long long>(args.headSize));
  }
  if (args.dtype == kF32) return rotateType<float>(context, args);
  if (args.dtype == kBF16) return rotateType<bf16>(context, args);
  return fail(context, "rope: expected f32 or bf16, got %s", dtypeName(args.dtype));
}

}  // namespace

void registerRope(Backend& table) { table.kernels[kKernel_rope] = rope; }

}  // namespace anneal::cuda
