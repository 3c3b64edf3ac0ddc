// cuda_runtime.h — stands in for CUDA's header where native/cuda/cublas_lt.cc is tested on a host without a
// toolkit.
#pragma once

using cudaError_t = int;
constexpr cudaError_t cudaSuccess = 0;
inline cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
