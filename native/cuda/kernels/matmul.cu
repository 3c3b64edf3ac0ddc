// matmul.cu — the kernels matmul and groupedMatmul of the kernel table, and gemm() for every kernel that
// multiplies matrices on its way: argument checks, the choice between the library and the own kernels, and
// the latter's launches.
#include "cuda/device_state.h"
#include "cuda/gemm.h"
#include "cuda/kernels/gemm_launch.h"
#include "cuda/kernels/table.h"
#if !defined(ANNEAL_SIMT)
#include "cuda/cublas_lt.h"
#endif

namespace anneal::cuda {
namespace {

constexpr size_t kScratchAlignment = 256;

bool empty(const MatmulArgs& args) { return args.batch <= 0 || args.m <= 0 || args.n <= 0; }

bool knownDtypes(int64_t dtype, int64_t outDtype) {
  return (dtype == kF32 || dtype == kBF16) && (outDtype == kF32 || outDtype == dtype);
}

bool divides(int64_t unit, const void* pointer, int64_t size, int64_t stride, int64_t batchStride) {
  return reinterpret_cast<uintptr_t>(pointer) % unit == 0 && stride * size % unit == 0 &&
         batchStride * size % unit == 0;
}

// Bytes that one copy of an operand may move wherever a row begins.
int copyUnit(const void* pointer, int64_t size, int64_t stride, int64_t batchStride) {
  if (divides(16, pointer, size, stride, batchStride)) return 16;
  return divides(4, pointer, size, stride, batchStride) ? 4 : 2;
}

int launchGemm(KernelContext* context, const GemmParams& p, bool bf16, GemmTile tile, bool transA,
               bool transB, int64_t matrices) {
  return bf16 ? launchGemmBf16(context, p, tile, transA, transB, matrices)
              : launchGemmF32(context, p, tile, transA, transB, matrices);
}

GemmPlan planOf(const MatmulArgs& args, int64_t processors, size_t scratchBytes, int64_t sharedBytes) {
  const bool bf16 = args.dtype == kBF16;
  return planGemm(bf16, args.m, args.n, args.k, args.batch, processors, scratchBytes,
                  largestTile(bf16, args.transA != 0, args.transB != 0, sharedBytes));
}

// Columns of the partial sums of a split k: whole vectors.
int64_t partialWidth(int64_t n) { return ceilDiv(n, 4) * 4; }

size_t ownScratchBytes(const MatmulArgs& args, int64_t processors) {
  const GemmPlan plan = planOf(args, processors, SIZE_MAX, 0);
  return planScratchBytes(plan, args.m, partialWidth(args.n), args.batch);
}

int ownGemm(KernelContext* context, const MatmulArgs& args, void* scratch, size_t scratchBytes,
            const GemmEpilogue& epilogue) {
  const bool bf16 = args.dtype == kBF16, transA = args.transA != 0, transB = args.transB != 0;
  const int64_t size = static_cast<int64_t>(dtypeSize(args.dtype));
  const int64_t outSize = static_cast<int64_t>(dtypeSize(args.outDtype));
  const int64_t wanted = processors(context);
  const bool splittable = scratchBytes >= ownScratchBytes(args, wanted);
  const GemmPlan plan = planOf(args, wanted, splittable ? SIZE_MAX : 0, stateOf(context).facts.sharedBytes);
  const bool many = args.batch > 1;

  GemmParams p{};
  p.a = args.a;
  p.b = args.b;
  p.c = args.c;
  p.bias = args.bias;
  p.m = args.m;
  p.n = args.n;
  p.k = args.k;
  p.lda = args.lda;
  p.ldb = args.ldb;
  p.ldc = args.ldc;
  p.aBatch = many ? args.aBatch : 0;
  p.bBatch = many ? args.bBatch : 0;
  p.cBatch = many ? args.cBatch : 0;
  p.splitDepth = plan.splitDepth;
  p.tilesM = plan.tilesM;
  p.tilesN = plan.tilesN;
  p.splits = 1;
  p.kind = GemmKind::kDense;
  p.activation = epilogue.activation;
  p.alpha = static_cast<float>(args.alpha);
  p.beta = static_cast<float>(args.beta);
  p.outF32 = args.outDtype == kF32;
  p.aCopy = copyUnit(args.a, size, args.lda, p.aBatch);
  p.bCopy = copyUnit(args.b, size, args.ldb, p.bBatch);
  p.cVector = divides(4 * outSize, args.c, outSize, args.ldc, p.cBatch);
  if (plan.splits == 1) return launchGemm(context, p, bf16, plan.tile, transA, transB, args.batch);

  GemmParams parts = p;
  parts.c = scratch;
  parts.bias = nullptr;
  parts.ldc = partialWidth(args.n);
  parts.cBatch = args.m * parts.ldc;
  parts.splitStride = args.batch * parts.cBatch;
  parts.splits = static_cast<int32_t>(plan.splits);
  parts.activation = GemmActivation::kNone;
  parts.alpha = 1.0f;
  parts.beta = 0.0f;
  parts.outF32 = 1;
  parts.cVector = 1;
  if (const int status =
          launchGemm(context, parts, bf16, plan.tile, transA, transB, args.batch * plan.splits)) {
    return status;
  }
  return launchSplitSum(context, p, static_cast<const float*>(scratch), plan.splits, args.batch, bf16);
}

int matmul(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const MatmulArgs*>(raw);
  const size_t bytes = gemmScratchBytes(args, processors(context));
  void* scratch = nullptr;
  if (bytes > 0) {
    scratch = workspace(context, bytes);
    if (scratch == nullptr) return 1;
  }
  return gemm(context, args, scratch, bytes);
}

int groupedMatmul(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const GroupedMatmulArgs*>(raw);
  if (!knownDtypes(args.dtype, args.outDtype)) {
    return fail(context,
                "groupedMatmul takes f32 or bf16 operands and gives f32 or their dtype; got %s into %s",
                dtypeName(args.dtype), dtypeName(args.outDtype));
  }
  if (args.mode < kGroupedNT || args.mode > kGroupedTN) {
    return fail(context, "groupedMatmul: mode is %lld; expected 0 (NT), 1 (NN) or 2 (TN)",
                static_cast<long long>(args.mode));
  }
  if (args.experts <= 0) return 0;
  const bool bf16 = args.dtype == kBF16, byDepth = args.mode == kGroupedTN;
  const bool transA = byDepth, transB = args.mode == kGroupedNT;
  const int64_t size = static_cast<int64_t>(dtypeSize(args.dtype));
  const int64_t outSize = static_cast<int64_t>(dtypeSize(args.outDtype));

  GemmParams p{};
  p.a = args.a;
  p.b = args.b;
  p.c = args.c;
  p.offsets = static_cast<const int32_t*>(args.offsets);
  p.splits = 1;
  p.alpha = 1.0f;
  p.outF32 = args.outDtype == kF32;
  const int64_t processorCount = processors(context);
  const GemmTile largest = largestTile(bf16, transA, transB, stateOf(context).facts.sharedBytes);
  GemmTile tile;
  int64_t mapped = 0, matrices = 1;  // tiles in the map; matrices of c
  if (byDepth) {
    p.kind = GemmKind::kGroupedDepth;
    p.m = args.n;
    p.n = args.k;
    p.lda = args.n;
    p.ldb = p.ldc = args.k;
    p.cBatch = args.n * args.k;
    p.beta = static_cast<float>(args.beta);
    matrices = args.experts;
    // Without splits; a plan for experts of equal size.
    tile = p.m > 0 && p.n > 0 ? planGemm(bf16, p.m, p.n, ceilDiv(args.rows, args.experts), args.experts,
                                         processorCount, 0, largest)
                                    .tile
                              : GemmTile::k64x64;
  } else {
    p.kind = GemmKind::kGroupedRows;
    p.m = args.rows;
    p.n = args.n;
    p.k = args.k;
    p.lda = args.k;
    p.ldb = transB ? args.k : args.n;
    p.ldc = args.n;
    p.bBatch = args.n * args.k;
    tile = groupedTile(args.rows, args.n, args.experts, processorCount, largest);
    mapped = groupedTiles(args.rows, args.experts, gemmTileFacts(bf16, tile).rows);
  }
  const GemmTileFacts& facts = gemmTileFacts(bf16, tile);
  p.tilesM = byDepth ? ceilDiv(p.m, facts.rows) : mapped;
  p.tilesN = ceilDiv(p.n, facts.columns);
  p.aCopy = copyUnit(args.a, size, p.lda, 0);
  p.bCopy = copyUnit(args.b, size, p.ldb, p.bBatch);
  p.cVector = divides(4 * outSize, args.c, outSize, p.ldc, p.cBatch);

  void* plan = workspace(context, sizeof(GroupPlan) + static_cast<size_t>(mapped) * sizeof(GroupTile));
  if (plan == nullptr) return 1;
  p.plan = static_cast<const GroupPlan*>(plan);
  if (const int status = launchGroupPlan(context, p.offsets, args.experts, args.rows,
                                         byDepth ? 0 : facts.rows, static_cast<GroupPlan*>(plan))) {
    return status;
  }
  return launchGemm(context, p, bf16, tile, transA, transB, matrices);
}

}  // namespace

size_t gemmScratchBytes(const MatmulArgs& args, int64_t processors) {
  if (empty(args) || !knownDtypes(args.dtype, args.outDtype)) return 0;
  size_t bytes = ownScratchBytes(args, processors);
#if !defined(ANNEAL_SIMT)
  if (cublasLtServes()) bytes = bytes > kCublasLtScratchBytes ? bytes : kCublasLtScratchBytes;
#endif
  return (bytes + kScratchAlignment - 1) / kScratchAlignment * kScratchAlignment;
}

int gemm(KernelContext* context, const MatmulArgs& args, void* scratch, size_t scratchBytes,
         const GemmEpilogue& epilogue, const char* what) {
  if (!knownDtypes(args.dtype, args.outDtype)) {
    return fail(
        context,
        "%s: a matrix product takes f32 or bf16 operands and gives f32 or their dtype; got %s and %s into %s",
        what, dtypeName(args.dtype), dtypeName(args.dtype), dtypeName(args.outDtype));
  }
  if (empty(args)) return 0;
#if !defined(ANNEAL_SIMT)
  switch (cublasLtGemm(context, args, scratch, scratchBytes, epilogue, what)) {
    case CublasLtResult::kQueued:
      return 0;
    case CublasLtResult::kFailed:
      return 1;
    case CublasLtResult::kNotServed:
      break;
  }
#else
  static_cast<void>(what);
#endif
  return ownGemm(context, args, scratch, scratchBytes, epilogue);
}

const char* gemmLibrary() {
#if defined(ANNEAL_SIMT)
  return "own kernels (a simulated device has no library)";
#else
  return cublasLtDescription();
#endif
}

void registerMatmul(Backend& table) {
  table.kernels[kKernel_matmul] = matmul;
  table.kernels[kKernel_groupedMatmul] = groupedMatmul;
}

}  // namespace anneal::cuda
