// cublas_lt.cc — row-major products as the column-major ones that cuBLASLt computes: cᵀ = op(b)ᵀ·op(a)ᵀ,
// which is the same memory read with rows and columns exchanged. Descriptors and the algorithm of a shape are
// made once and kept.
#include "cuda/cublas_lt.h"

#include <cuda_runtime.h>

#include <array>
#include <map>
#include <mutex>
#include <string>

#include "cuda/cublas_lt_library.h"

namespace anneal::cuda {
namespace {

using namespace lt;

// What an algorithm depends on. Numbers only, compared in order.
using Key = std::array<int64_t, 24>;

struct Product {
  MatmulDesc desc = nullptr;
  Layout a = nullptr, b = nullptr, c = nullptr;  // the library's: its a is our b
  Algo algo{};
  bool served = false;  // false: the library has no algorithm for it
};

struct State {
  std::mutex mutex;
  std::map<int, Handle> handles;  // by CUDA's device ordinal; null where the library refused
  std::map<Key, Product> products;
  std::string refusal;
  bool refused = false;
};

// Never destroyed: the library may be unloaded before it at the end of the process.
State& state() {
  static State* const shared = new State;
  return *shared;
}

constexpr size_t kMostProducts = 4096;

// The largest power of two up to 256 that divides the address.
uint32_t alignmentOf(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer) | 256u;
  return static_cast<uint32_t>(address & (~address + 1));
}

int dataType(int64_t dtype) { return dtype == kBF16 ? kR16BF : kR32F; }

void destroy(const Library& library, Product& product) {
  if (product.desc != nullptr) library.MatmulDescDestroy(product.desc);
  for (Layout layout : {product.a, product.b, product.c}) {
    if (layout != nullptr) library.MatrixLayoutDestroy(layout);
  }
}

template <typename T>
bool describe(const Library& library, MatmulDesc desc, int attribute, T value) {
  return library.MatmulDescSetAttribute(desc, attribute, &value, sizeof(value)) == kSuccess;
}

// A row-major matrix [rows, columns] whose rows are `stride` apart.
bool makeLayout(const Library& library, Layout* layout, int64_t dtype, int64_t rows, int64_t columns,
                int64_t stride, int64_t batch, int64_t batchStride) {
  const auto count = static_cast<int32_t>(batch);
  return library.MatrixLayoutCreate(layout, dataType(dtype), static_cast<uint64_t>(columns),
                                    static_cast<uint64_t>(rows), stride) == kSuccess &&
         (batch == 1 ||
          (library.MatrixLayoutSetAttribute(*layout, kLayoutBatchCount, &count, sizeof(count)) == kSuccess &&
           library.MatrixLayoutSetAttribute(*layout, kLayoutBatchStride, &batchStride, sizeof(batchStride)) ==
               kSuccess));
}

// Descriptors, and the algorithm that the library's heuristic puts first.
Product makeProduct(const Library& library, Handle handle, const MatmulArgs& args, bool gelu,
                    size_t scratchBytes) {
  Product product;
  const bool transA = args.transA != 0, transB = args.transB != 0, bias = args.bias != nullptr;
  const uint32_t epilogue = gelu   ? (bias ? kEpilogueGeluBias : kEpilogueGelu)
                            : bias ? kEpilogueBias
                                   : kEpilogueDefault;
  bool made = library.MatmulDescCreate(&product.desc, kCompute32F, kR32F) == kSuccess &&
              describe(library, product.desc, kDescTransA, transB ? kOperationT : kOperationN) &&
              describe(library, product.desc, kDescTransB, transA ? kOperationT : kOperationN) &&
              describe(library, product.desc, kDescEpilogue, epilogue);
  if (bias) {
    made = made && describe(library, product.desc, kDescBiasPointer, args.bias) &&
           describe(library, product.desc, kDescBiasType, static_cast<int32_t>(dataType(args.dtype)));
  }
  made = made &&
         makeLayout(library, &product.a, args.dtype, transB ? args.n : args.k, transB ? args.k : args.n,
                    args.ldb, args.batch, args.bBatch) &&
         makeLayout(library, &product.b, args.dtype, transA ? args.k : args.m, transA ? args.m : args.k,
                    args.lda, args.batch, args.aBatch) &&
         makeLayout(library, &product.c, args.outDtype, args.m, args.n, args.ldc, args.batch, args.cBatch);
  Preference preference = nullptr;
  made = made && library.MatmulPreferenceCreate(&preference) == kSuccess;
  const auto prefer = [&](int attribute, auto value) {
    made = made &&
           library.MatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)) == kSuccess;
  };
  prefer(kPreferenceWorkspace, static_cast<uint64_t>(scratchBytes));
  // Parts of a split k keep f32 sums, added in order: one rounding, and the same bits in every run.
  prefer(kPreferenceReductions, kReductionComputeType);
  prefer(kPreferenceAlignmentA, alignmentOf(args.b));
  prefer(kPreferenceAlignmentB, alignmentOf(args.a));
  prefer(kPreferenceAlignmentC, alignmentOf(args.c));
  prefer(kPreferenceAlignmentD, alignmentOf(args.c));
  HeuristicResult result{};
  int count = 0;
  product.served = made &&
                   library.MatmulAlgoGetHeuristic(handle, product.desc, product.a, product.b, product.c,
                                                  product.c, preference, 1, &result, &count) == kSuccess &&
                   count == 1 && result.state == kSuccess;
  product.algo = result.algo;
  if (preference != nullptr) library.MatmulPreferenceDestroy(preference);
  if (!product.served) {
    destroy(library, product);
    product = {};
  }
  return product;
}

Key keyOf(const MatmulArgs& args, int device, bool gelu, size_t scratchBytes) {
  const bool many = args.batch > 1;
  return {device,
          args.batch,
          args.m,
          args.n,
          args.k,
          args.transA != 0,
          args.transB != 0,
          args.lda,
          args.ldb,
          args.ldc,
          many ? args.aBatch : 0,
          many ? args.bBatch : 0,
          many ? args.cBatch : 0,
          args.dtype,
          args.outDtype,
          args.beta != 0.0,
          gelu,
          args.bias == nullptr ? 0 : alignmentOf(args.bias),
          alignmentOf(args.a),
          alignmentOf(args.b),
          alignmentOf(args.c),
          static_cast<int64_t>(scratchBytes)};
}

// The device's handle; null where the library does not work on it (an older driver, say).
Handle handleOf(State& shared, const Library& library, int device) {
  const auto known = shared.handles.find(device);
  if (known != shared.handles.end()) return known->second;
  Handle handle = nullptr;
  const Status status = library.Create(&handle);
  if (status != kSuccess) {
    handle = nullptr;
    shared.refused = true;
    shared.refusal = "cuBLASLt " + versionText(search().version) + " in " + search().path +
                     " refuses this device or driver: status " + std::to_string(status);
  }
  shared.handles[device] = handle;
  return handle;
}

CublasLtResult unavailable(KernelContext* context, const char* what, const std::string& reason) {
  const Choice choice = search().choice;
  if (choice == Choice::kAny || choice == Choice::kOwn) return CublasLtResult::kNotServed;
  if (choice == Choice::kUnknown) {
    fail(context, "%s: %s", what, reason.c_str());
  } else {
    fail(context, "%s: ANNEAL_GEMM asks for cuBLASLt, which is not there: %s", what, reason.c_str());
  }
  return CublasLtResult::kFailed;
}

}  // namespace

bool cublasLtServes() {
  if (!search().found) return false;
  State& shared = state();
  const std::lock_guard<std::mutex> lock(shared.mutex);
  return !shared.refused;
}

CublasLtResult cublasLtGemm(KernelContext* context, const MatmulArgs& args, void* scratch,
                            size_t scratchBytes, const GemmEpilogue& epilogue, const char* what) {
  const Search& found = search();
  if (!found.found) return unavailable(context, what, found.reason);
  const bool gelu = epilogue.activation == GemmActivation::kGeluTanh;
  const bool rowsFit = args.lda >= (args.transA != 0 ? args.m : args.k) &&
                       args.ldb >= (args.transB != 0 ? args.k : args.n) && args.ldc >= args.n;
  if (args.k <= 0 || !rowsFit || args.batch > INT32_MAX ||
      (epilogue.activation != GemmActivation::kNone && !gelu)) {
    return CublasLtResult::kNotServed;
  }
  const Library& library = found.library;
  State& shared = state();
  const std::lock_guard<std::mutex> lock(shared.mutex);
  int device = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return CublasLtResult::kNotServed;
  const Handle handle = handleOf(shared, library, device);
  if (handle == nullptr) return unavailable(context, what, shared.refusal);

  const size_t usable = scratch == nullptr                     ? 0
                        : scratchBytes < kCublasLtScratchBytes ? scratchBytes
                                                               : kCublasLtScratchBytes;
  const Key key = keyOf(args, device, gelu, usable);
  auto entry = shared.products.find(key);
  if (entry == shared.products.end()) {
    if (shared.products.size() >= kMostProducts) {
      for (auto& [old, product] : shared.products) destroy(library, product);
      shared.products.clear();
    }
    entry = shared.products.emplace(key, makeProduct(library, handle, args, gelu, usable)).first;
  }
  const Product& product = entry->second;
  if (!product.served) return CublasLtResult::kNotServed;
  const auto alpha = static_cast<float>(args.alpha), beta = static_cast<float>(args.beta);
  if (args.bias != nullptr) describe(library, product.desc, kDescBiasPointer, args.bias);
  const Status status = library.Matmul(handle, product.desc, &alpha, args.b, product.a, args.a, product.b,
                                       &beta, args.c, product.c, args.c, product.c, &product.algo,
                                       usable == 0 ? nullptr : scratch, usable, context->stream);
  if (status == kSuccess) return CublasLtResult::kQueued;
  fail(context, "%s: cuBLASLt %s failed on [%lld, %lld] × [%lld, %lld] %s: status %d", what,
       versionText(found.version).c_str(), static_cast<long long>(args.m), static_cast<long long>(args.k),
       static_cast<long long>(args.k), static_cast<long long>(args.n), dtypeName(args.dtype), status);
  return CublasLtResult::kFailed;
}

const char* cublasLtDescription() {
  static thread_local std::string text;
  const Search& found = search();
  State& shared = state();
  const std::lock_guard<std::mutex> lock(shared.mutex);
  if (found.found && !shared.refused) {
    text = "cuBLASLt " + versionText(found.version) + " (" + found.path + ")";
  } else {
    text = "own kernels (" + (found.found ? shared.refusal : found.reason) + ")";
  }
  return text.c_str();
}

}  // namespace anneal::cuda
