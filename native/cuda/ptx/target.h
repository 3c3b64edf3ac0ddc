// target.h — the two targets of every kernel source: a GPU through nvcc, and the CPU through native/simt.
// Kernels include this instead of CUDA's headers; what has a device body and a host body lives in this folder
// alone.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(ANNEAL_SIMT)
#include "simt/device.h"
#define ANNEAL_DEVICE inline
#else
#include <cuda_runtime.h>
#define ANNEAL_DEVICE __device__ __forceinline__
#endif

namespace anneal::cuda {

constexpr unsigned kWarpSize = 32;
constexpr uint32_t kAllLanes = 0xffffffffu;

// First global index of this thread, and the distance to its next one, over a one-dimensional grid.
ANNEAL_DEVICE int64_t globalIndex() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
ANNEAL_DEVICE int64_t globalStride() { return int64_t{gridDim.x} * blockDim.x; }

ANNEAL_DEVICE unsigned laneId() { return threadIdx.x % kWarpSize; }
ANNEAL_DEVICE unsigned warpId() { return threadIdx.x / kWarpSize; }

ANNEAL_DEVICE float asFloat(uint32_t bits) { return __builtin_bit_cast(float, bits); }
ANNEAL_DEVICE uint32_t asBits(float value) { return __builtin_bit_cast(uint32_t, value); }

}  // namespace anneal::cuda
