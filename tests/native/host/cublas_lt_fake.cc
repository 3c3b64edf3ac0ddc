// cublas_lt_fake.cc — a library with cuBLASLt's functions that multiplies on the host, in column-major order
// as the manual defines it, and refuses what the real one refuses: with it, what native/cuda/cublas_lt.cc
// asks for is checked by its result.
#include <cmath>
#include <cstdint>
#include <cstring>

#include "cuda/cublas_lt_abi.h"

using namespace anneal::cuda::lt;

namespace {

constexpr Status kInvalid = 7;

struct FakeDesc {
  int32_t transA = 0, transB = 0, biasType = -1;
  uint32_t epilogue = kEpilogueDefault;
  const void* bias = nullptr;
};

struct FakeLayout {
  int type;
  int64_t rows, columns, stride;
  int32_t batch = 1;
  int64_t batchStride = 0;
};

struct FakePreference {
  uint64_t workspace = 0;
  uint32_t reductions = 7, alignment[4] = {256, 256, 256, 256};
};

float read(const void* data, int type, int64_t i) {
  if (type == kR32F) return static_cast<const float*>(data)[i];
  const uint32_t bits = uint32_t{static_cast<const uint16_t*>(data)[i]} << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

void write(void* data, int type, int64_t i, float value) {
  if (type == kR32F) {
    static_cast<float*>(data)[i] = value;
    return;
  }
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  static_cast<uint16_t*>(data)[i] = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

template <typename T>
Status set(T* field, const void* value, size_t bytes) {
  if (bytes != sizeof(T)) return kInvalid;
  std::memcpy(field, value, bytes);
  return kSuccess;
}

}  // namespace

extern "C" {

size_t cublasLtGetVersion() { return 130203; }

Status cublasLtCreate(Handle* handle) {
  *handle = new int(1);
  return kSuccess;
}
Status cublasLtDestroy(Handle handle) {
  delete static_cast<int*>(handle);
  return kSuccess;
}

Status cublasLtMatmulDescCreate(MatmulDesc* desc, int compute, int scale) {
  if (compute != kCompute32F || scale != kR32F) return kInvalid;
  *desc = new FakeDesc;
  return kSuccess;
}
Status cublasLtMatmulDescDestroy(MatmulDesc desc) {
  delete static_cast<FakeDesc*>(desc);
  return kSuccess;
}
Status cublasLtMatmulDescSetAttribute(MatmulDesc raw, int attribute, const void* value, size_t bytes) {
  auto* desc = static_cast<FakeDesc*>(raw);
  switch (attribute) {
    case kDescTransA:
      return set(&desc->transA, value, bytes);
    case kDescTransB:
      return set(&desc->transB, value, bytes);
    case kDescEpilogue:
      return set(&desc->epilogue, value, bytes);
    case kDescBiasPointer:
      return set(&desc->bias, value, bytes);
    case kDescBiasType:
      return set(&desc->biasType, value, bytes);
    default:
      return kInvalid;
  }
}

Status cublasLtMatrixLayoutCreate(Layout* layout, int type, uint64_t rows, uint64_t columns, int64_t stride) {
  *layout = new FakeLayout{type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), stride};
  return kSuccess;
}
Status cublasLtMatrixLayoutDestroy(Layout layout) {
  delete static_cast<FakeLayout*>(layout);
  return kSuccess;
}
Status cublasLtMatrixLayoutSetAttribute(Layout raw, int attribute, const void* value, size_t bytes) {
  auto* layout = static_cast<FakeLayout*>(raw);
  if (attribute == kLayoutBatchCount) return set(&layout->batch, value, bytes);
  return attribute == kLayoutBatchStride ? set(&layout->batchStride, value, bytes) : kInvalid;
}

Status cublasLtMatmulPreferenceCreate(Preference* preference) {
  *preference = new FakePreference;
  return kSuccess;
}
Status cublasLtMatmulPreferenceDestroy(Preference preference) {
  delete static_cast<FakePreference*>(preference);
  return kSuccess;
}
Status cublasLtMatmulPreferenceSetAttribute(Preference raw, int attribute, const void* value, size_t bytes) {
  auto* preference = static_cast<FakePreference*>(raw);
  if (attribute == kPreferenceWorkspace) return set(&preference->workspace, value, bytes);
  if (attribute == kPreferenceReductions) return set(&preference->reductions, value, bytes);
  if (attribute < kPreferenceAlignmentA || attribute > kPreferenceAlignmentD) return kInvalid;
  return set(&preference->alignment[attribute - kPreferenceAlignmentA], value, bytes);
}

// The one algorithm carries a mark that cublasLtMatmul looks for; products of a single column (a row of ours)
// have none, as an example of what is not served.
Status cublasLtMatmulAlgoGetHeuristic(Handle, MatmulDesc raw, Layout a, Layout b, Layout c, Layout d,
                                      Preference, int, HeuristicResult* result, int* count) {
  const auto* desc = static_cast<FakeDesc*>(raw);
  const auto *A = static_cast<FakeLayout*>(a), *B = static_cast<FakeLayout*>(b),
             *D = static_cast<FakeLayout*>(d);
  const int64_t rows = desc->transA != 0 ? A->columns : A->rows,
                depth = desc->transA != 0 ? A->rows : A->columns;
  const int64_t columns = desc->transB != 0 ? B->rows : B->columns,
                depthB = desc->transB != 0 ? B->columns : B->rows;
  *count = 0;
  if (rows != D->rows || columns != D->columns || depth != depthB || c != d) return kInvalid;
  if (A->stride < A->rows || B->stride < B->rows || D->stride < D->rows) return kInvalid;
  if (columns < 2) return kSuccess;
  *count = 1;
  *result = {};
  result->algo.data[0] = 77;
  return kSuccess;
}

Status cublasLtMatmul(Handle, MatmulDesc rawDesc, const void* alpha, const void* a, Layout rawA,
                      const void* b, Layout rawB, const void* beta, const void* c, Layout, void* d,
                      Layout rawD, const Algo* algo, void* workspace, size_t workspaceBytes, Stream) {
  const auto& desc = *static_cast<FakeDesc*>(rawDesc);
  const auto &A = *static_cast<FakeLayout*>(rawA), &B = *static_cast<FakeLayout*>(rawB),
             &D = *static_cast<FakeLayout*>(rawD);
  if (algo->data[0] != 77 || (workspace == nullptr) != (workspaceBytes == 0)) return kInvalid;
  const float alphaValue = *static_cast<const float*>(alpha), betaValue = *static_cast<const float*>(beta);
  const int64_t depth = desc.transA != 0 ? A.rows : A.columns;
  const bool bias = (desc.epilogue & kEpilogueBias) != 0, gelu = (desc.epilogue & kEpilogueGelu) != 0;
  for (int64_t batch = 0; batch < D.batch; ++batch) {
    for (int64_t j = 0; j < D.columns; ++j) {
      for (int64_t i = 0; i < D.rows; ++i) {
        double sum = 0;
        for (int64_t p = 0; p < depth; ++p) {
          const int64_t atA = desc.transA != 0 ? p + i * A.stride : i + p * A.stride;
          const int64_t atB = desc.transB != 0 ? j + p * B.stride : p + j * B.stride;
          sum += static_cast<double>(read(a, A.type, batch * A.batchStride + atA)) *
                 static_cast<double>(read(b, B.type, batch * B.batchStride + atB));
        }
        const int64_t at = batch * D.batchStride + i + j * D.stride;
        double value = static_cast<double>(alphaValue) * sum;
        if (betaValue != 0.0f)
          value += static_cast<double>(betaValue) * static_cast<double>(read(c, D.type, at));
        if (bias) value += static_cast<double>(read(desc.bias, desc.biasType, i));
        if (gelu)
          value = 0.5 * value * (1.0 + std::tanh(0.7978845608 * (value + 0.044715 * value * value * value)));
        write(d, D.type, at, static_cast<float>(value));
      }
    }
  }
  return kSuccess;
}

}  // extern "C"
