// runtime.h — the opened GPU as the files of this room share it: errors.cu turns CUDA's codes into messages,
// memory.cu holds device memory, transfer.cu moves bytes between host and device, runtime.cu opens and
// closes, and backend.cu exports it all. Kernels see device_state.h and launch.h alone.
#pragma once

#include <cuda_runtime.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "core/backend.h"
#include "cuda/device_state.h"

namespace anneal::cuda {

// What was queued and not yet seen to end, so that an error which the device reports late can name its
// kernel. Used by the executor and the waiter.
class LaunchLog {
 public:
  // A kernel is about to be queued.
  void add(uint32_t kernel);
  // Number of kernels queued so far, and: the first `position` of them have ended well.
  uint64_t position();
  void ended(uint64_t position);
  // Writes "kernel a" or "one of a, b" for the kernels not known to have ended, now that one of them is known
  // to have failed: nothing that follows is added. Gives how many different kernels that are; `only` is one
  // of them.
  size_t suspects(char* text, size_t bytes, uint32_t* only);

 private:
  static constexpr size_t kKept = 256;
  std::mutex mutex_;
  uint16_t kernels_[kKept];
  uint64_t added_ = 0, ended_ = 0;
  bool frozen_ = false;
};

// The way to the device: pinned memory used as a ring, from which each piece is copied by the device while
// the host already fills the next. The executor's alone.
class Uploads {
 public:
  // Queues the copy; returns when `source` has been read. Waits only where the ring is full.
  cudaError_t copy(cudaStream_t stream, void* destination, const void* source, size_t bytes);
  void close();

 private:
  static constexpr size_t kBytes = size_t{16} << 20, kPieceBytes = size_t{2} << 20, kPieces = 256;
  struct Piece {
    size_t begin;
    cudaEvent_t copied;
  };

  cudaError_t open();
  cudaError_t reserve(size_t bytes, size_t* begin);

  char* ring_ = nullptr;
  std::vector<Piece> pieces_;  // a ring as well: `count_` of them from `first_` are in use
  size_t first_ = 0, count_ = 0, head_ = 0;
};

// A read under way.
struct Ticket {
  char* staging = nullptr;  // pinned memory of `capacity` bytes
  size_t capacity = 0;
  Fault* fault = nullptr;  // pinned: the fault record as the stream left it
  cudaEvent_t done = nullptr;
  void* destination = nullptr;      // host
  size_t bytes = 0;                 // to be copied from the staging memory to the destination
  uint64_t position = 0;            // of the launch log
  cudaError_t error = cudaSuccess;  // of queueing the read
};

// The way back. Taken by the executor, given back by the waiter.
class Tickets {
 public:
  cudaError_t take(size_t bytes, Ticket** ticket);
  void give(Ticket* ticket);
  void close();

 private:
  std::mutex mutex_;
  std::vector<Ticket*> all_, unused_;
};

// Kernel calls noted as one thing to launch.
struct Graph {
  cudaGraphExec_t executable = nullptr;
  uint64_t workspaceMoves = 0;  // when it was noted: its kernels hold the workspace's address
  bool holds[kKernelCount] = {};
};

struct Device : DeviceState {
  int ordinal = 0;
  cudaStream_t stream = nullptr;
  bool blocking = false;  // ANNEAL_CUDA_BLOCKING: every kernel is waited for
  LaunchLog log;
  Uploads uploads;
  Tickets tickets;
  void* workspace = nullptr;
  std::atomic<size_t> workspaceBytes{0};
  uint64_t workspaceMoves = 0;                           // how often it was allocated anew
  std::unordered_map<const void*, size_t> sharedLimits;  // by kernel function, where raised
  Graph* capturing = nullptr;                            // the graph that is noted now
};

inline Device& deviceOf(KernelContext* context) { return static_cast<Device&>(stateOf(context)); }

// Makes a device that of the calling thread.
cudaError_t chooseDevice(int ordinal);
int useDevice(KernelContext* context);

// Whether the error is what a kernel left behind: from then on every call of the process gives it.
bool leftByKernel(cudaError_t error);

// The status of a CUDA call: 0, or 1 with a message that says what could not be done and why. An error that a
// kernel left behind is reported as that kernel's.
int check(KernelContext* context, cudaError_t error, const char* action);

const char* kernelName(uint32_t kernel);

// Runs the body of a function of the C ABI, past which no exception may go.
template <typename Body>
int guarded(KernelContext* context, Body body) {
  try {
    return body();
  } catch (const std::exception& error) {
    return fail(context, "%s", error.what());
  }
}

// memory.cu
void* allocate(KernelContext* context, size_t bytes);
void release(KernelContext* context, void* data);
int memory(KernelContext* context, DeviceMemory* memory);

// transfer.cu
int copyIn(KernelContext* context, void* destination, const void* source, size_t bytes);
int copyOut(KernelContext* context, void* destination, const void* source, size_t bytes, void** ticket);
int finish(KernelContext* context, void* ticket);

// graph.cu
int beginCapture(KernelContext* context);
int endCapture(KernelContext* context, void** graph);
int launchGraph(KernelContext* context, void* graph);
void releaseGraph(KernelContext* context, void* graph);

// runtime.cu
extern const DeviceApi kDeviceApi;

}  // namespace anneal::cuda
