// device.h — CUDA's language as seen by kernel sources that are compiled for the CPU: qualifiers, indices,
// and the functions behind the host bodies of cuda/ptx. Each call here is made by one fiber, which stands for
// one CUDA thread.
#pragma once

#include <cstddef>
#include <cstdint>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned xs = 1, unsigned ys = 1, unsigned zs = 1) : x(xs), y(ys), z(zs) {}
};

namespace anneal::simt {

uint3 threadIndex();
uint3 blockIndex();
dim3 blockShape();
dim3 gridShape();

// Checked copies between a thread and global memory; the address must be a multiple of the size (1 to 16
// bytes).
void readGlobal(void* destination, const void* address, size_t bytes);
void writeGlobal(void* address, const void* source, size_t bytes);

void* sharedArena();
uint32_t sharedAddress(const void* pointer);

// Warp collectives. `bytes` of the value of lane `lane` (a lane outside the mask is a violation).
void shuffleBytes(void* value, size_t bytes, unsigned lane, uint32_t mask);
template <typename T>
T shuffle(T value, unsigned lane, uint32_t mask) {
  shuffleBytes(&value, sizeof(T), lane, mask);
  return value;
}
uint32_t ballot(bool predicate, uint32_t mask);
void syncWarp(uint32_t mask);

void syncThreads();
void namedBarrier(unsigned id, unsigned threads, bool wait);
void fenceDevice();

uint32_t atomicAdd(uint32_t* address, uint32_t value);
int32_t atomicAdd(int32_t* address, int32_t value);
uint64_t atomicMax(uint64_t* address, uint64_t value);
uint64_t atomicCompare(uint64_t* address, uint64_t expected, uint64_t value);

}  // namespace anneal::simt

#define threadIdx (::anneal::simt::threadIndex())
#define blockIdx (::anneal::simt::blockIndex())
#define blockDim (::anneal::simt::blockShape())
#define gridDim (::anneal::simt::gridShape())
