// activation.cu — gated activations y = act(gate) ⊙ up and their gradients, in one pass: a thread takes one
// 16-byte item of each operand. Where rows are not multiples of that, or do not begin at one, an item is a
// single element.
#include <type_traits>

#include "core/dtype.h"
#include "core/kernels/elementwise.h"
#include "cuda/device/activations.h"
#include "cuda/device_state.h"
#include "cuda/host/row_tiles.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {
namespace {

constexpr unsigned kThreads = 256;

// `rows` rows of `width` elements; those of gate, up and their gradients are `stride` apart, the others
// width.
struct GatedRows {
  int64_t rows, width, stride;
  unsigned columnBlocks, acrossLog, down;
};

// Where this thread's item begins: its row and first column. Threads beyond the matrix get row = rows.
struct Place {
  int64_t row, column;
};
template <int N>
ANNEAL_DEVICE Place placeOf(const GatedRows& shape) {
  const unsigned rowBlock = blockIdx.x / shape.columnBlocks, columnBlock = blockIdx.x % shape.columnBlocks;
  const unsigned down = threadIdx.x >> shape.acrossLog, across = threadIdx.x - (down << shape.acrossLog);
  const int64_t column = ((int64_t{columnBlock} << shape.acrossLog) + across) * N;
  const int64_t row = int64_t{rowBlock} * shape.down + down;
  return {column < shape.width ? row : shape.rows, column};
}

// Items that hang over the end of a row (n elements are left) go element by element.
template <typename T, int N>
ANNEAL_DEVICE Vec<T, N> readItem(const T* address, int64_t n) {
  if constexpr (N == 1) {
    return {*address};
  } else {
    if (n >= N) return loadOnce<Vec<T, N>>(address);
    Vec<T, N> item{};
#pragma unroll
    for (int i = 0; i < N; ++i) {
      if (i < n) item.lane[i] = address[i];
    }
    return item;
  }
}
template <typename T, int N>
ANNEAL_DEVICE void writeItem(T* address, const Vec<T, N>& item, int64_t n) {
  if constexpr (N == 1) {
    *address = item.lane[0];
  } else {
    if (n >= N) {
      store(address, item);
      return;
    }
#pragma unroll
    for (int i = 0; i < N; ++i) {
      if (i < n) address[i] = item.lane[i];
    }
  }
}

// Floor: 3 elements moved an output ÷ bandwidth.
template <typename T, int N, typename Act>
__global__ void __launch_bounds__(kThreads)
    gatedForwardKernel(const T* gate, const T* up, T* y, GatedRows shape) {
  const Place place = placeOf<N>(shape);
  if (place.row >= shape.rows) return;
  const int64_t in = place.row * shape.stride + place.column, left = shape.width - place.column;
  const auto g = readItem<T, N>(gate + in, left), u = readItem<T, N>(up + in, left);
  Vec<T, N> out;
#pragma unroll
  for (int i = 0; i < N; ++i) out.lane[i] = fromFloat<T>(Act::value(toFloat(g.lane[i])) * toFloat(u.lane[i]));
  writeItem(y + place.row * shape.width + place.column, out, left);
}

// Floor: 5 elements moved an output ÷ bandwidth.
template <typename T, int N, typename Act>
__global__ void __launch_bounds__(kThreads)
    gatedBackwardKernel(const T* dy, const T* gate, const T* up, T* dgate, T* dup, GatedRows shape) {
  const Place place = placeOf<N>(shape);
  if (place.row >= shape.rows) return;
  const int64_t in = place.row * shape.stride + place.column, left = shape.width - place.column;
  const auto d = readItem<T, N>(dy + place.row * shape.width + place.column, left);
  const auto g = readItem<T, N>(gate + in, left), u = readItem<T, N>(up + in, left);
  Vec<T, N> dg, du;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const float upstream = toFloat(d.lane[i]);
    const ValueAndSlope act = Act::both(toFloat(g.lane[i]));
    dg.lane[i] = fromFloat<T>(upstream * toFloat(u.lane[i]) * act.slope);
    du.lane[i] = fromFloat<T>(upstream * act.value);
  }
  writeItem(dgate + in, dg, left);
  writeItem(dup + in, du, left);
}

// The shape in items of N elements; contiguous rows are one long row.
template <int N>
GatedRows shapeOf(int64_t rows, int64_t width, int64_t stride, unsigned* blocks) {
  if (stride == width) {
    width *= rows;
    rows = width == 0 ? 0 : 1;
    stride = width;
  }
  const RowTiles tiles = rowTiles(rows, (width + N - 1) / N, kThreads);
  *blocks = tiles.blocks;
  return {rows, width, stride, tiles.columnBlocks, tiles.acrossLog, tiles.down};
}

// Whether items of N elements begin at multiples of 16 bytes in every row. A single row may have any length.
template <int N>
bool rowsAligned(int64_t width, int64_t stride) {
  return stride == width || (width % N == 0 && stride % N == 0);
}

template <typename T, int N, typename Act>
int forwardOf(KernelContext* context, const GatedForwardArgs& args) {
  unsigned blocks = 0;
  const GatedRows shape = shapeOf<N>(args.rows, args.width, args.inStride, &blocks);
  return launch(context, gatedForwardKernel<T, N, Act>, {blocks, kThreads}, static_cast<const T*>(args.gate),
                static_cast<const T*>(args.up), static_cast<T*>(args.y), shape);
}

template <typename T, int N, typename Act>
int backwardOf(KernelContext* context, const GatedBackwardArgs& args) {
  unsigned blocks = 0;
  const GatedRows shape = shapeOf<N>(args.rows, args.width, args.inStride, &blocks);
  return launch(context, gatedBackwardKernel<T, N, Act>, {blocks, kThreads}, static_cast<const T*>(args.dy),
                static_cast<const T*>(args.gate), static_cast<const T*>(args.up), static_cast<T*>(args.dgate),
                static_cast<T*>(args.dup), shape);
}

// Calls body(type tag, lanes, activation tag) for the dtype, width of access and activation of the arguments.
template <typename Args, typename Body>
int choose(KernelContext* context, const char* kernel, const Args& args, bool aligned, const Body& body) {
  const auto withType = [&](auto type) {
    using T = decltype(type);
    const auto withAct = [&](auto act) {
      constexpr int kLanes = kLanes16<T>;
      if (aligned && rowsAligned<kLanes>(args.width, args.inStride))
        return body(type, std::integral_constant<int, kLanes>{}, act);
      return body(type, std::integral_constant<int, 1>{}, act);
    };
    if (args.act == kSilu) return withAct(Silu{});
    if (args.act == kGelu) return withAct(Gelu{});
    if (args.act == kGeluTanh) return withAct(GeluTanh{});
    return fail(context, "%s: activation %lld is none of silu, gelu and geluTanh", kernel,
                static_cast<long long>(args.act));
  };
  if (args.dtype == kF32) return withType(float{});
  if (args.dtype == kBF16) return withType(bf16{});
  return fail(context, "%s: expected f32 or bf16, got %s", kernel, dtypeName(args.dtype));
}

int gatedForward(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const GatedForwardArgs*>(raw);
  const auto body = [&](auto type, auto lanes, auto act) {
    return forwardOf<decltype(type), decltype(lanes)::value, decltype(act)>(context, args);
  };
  return choose(context, "gatedForward", args, aligned16(args.gate, args.up, args.y), body);
}

int gatedBackward(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const GatedBackwardArgs*>(raw);
  const auto body = [&](auto type, auto lanes, auto act) {
    return backwardOf<decltype(type), decltype(lanes)::value, decltype(act)>(context, args);
  };
  return choose(context, "gatedBackward", args, aligned16(args.dy, args.gate, args.up, args.dgate, args.dup),
                body);
}

}  // namespace

void registerActivation(Backend& table) {
  table.kernels[kKernel_gatedForward] = gatedForward;
  table.kernels[kKernel_gatedBackward] = gatedBackward;
}

}  // namespace anneal::cuda
