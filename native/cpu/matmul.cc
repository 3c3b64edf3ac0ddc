// matmul.cc — the kernels matmul and groupedMatmul of the kernel table, on top of gemm. Compiled once: the
// instruction set is gemm's choice.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <exception>

#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/gemm.h"
#include "cpu/gemm_block.h"

namespace anneal::cpu {
namespace {

int matmul(KernelContext* context, const void* arguments) {
  const auto& args = *static_cast<const MatmulArgs*>(arguments);
  GemmCall call;
  call.a = args.a;
  call.b = args.b;
  call.c = args.c;
  call.bias = args.bias;
  call.batch = args.batch;
  call.m = args.m;
  call.n = args.n;
  call.k = args.k;
  call.transA = args.transA != 0;
  call.transB = args.transB != 0;
  call.lda = args.lda;
  call.ldb = args.ldb;
  call.ldc = args.ldc;
  call.aBatch = args.aBatch;
  call.bBatch = args.bBatch;
  call.cBatch = args.cBatch;
  call.alpha = static_cast<float>(args.alpha);
  call.beta = static_cast<float>(args.beta);
  call.dtype = args.dtype;
  call.outDtype = args.outDtype;
  try {
    gemm(call);
  } catch (const std::exception& error) {
    return fail(context, "matmul: %s", error.what());
  }
  return 0;
}

// The product of one expert: rows [begin, end) of the grouped operands.
GemmCall expertCall(const GroupedMatmulArgs& args, int64_t expert, int64_t begin, int64_t end) {
  const int64_t in = static_cast<int64_t>(dtypeSize(args.dtype)),
                out = static_cast<int64_t>(dtypeSize(args.outDtype));
  const char* a = static_cast<const char*>(args.a);
  const char* b = static_cast<const char*>(args.b);
  char* c = static_cast<char*>(args.c);
  GemmCall call;
  call.dtype = call.bDtype = args.dtype;
  call.outDtype = args.outDtype;
  if (args.mode == kGroupedTN) {
    call.a = a + begin * args.n * in;
    call.b = b + begin * args.k * in;
    call.c = c + expert * args.n * args.k * out;
    call.m = args.n;
    call.n = args.k;
    call.k = end - begin;
    call.transA = true;
    call.lda = args.n;
    call.ldb = call.ldc = args.k;
    call.beta = static_cast<float>(args.beta);
  } else {
    call.a = a + begin * args.k * in;
    call.b = b + expert * args.n * args.k * in;
    call.c = c + begin * args.n * out;
    call.m = end - begin;
    call.n = args.n;
    call.k = args.k;
    call.transB = args.mode == kGroupedNT;
    call.lda = args.k;
    call.ldb = call.transB ? args.k : args.n;
    call.ldc = args.n;
  }
  return call;
}

// Work is laid end to end, expert after expert, each as long as its rows plus what reading its weights costs;
// every thread takes an equal stretch of it. An expert on a border is cut between rows of c, at a multiple of
// the register tile.
constexpr int64_t kExpertCost = 16;  // in rows

int64_t cutAt(int64_t position, int64_t start, int64_t length, int64_t rows, int64_t unit) {
  const int64_t inside = std::clamp<int64_t>(position - start, 0, length);
  if (inside == length) return rows;
  return std::min(rows, (rows * inside / length + unit / 2) / unit * unit);
}

void groupedShare(const GroupedMatmulArgs& args, int64_t share, int64_t shares) {
  const GemmKernel& kernel = gemmKernel();
  const auto* offsets = static_cast<const int32_t*>(args.offsets);
  const int64_t total = offsets[args.experts] - offsets[0] + args.experts * kExpertCost;
  const int64_t from = total * share / shares, to = total * (share + 1) / shares;
  int64_t start = 0;
  for (int64_t expert = 0; expert < args.experts; ++expert) {
    const int64_t begin = offsets[expert], end = offsets[expert + 1], length = end - begin + kExpertCost;
    const GemmCall call = expertCall(args, expert, begin, end);
    const int64_t first = cutAt(from, start, length, call.m, kernel.tileRows),
                  last = cutAt(to, start, length, call.m, kernel.tileRows);
    if (first < last && call.n > 0) {
      kernel.block(call, gemmPath(call.m, call.k, call.transA, call.transB), first, last, 0, call.n);
    }
    start += length;
  }
}

int groupedMatmul(KernelContext* context, const void* arguments) {
  const auto& args = *static_cast<const GroupedMatmulArgs*>(arguments);
  const auto* offsets = static_cast<const int32_t*>(args.offsets);
  if ((args.dtype != kF32 && args.dtype != kBF16) || (args.outDtype != kF32 && args.outDtype != args.dtype)) {
    return fail(context,
                "groupedMatmul takes f32 or bf16 operands and gives f32 or their dtype; got %s into %s",
                dtypeName(args.dtype), dtypeName(args.outDtype));
  }
  if (args.mode < kGroupedNT || args.mode > kGroupedTN) {
    return fail(context, "groupedMatmul: mode is %lld; expected 0 (NT), 1 (NN) or 2 (TN)",
                static_cast<long long>(args.mode));
  }
  if (args.experts <= 0) return 0;
  for (int64_t expert = 0; expert <= args.experts; ++expert) {
    const int64_t least = expert == 0 ? 0 : offsets[expert - 1];
    if (offsets[expert] < least || offsets[expert] > args.rows) {
      return fail(context,
                  "groupedMatmul: offsets[%lld] is %d; expected an ascending row number of at most %lld",
                  static_cast<long long>(expert), offsets[expert], static_cast<long long>(args.rows));
    }
  }
  const double flops = 2.0 * static_cast<double>(offsets[args.experts] - offsets[0]) *
                       static_cast<double>(args.n) * static_cast<double>(args.k);
  const int64_t threads = omp_in_parallel() || flops < 1e6 ? 1 : omp_get_max_threads();
  try {
    if (threads == 1) {
      groupedShare(args, 0, 1);
      return 0;
    }
    std::exception_ptr failure;
#pragma omp parallel for schedule(static, 1)
    for (int64_t share = 0; share < threads; ++share) {
      try {
        groupedShare(args, share, threads);
      } catch (...) {
#pragma omp critical
        failure = std::current_exception();
      }
    }
    if (failure) std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    return fail(context, "groupedMatmul: %s", error.what());
  }
  return 0;
}

}  // namespace

void registerMatmul(Backend& table) {
  table.kernels[kKernel_matmul] = matmul;
  table.kernels[kKernel_groupedMatmul] = groupedMatmul;
}

}  // namespace anneal::cpu
