// cudart.h — a stand-in for the CUDA runtime library, so that the host side of the CUDA backend runs without
// a GPU: each stream is a thread that works through its queue late, device memory is host memory, kernels are
// named functions of the test. What the backend gets wrong here (staging memory reused too early, a lost
// error) it gets wrong there.
#pragma once

#include <cuda_runtime_api.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace fake {

// What the machine is.
struct Machine {
  std::string name = "A GPU";
  int driver = 13000;  // version as cudaDriverGetVersion gives it; 0: none
  int devices = 1;
  int major = 9, minor = 0;
  size_t memory = size_t{1} << 30;
  std::atomic<int> delayMicroseconds{0};  // before each piece of work of a stream
};
Machine& machine();

// What a launch of the kernel whose name contains `name` does, on the stream's thread. `sizes` are those of
// its parameters, whose copies it receives.
using Arguments = std::vector<std::vector<char>>;
using Body = std::function<void(const Arguments& arguments)>;
void defineKernel(const std::string& name, std::vector<size_t> sizes, Body body);

// The next launch gives this error instead.
void failNextLaunch(cudaError_t error);
// From now on every call gives this error, as after a kernel's illegal access.
void breakDevice(cudaError_t error);

// A stream stops before its next piece of work until it is let go.
void hold();
void letGo();

// What was made and not ended yet: device allocations, pinned allocations, events and streams.
size_t alive();
size_t usedMemory();
// Number of calls of cudaFuncSetAttribute.
size_t attributeCalls();

}  // namespace fake
