// cublas_lt_abi.h — the part of cuBLASLt's binary interface that anneal calls, versions 12 and 13: names and
// numbers as its reference manual gives them. The library is opened at run time, so its headers are no build
// dependency; tests/native/cublas_lt.test.ts compares every line with them where they are installed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace anneal::cuda::lt {

using Handle = void*;
using MatmulDesc = void*;
using Layout = void*;
using Preference = void*;
using Stream = void*;
using Status = int;

constexpr Status kSuccess = 0;

// cudaDataType_t, cublasComputeType_t, cublasOperation_t
constexpr int kR32F = 0, kR16BF = 14;
constexpr int kCompute32F = 68;
constexpr int32_t kOperationN = 0, kOperationT = 1;

// cublasLtMatmulDescAttributes_t; values are int32_t but for the epilogue (uint32_t) and the pointer
constexpr int kDescTransA = 3, kDescTransB = 4, kDescEpilogue = 7, kDescBiasPointer = 8, kDescBiasType = 26;

// cublasLtEpilogue_t; GELU is the tanh form
constexpr uint32_t kEpilogueDefault = 1, kEpilogueBias = 4, kEpilogueGelu = 32, kEpilogueGeluBias = 36;

// cublasLtMatrixLayoutAttribute_t: int32_t and int64_t (elements)
constexpr int kLayoutBatchCount = 5, kLayoutBatchStride = 6;

// cublasLtMatmulPreferenceAttributes_t: uint64_t bytes, uint32_t mask, uint32_t bytes
constexpr int kPreferenceWorkspace = 1, kPreferenceReductions = 3;
constexpr int kPreferenceAlignmentA = 5, kPreferenceAlignmentB = 6, kPreferenceAlignmentC = 7,
              kPreferenceAlignmentD = 8;

// cublasLtReductionScheme_t: how a split k is put together; this one adds f32 sums from the workspace, in
// order.
constexpr uint32_t kReductionComputeType = 2;

struct Algo {
  uint64_t data[8];
};

struct HeuristicResult {
  Algo algo;
  size_t workspaceSize;
  Status state;
  float wavesCount;
  int reserved[4];
};

// The functions: ANNEAL_CUBLASLT(name without "cublasLt", result, parameters…).
#define ANNEAL_CUBLASLT_FUNCTIONS(X)                                                                        \
  X(GetVersion, size_t)                                                                                     \
  X(Create, Status, Handle*)                                                                                \
  X(Destroy, Status, Handle)                                                                                \
  X(MatmulDescCreate, Status, MatmulDesc*, int, int)                                                        \
  X(MatmulDescDestroy, Status, MatmulDesc)                                                                  \
  X(MatmulDescSetAttribute, Status, MatmulDesc, int, const void*, size_t)                                   \
  X(MatrixLayoutCreate, Status, Layout*, int, uint64_t, uint64_t, int64_t)                                  \
  X(MatrixLayoutDestroy, Status, Layout)                                                                    \
  X(MatrixLayoutSetAttribute, Status, Layout, int, const void*, size_t)                                     \
  X(MatmulPreferenceCreate, Status, Preference*)                                                            \
  X(MatmulPreferenceDestroy, Status, Preference)                                                            \
  X(MatmulPreferenceSetAttribute, Status, Preference, int, const void*, size_t)                             \
  X(MatmulAlgoGetHeuristic, Status, Handle, MatmulDesc, Layout, Layout, Layout, Layout, Preference, int,    \
    HeuristicResult*, int*)                                                                                 \
  X(Matmul, Status, Handle, MatmulDesc, const void*, const void*, Layout, const void*, Layout, const void*, \
    const void*, Layout, void*, Layout, const Algo*, void*, size_t, Stream)

// The resolved library: one pointer a function, named as in the table.
struct Library {
#define ANNEAL_CUBLASLT_POINTER(name, result, ...) result (*name)(__VA_ARGS__);
  ANNEAL_CUBLASLT_FUNCTIONS(ANNEAL_CUBLASLT_POINTER)
#undef ANNEAL_CUBLASLT_POINTER
};

}  // namespace anneal::cuda::lt
