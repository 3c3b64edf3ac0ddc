// gather.cc — picks and scatters along the middle axis of [outer, n, inner].
#include <cstring>

#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/elements.h"
#include "cpu/index_check.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

constexpr int64_t kColumns = 128;  // columns (inner) of one task

int failIndex(KernelContext* context, const char* kernel, const int32_t* index, int64_t position, int64_t n) {
  return fail(context, "%s: index %d at position %lld is outside [0, %lld)", kernel, index[position],
              static_cast<long long>(position), static_cast<long long>(n));
}

template <typename Word>
int gatherOf(KernelContext* context, const GatherArgs& args) {
  const Word* x = static_cast<const Word*>(args.x);
  const int32_t* index = static_cast<const int32_t*>(args.index);
  Word* out = static_cast<Word*>(args.out);
  const int64_t n = args.n, m = args.m, inner = args.inner;
  FirstBad bad;
  parallelFor(args.outer * m, inner * 4, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const Word* source = x + row / m * n * inner;
      for (int64_t i = 0; i < inner; ++i) {
        const int64_t at = index[row * inner + i];
        if (at < 0 || at >= n) {
          bad.report(row * inner + i);
          continue;
        }
        out[row * inner + i] = source[at * inner + i];
      }
    }
  });
  return bad.found() ? failIndex(context, "gather", index, bad.position(), n) : 0;
}

int gather(KernelContext* context, const void* raw) {
  const GatherArgs& args = *static_cast<const GatherArgs*>(raw);
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

// One task owns a range of columns of one outer slice, so that additions to a place keep the order of j.
template <typename T>
int scatterAddOf(KernelContext* context, const ScatterAddArgs& args) {
  const T* src = static_cast<const T*>(args.src);
  const int32_t* index = static_cast<const int32_t*>(args.index);
  T* out = static_cast<T*>(args.out);
  const int64_t n = args.n, m = args.m, inner = args.inner;
  const int64_t groups = (inner + kColumns - 1) / kColumns;
  FirstBad bad;
  parallelFor(args.outer * groups, (n + 4 * m) * (inner < kColumns ? inner : kColumns),
              [&](int64_t begin, int64_t end) {
                for (int64_t task = begin; task < end; ++task) {
                  const int64_t o = task / groups, column = task % groups * kColumns;
                  const int64_t count = inner - column < kColumns ? inner - column : kColumns;
                  T* slice = out + o * n * inner + column;
                  if (args.accumulate == 0) {
                    if (count == inner) {
                      std::memset(static_cast<void*>(slice), 0, static_cast<size_t>(n * inner) * sizeof(T));
                    } else {
                      for (int64_t j = 0; j < n; ++j) {
                        std::memset(static_cast<void*>(slice + j * inner), 0,
                                    static_cast<size_t>(count) * sizeof(T));
                      }
                    }
                  }
                  for (int64_t j = 0; j < m; ++j) {
                    const int64_t from = (o * m + j) * inner + column;
                    for (int64_t i = 0; i < count; ++i) {
                      const int64_t at = index[from + i];
                      if (at < 0 || at >= n) {
                        bad.report(from + i);
                        continue;
                      }
                      T& place = slice[at * inner + i];
                      place = fromFloat<T>(toFloat(place) + toFloat(src[from + i]));
                    }
                  }
                }
              });
  return bad.found() ? failIndex(context, "scatterAdd", index, bad.position(), n) : 0;
}

int scatterAdd(KernelContext* context, const void* raw) {
  const ScatterAddArgs& args = *static_cast<const ScatterAddArgs*>(raw);
  if (args.dtype == kF32) return scatterAddOf<float>(context, args);
  if (args.dtype == kBF16) return scatterAddOf<bf16>(context, args);
  return fail(context, "scatterAdd: expected f32 or bf16, got %s", dtypeName(args.dtype));
}

}  // namespace

void registerGather(Backend& table) {
  table.kernels[kKernel_gather] = gather;
  table.kernels[kKernel_scatterAdd] = scatterAdd;
}

ANNEAL_CPU_NAMESPACE_END
