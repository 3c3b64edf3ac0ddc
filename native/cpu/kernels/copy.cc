// copy.cc — copyStrided: any permutation, slice, concatenation, expansion or padding, as rows, blocked
// transposes, or single elements.
#include <cstring>
#include <type_traits>

#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/elements.h"
#include "cpu/strides.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

// Side of the square that a transpose moves at a time: its source columns and destination rows stay in the
// first cache.
constexpr int64_t kTile = 32;

struct Assign {
  template <typename T>
  ANNEAL_INLINE void operator()(T& to, T from) const {
    to = from;
  }
};

struct Accumulate {
  ANNEAL_INLINE void operator()(float& to, float from) const { to += from; }
  ANNEAL_INLINE void operator()(bf16& to, bf16 from) const { to = roundToBf16(toFloat(to) + toFloat(from)); }
  ANNEAL_INLINE void operator()(int32_t& to, int32_t from) const {
    to = static_cast<int32_t>(static_cast<uint32_t>(to) + static_cast<uint32_t>(from));
  }
};

// The loops of a copy, ordered so that the destination's strides fall, with joined neighbours.
struct Plan {
  int64_t ndim = 0;
  int64_t size[kMaxDims], src[kMaxDims], dst[kMaxDims];
  bool empty = false;

  explicit Plan(const CopyStridedArgs& args) {
    for (int64_t d = 0; d < args.ndim; ++d) {
      if (args.shape[d] == 0) empty = true;
      if (args.shape[d] == 1) continue;
      int64_t place = ndim++;
      for (; place > 0 && dst[place - 1] < args.dstStride[d]; --place) move(place, place - 1);
      size[place] = args.shape[d];
      src[place] = args.srcStride[d];
      dst[place] = args.dstStride[d];
    }
    int64_t joined = 0;
    for (int64_t d = 0; d < ndim; ++d) {
      if (joined > 0 && src[joined - 1] == src[d] * size[d] && dst[joined - 1] == dst[d] * size[d]) {
        size[joined - 1] *= size[d];
        src[joined - 1] = src[d];
        dst[joined - 1] = dst[d];
      } else {
        move(joined, d);
        ++joined;
      }
    }
    ndim = joined;
    if (ndim == 0) {
      size[0] = src[0] = dst[0] = 1;
      ndim = 1;
    }
  }

  void move(int64_t to, int64_t from) {
    size[to] = size[from];
    src[to] = src[from];
    dst[to] = dst[from];
  }

  // Takes dimension d out of the loops.
  void remove(int64_t d) {
    for (--ndim; d < ndim; ++d) move(d, d + 1);
  }
};

// One row. Element i moves by (srcStride, dstStride).
template <typename T, typename Op>
void copyRow(const T* src, int64_t srcStride, T* dst, int64_t dstStride, int64_t n, const Op& op) {
  if (srcStride == 1 && dstStride == 1) {
    if constexpr (std::is_same_v<Op, Assign>) {
      std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(T));
    } else {
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) op(dst[i], src[i]);
    }
  } else if (srcStride == 0 && dstStride == 1) {
    const T value = *src;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) op(dst[i], value);
  } else {
    for (int64_t i = 0; i < n; ++i) op(dst[i * dstStride], src[i * srcStride]);
  }
}

// dst[r, c] = src[c, r] for one tile: rows of dst are contiguous, columns of src are.
template <typename T, typename Op>
void transposeTile(const T* src, int64_t srcStride, T* dst, int64_t dstStride, int64_t rows, int64_t columns,
                   const Op& op) {
  if (rows == kTile && columns == kTile) {
    T tile[kTile][kTile];
    for (int64_t c = 0; c < kTile; ++c) std::memcpy(tile[c], src + c * srcStride, sizeof(tile[c]));
    for (int64_t r = 0; r < kTile; ++r) {
      T* to = dst + r * dstStride;
#pragma omp simd
      for (int64_t c = 0; c < kTile; ++c) op(to[c], tile[c][r]);
    }
    return;
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) op(dst[r * dstStride + c], src[c * srcStride + r]);
  }
}

// Splits a task number into the offsets of the outer loops.
inline void outerOffsets(const Plan& plan, int64_t loops, int64_t task, int64_t& src, int64_t& dst) {
  src = dst = 0;
  for (int64_t d = loops - 1; d >= 0; --d) {
    const int64_t index = task % plan.size[d];
    task /= plan.size[d];
    src += index * plan.src[d];
    dst += index * plan.dst[d];
  }
}

template <typename T, typename Op>
void copyRows(const Plan& plan, const T* src, T* dst, const Op& op) {
  const int64_t last = plan.ndim - 1, inner = plan.size[last];
  const int64_t pieces = (inner + kRowPiece - 1) / kRowPiece;
  int64_t rows = pieces;
  for (int64_t d = 0; d < last; ++d) rows *= plan.size[d];
  parallelFor(rows, inner < kRowPiece ? inner : kRowPiece, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      int64_t from, to;
      outerOffsets(plan, last, task / pieces, from, to);
      const int64_t start = task % pieces * kRowPiece;
      const int64_t count = inner - start < kRowPiece ? inner - start : kRowPiece;
      copyRow(src + from + start * plan.src[last], plan.src[last], dst + to + start * plan.dst[last],
              plan.dst[last], count, op);
    }
  });
}

// The last loop is contiguous in dst and loop `column` in src.
template <typename T, typename Op>
void copyTransposed(Plan plan, int64_t column, const T* src, T* dst, const Op& op) {
  const int64_t last = plan.ndim - 1;
  const int64_t rows = plan.size[column], columns = plan.size[last];
  const int64_t srcStride = plan.src[last], dstStride = plan.dst[column];
  plan.remove(last);
  plan.remove(column);
  const int64_t rowTiles = (rows + kTile - 1) / kTile, columnTiles = (columns + kTile - 1) / kTile;
  int64_t tasks = rowTiles * columnTiles;
  for (int64_t d = 0; d < plan.ndim; ++d) tasks *= plan.size[d];
  parallelFor(tasks, kTile * kTile, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      int64_t from, to;
      outerOffsets(plan, plan.ndim, task / (rowTiles * columnTiles), from, to);
      const int64_t r = task / columnTiles % rowTiles * kTile, c = task % columnTiles * kTile;
      transposeTile(src + from + c * srcStride + r, srcStride, dst + to + r * dstStride + c, dstStride,
                    rows - r < kTile ? rows - r : kTile, columns - c < kTile ? columns - c : kTile, op);
    }
  });
}

template <typename T, typename Op>
int copyAll(const CopyStridedArgs& args, const Op& op) {
  const Plan plan(args);
  if (plan.empty) return 0;
  const T* src = static_cast<const T*>(args.src) + args.srcOffset;
  T* dst = static_cast<T*>(args.dst) + args.dstOffset;
  const int64_t last = plan.ndim - 1;
  if (plan.dst[last] == 1 && plan.src[last] > 1) {
    for (int64_t d = 0; d < last; ++d) {
      if (plan.src[d] != 1 || plan.size[d] < 4 || plan.size[last] < 4) continue;
      copyTransposed(plan, d, src, dst, op);
      return 0;
    }
  }
  copyRows(plan, src, dst, op);
  return 0;
}

}  // namespace

int copyStrided(KernelContext* context, const void* raw) {
  const CopyStridedArgs& args = *static_cast<const CopyStridedArgs*>(raw);
  if (args.ndim < 0 || args.ndim > kMaxDims) return failDims(context, "copyStrided", args.ndim);
  for (int64_t d = 0; d < args.ndim; ++d) {
    if (args.dstStride[d] == 0 && args.shape[d] > 1) {
      return fail(context,
                  "copyStrided: dimension %lld writes its %lld elements to one place (destination stride 0)",
                  static_cast<long long>(d), static_cast<long long>(args.shape[d]));
    }
  }
  if (args.accumulate != 0) {
    switch (args.dtype) {
      case kF32:
        return copyAll<float>(args, Accumulate{});
      case kBF16:
        return copyAll<bf16>(args, Accumulate{});
      case kI32:
        return copyAll<int32_t>(args, Accumulate{});
      default:
        return fail(context, "copyStrided: expected f32, bf16 or i32 to accumulate, got %s",
                    dtypeName(args.dtype));
    }
  }
  switch (dtypeSize(args.dtype)) {
    case 1:
      return copyAll<uint8_t>(args, Assign{});
    case 2:
      return copyAll<uint16_t>(args, Assign{});
    case 4:
      return copyAll<uint32_t>(args, Assign{});
    case 8:
      return copyAll<uint64_t>(args, Assign{});
    default:
      return fail(context, "copyStrided: unknown dtype %lld", static_cast<long long>(args.dtype));
  }
}

ANNEAL_CPU_NAMESPACE_END
