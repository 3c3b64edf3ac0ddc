// cudart.cc — the functions of the CUDA runtime that the backend calls.
#include "cudart.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

struct CUstream_st {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> queue;
  uint64_t queued = 0, done = 0;
  bool stopping = false;
  CUgraph_st* graph = nullptr;  // what is captured now
  std::thread thread;
};

struct CUgraph_st {
  std::vector<std::function<void()>> tasks;
};

struct CUgraphExec_st {
  std::vector<std::function<void()>> tasks;
};

struct CUevent_st {
  CUstream_st* stream = nullptr;
  uint64_t position = 0;
  bool timing = true;
  std::chrono::steady_clock::time_point at;
};

namespace {

using Clock = std::chrono::steady_clock;

struct Kernel {
  std::string name;
  std::vector<size_t> sizes;
  fake::Body body;
};

std::mutex state;
std::condition_variable released;
bool held = false;
std::map<void*, size_t> deviceMemory;
std::map<char*, size_t> pinnedMemory;
std::deque<Kernel> kernels;

// Kernels register themselves before the variables of this file are constructed.
std::map<const void*, std::string>& functions() {
  static std::map<const void*, std::string> functions;
  return functions;
}

size_t used = 0, objects = 0, attributes = 0;
cudaError_t nextLaunch = cudaSuccess;
std::atomic<cudaError_t> broken{cudaSuccess};
thread_local cudaError_t last = cudaSuccess;
// Whether this thread captures a stream: then it may neither wait nor allocate.
thread_local bool capturing = false;

cudaError_t result(cudaError_t error) {
  if (error == cudaSuccess) error = broken.load();
  if (error != cudaSuccess) last = error;
  return error;
}

// The program is wrong, not the data: nothing to go on with.
void violation(const char* what) {
  std::printf("violation: %s\n", what);
  std::fflush(stdout);
  std::_Exit(3);
}

bool pinned(const void* data, size_t bytes) {
  const std::lock_guard<std::mutex> lock(state);
  auto* const begin = static_cast<char*>(const_cast<void*>(data));
  auto at = pinnedMemory.upper_bound(begin);
  return at != pinnedMemory.begin() && begin + bytes <= std::prev(at)->first + std::prev(at)->second;
}

void work(CUstream_st* stream) {
  std::unique_lock<std::mutex> lock(stream->mutex);
  for (;;) {
    stream->changed.wait(lock, [&] { return stream->stopping || !stream->queue.empty(); });
    if (stream->queue.empty()) return;
    const auto task = std::move(stream->queue.front());
    stream->queue.pop_front();
    lock.unlock();
    {
      std::unique_lock<std::mutex> hold(state);
      released.wait(hold, [] { return !held; });
    }
    if (fake::machine().delayMicroseconds > 0)
      std::this_thread::sleep_for(std::chrono::microseconds(fake::machine().delayMicroseconds));
    if (broken.load() == cudaSuccess) task();
    lock.lock();
    stream->done += 1;
    stream->changed.notify_all();
  }
}

void refuseInCapture(const char* what) {
  if (capturing) violation(what);
}

void count(int change) {
  const std::lock_guard<std::mutex> lock(state);
  objects += static_cast<size_t>(change);
}

uint64_t enqueue(CUstream_st* stream, std::function<void()> task) {
  const std::lock_guard<std::mutex> lock(stream->mutex);
  if (stream->graph != nullptr) {
    stream->graph->tasks.push_back(std::move(task));
    return stream->queued;
  }
  stream->queue.push_back(std::move(task));
  stream->changed.notify_all();
  return ++stream->queued;
}

void waitFor(CUstream_st* stream, uint64_t position) {
  std::unique_lock<std::mutex> lock(stream->mutex);
  stream->changed.wait(lock, [&] { return stream->done >= position; });
}

}  // namespace

namespace fake {

Machine& machine() {
  static Machine machine;
  return machine;
}
void defineKernel(const std::string& name, std::vector<size_t> sizes, Body body) {
  kernels.push_back({name, std::move(sizes), std::move(body)});
}
void failNextLaunch(cudaError_t error) { nextLaunch = error; }
void breakDevice(cudaError_t error) { broken = error; }
void hold() {
  const std::lock_guard<std::mutex> lock(state);
  held = true;
}
void letGo() {
  const std::lock_guard<std::mutex> lock(state);
  held = false;
  released.notify_all();
}
size_t alive() {
  const std::lock_guard<std::mutex> lock(state);
  return deviceMemory.size() + pinnedMemory.size() + objects;
}
size_t usedMemory() {
  const std::lock_guard<std::mutex> lock(state);
  return used;
}
size_t attributeCalls() { return attributes; }

}  // namespace fake

extern "C" {

cudaError_t cudaDriverGetVersion(int* version) {
  *version = fake::machine().driver;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  if (fake::machine().driver < 13000) return result(cudaErrorInsufficientDriver);
  if (fake::machine().devices == 0) return result(cudaErrorNoDevice);
  *count = fake::machine().devices;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::memset(properties, 0, sizeof(*properties));
  std::snprintf(properties->name, sizeof(properties->name), "%s", fake::machine().name.c_str());
  properties->totalGlobalMem = fake::machine().memory;
  properties->multiProcessorCount = 132;
  properties->major = fake::machine().major;
  properties->minor = fake::machine().minor;
  properties->l2CacheSize = 50 << 20;
  properties->sharedMemPerBlockOptin = 227 << 10;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int) { return result(cudaSuccess); }
cudaError_t cudaGetLastError() {
  const cudaError_t error = last;
  last = broken.load();
  return error;
}
const char* cudaGetErrorName(cudaError_t error) {
  return error == cudaErrorIllegalAddress           ? "cudaErrorIllegalAddress"
         : error == cudaErrorNoKernelImageForDevice ? "cudaErrorNoKernelImageForDevice"
                                                    : "cudaErrorOther";
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorIllegalAddress ? "an illegal memory access was encountered" : "text of the error";
}

cudaError_t cudaMalloc(void** data, size_t bytes) {
  refuseInCapture("cudaMalloc while the thread captures");
  *data = nullptr;
  if (broken.load() != cudaSuccess) return result(cudaSuccess);
  const std::lock_guard<std::mutex> lock(state);
  if (used + bytes > fake::machine().memory) return result(cudaErrorMemoryAllocation);
  *data = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  deviceMemory[*data] = bytes;
  used += bytes;
  return cudaSuccess;
}
cudaError_t cudaFree(void* data) {
  refuseInCapture("cudaFree while the thread captures");
  if (data == nullptr) return result(cudaSuccess);
  const std::lock_guard<std::mutex> lock(state);
  const auto found = deviceMemory.find(data);
  if (found == deviceMemory.end()) violation("cudaFree of memory that is not allocated");
  used -= found->second;
  deviceMemory.erase(found);
  std::free(data);
  return result(cudaSuccess);
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = fake::machine().memory;
  *free = *total - fake::usedMemory();
  return result(cudaSuccess);
}
cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned) {
  if (broken.load() != cudaSuccess) return result(cudaSuccess);
  const std::lock_guard<std::mutex> lock(state);
  *data = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  pinnedMemory[static_cast<char*>(*data)] = bytes;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* data) {
  if (data == nullptr) return result(cudaSuccess);
  const std::lock_guard<std::mutex> lock(state);
  if (pinnedMemory.erase(static_cast<char*>(data)) == 0)
    violation("cudaFreeHost of memory that is not allocated");
  std::free(data);
  return result(cudaSuccess);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (flags != cudaStreamNonBlocking) violation("the stream waits for the default stream");
  *stream = new CUstream_st;
  (*stream)->thread = std::thread(work, *stream);
  const std::lock_guard<std::mutex> lock(state);
  objects += 1;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  refuseInCapture("cudaStreamSynchronize while the thread captures");
  waitFor(stream, stream->queued);
  return result(cudaSuccess);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  {
    const std::lock_guard<std::mutex> lock(stream->mutex);
    stream->stopping = true;
    stream->changed.notify_all();
  }
  stream->thread.join();
  delete stream;
  const std::lock_guard<std::mutex> lock(state);
  objects -= 1;
  return result(cudaSuccess);
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (mode != cudaStreamCaptureModeThreadLocal) violation("the capture stops other threads");
  if (capturing) violation("a capture inside another one");
  if (broken.load() != cudaSuccess) return result(cudaSuccess);
  capturing = true;
  const std::lock_guard<std::mutex> lock(stream->mutex);
  stream->graph = new CUgraph_st;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (!capturing) violation("the end of a capture that has not begun");
  capturing = false;
  const std::lock_guard<std::mutex> lock(stream->mutex);
  *graph = std::exchange(stream->graph, nullptr);
  count(1);
  return result(cudaSuccess);
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  if (broken.load() != cudaSuccess) return result(cudaSuccess);
  *executable = new CUgraphExec_st{graph->tasks};
  count(1);
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  count(-1);
  return result(cudaSuccess);
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  if (capturing) violation("a graph inside a graph");
  enqueue(stream, [tasks = executable->tasks] {
    for (const auto& task : tasks) {
      if (broken.load() == cudaSuccess) task();
    }
  });
  return result(cudaSuccess);
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  count(-1);
  return result(cudaSuccess);
}

cudaError_t cudaMemcpyAsync(void* destination, const void* source, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (kind == cudaMemcpyHostToDevice && !pinned(source, bytes))
    violation("copy from memory that is not pinned");
  if (kind == cudaMemcpyDeviceToHost && !pinned(destination, bytes))
    violation("copy to memory that is not pinned");
  enqueue(stream, [=] { std::memmove(destination, source, bytes); });
  return result(cudaSuccess);
}
cudaError_t cudaMemsetAsync(void* destination, int byte, size_t bytes, cudaStream_t stream) {
  enqueue(stream, [=] { std::memset(destination, byte, bytes); });
  return result(cudaSuccess);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  *event = new CUevent_st;
  (*event)->timing = (flags & cudaEventDisableTiming) == 0;
  const std::lock_guard<std::mutex> lock(state);
  objects += 1;
  return result(cudaSuccess);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  const std::lock_guard<std::mutex> lock(state);
  objects -= 1;
  return result(cudaSuccess);
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->stream = stream;
  event->position = enqueue(stream, [event] {
    if (event->timing) event->at = Clock::now();
  });
  return result(cudaSuccess);
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const std::lock_guard<std::mutex> lock(event->stream->mutex);
  return event->stream->done >= event->position ? result(cudaSuccess) : result(cudaErrorNotReady);
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  waitFor(event->stream, event->position);
  return result(cudaSuccess);
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  if (!from->timing || !to->timing) return result(cudaErrorInvalidResourceHandle);
  *milliseconds = std::chrono::duration<float, std::milli>(to->at - from->at).count();
  return result(cudaSuccess);
}

cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) {
  attributes += 1;
  return result(cudaSuccess);
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** arguments) {
  if (nextLaunch != cudaSuccess) return result(std::exchange(nextLaunch, cudaSuccess));
  for (const Kernel& kernel : kernels) {
    if (functions()[function].find(kernel.name) == std::string::npos) continue;
    fake::Arguments copies;
    for (size_t i = 0; i < kernel.sizes.size(); ++i) {
      const char* argument = static_cast<const char*>(arguments[i]);
      copies.emplace_back(argument, argument + kernel.sizes[i]);
    }
    enqueue(config->stream, [copies, &kernel] { kernel.body(copies); });
    return result(cudaSuccess);
  }
  violation("launch of a kernel that the test does not define");
  return cudaErrorUnknown;
}

// What nvcc's code calls when the program starts.
void** __cudaRegisterFatBinary(void*) { return nullptr; }
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
void __cudaRegisterFunction(void**, const char* function, char*, const char* name, int, void*, void*, void*,
                            void*, int*) {
  functions()[function] = name;
}
cudaError_t __cudaLaunchKernel(const void*, dim3, dim3, void**, size_t, cudaStream_t) {
  return cudaErrorUnknown;
}
cudaError_t __cudaGetKernel(void*, const void*) { return cudaErrorUnknown; }
unsigned __cudaPopCallConfiguration(dim3*, dim3*, size_t*, void*) { return 1; }
}
