// gemm.cc — shares a matrix product out to the OpenMP team. Each thread computes rectangles of c by itself,
// so there is no barrier inside a product, and since every sum over k has a fixed order, the result does not
// depend on the number of threads.
#include "cpu/gemm.h"

#include <omp.h>

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <string>

#include "core/dtype.h"
#include "cpu/backend.h"
#include "cpu/gemm_block.h"

namespace anneal::cpu {

namespace portable {
GemmKernel gemmKernel();
}
#if defined(ANNEAL_HAVE_X86_VARIANTS)
namespace avx2 {
GemmKernel gemmKernel();
}
namespace avx512 {
GemmKernel gemmKernel();
}
#endif

namespace {

GemmKernel chooseKernel() {
#if defined(ANNEAL_HAVE_X86_VARIANTS)
  const std::string isa = isaName();
  if (isa == "avx512") return avx512::gemmKernel();
  if (isa == "avx2") return avx2::gemmKernel();
#endif
  return portable::gemmKernel();
}

int64_t ceilDiv(int64_t x, int64_t y) { return (x + y - 1) / y; }

// How c is cut into rectangles, one a thread.
struct Grid {
  int64_t rows = 1, columns = 1;
};

// Cycles of the slowest thread: whole register tiles at one tile row of sums per cycle, plus packing of its
// share of a and b.
double cost(const GemmCall& call, Grid grid) {
  const GemmKernel& kernel = gemmKernel();
  const int64_t tall = ceilDiv(ceilDiv(call.m, kernel.tileRows), grid.rows) * kernel.tileRows;
  const int64_t wide = ceilDiv(ceilDiv(call.n, kernel.tileColumns), grid.columns) * kernel.tileColumns;
  const double perK =
      static_cast<double>(tall) * static_cast<double>(wide) / static_cast<double>(kernel.tileColumns) +
      0.25 * static_cast<double>(tall) + (call.transB ? 0.4 : 0.25) * static_cast<double>(wide);
  return perK * static_cast<double>(call.k);
}

Grid chooseGrid(const GemmCall& call, GemmPath path, int64_t threads) {
  constexpr double kWakeCycles = 10000;  // of the team
  Grid best;
  double least = cost(call, best);
  if (least < 2 * kWakeCycles) return best;
  if (path == GemmPath::kDots) return {1, std::min(threads, ceilDiv(call.n, gemmKernel().tileColumns))};
  for (int64_t rows = 1; rows <= threads; ++rows) {
    if (threads % rows != 0) continue;
    const Grid grid{rows, threads / rows};
    const double cycles = cost(call, grid) + kWakeCycles;
    if (cycles < least) {
      least = cycles;
      best = grid;
    }
  }
  return best;
}

// Start of part `part` of `parts` of [0, size), a multiple of `unit`.
int64_t boundary(int64_t size, int64_t unit, int64_t part, int64_t parts) {
  return std::min(size, ceilDiv(size, unit) * part / parts * unit);
}

}  // namespace

const GemmKernel& gemmKernel() {
  static const GemmKernel kernel = chooseKernel();
  return kernel;
}

GemmPath gemmPath(int64_t m, int64_t k, bool transA, bool transB) {
  constexpr int64_t kFewRows = 16;
  return k == 0 || (m <= kFewRows && transB && !transA) ? GemmPath::kDots : GemmPath::kTiles;
}

void gemm(const GemmCall& call) {
  const int64_t bDtype = call.bDtype < 0 ? call.dtype : call.bDtype;
  const bool sameIn = bDtype == call.dtype && (call.dtype == kF32 || call.dtype == kBF16);
  const bool mixed = call.dtype == kF32 && bDtype == kBF16;
  if (!(sameIn && (call.outDtype == kF32 || call.outDtype == call.dtype)) &&
      !(mixed && (call.outDtype == kF32 || call.outDtype == kBF16))) {
    throw std::runtime_error(
        std::string("a matrix product takes f32 or bf16 operands and gives f32 or their dtype; got ") +
        dtypeName(call.dtype) + " and " + dtypeName(bDtype) + " into " + dtypeName(call.outDtype));
  }
  if (call.batch <= 0 || call.m <= 0 || call.n <= 0) return;
  const GemmKernel& kernel = gemmKernel();
  const GemmPath path = gemmPath(call.m, call.k, call.transA, call.transB);
  const int64_t threads = omp_in_parallel() ? 1 : omp_get_max_threads();
  // Many matrices are taken whole; few are cut, each into as many rectangles as there are threads.
  const bool cut = call.batch % threads != 0 && call.batch < 4 * threads;
  const Grid grid = threads > 1 && cut ? chooseGrid(call, path, threads) : Grid{};
  const int64_t parts = grid.rows * grid.columns, tasks = call.batch * parts;
  const bool alone = threads == 1 || tasks == 1 || static_cast<double>(call.batch) * cost(call, {}) < 20000;

  const auto runTask = [&](int64_t task) {
    const int64_t matrix = task / parts, row = task % parts / grid.columns, column = task % grid.columns;
    GemmCall one = call;
    one.bDtype = bDtype;
    one.a =
        static_cast<const char*>(call.a) + matrix * call.aBatch * static_cast<int64_t>(dtypeSize(call.dtype));
    one.b = static_cast<const char*>(call.b) + matrix * call.bBatch * static_cast<int64_t>(dtypeSize(bDtype));
    one.c =
        static_cast<char*>(call.c) + matrix * call.cBatch * static_cast<int64_t>(dtypeSize(call.outDtype));
    kernel.block(one, path, boundary(call.m, kernel.tileRows, row, grid.rows),
                 boundary(call.m, kernel.tileRows, row + 1, grid.rows),
                 boundary(call.n, kernel.tileColumns, column, grid.columns),
                 boundary(call.n, kernel.tileColumns, column + 1, grid.columns));
  };
  if (alone) {
    for (int64_t task = 0; task < tasks; ++task) runTask(task);
    return;
  }
  std::exception_ptr failure;
#pragma omp parallel for schedule(static)
  for (int64_t task = 0; task < tasks; ++task) {
    try {
      runTask(task);
    } catch (...) {
#pragma omp critical
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace anneal::cpu
