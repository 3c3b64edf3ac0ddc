// backend.h — the C ABI between the addon and a backend: a versioned array of functions kernel[id](context,
// args), and for devices with memory of their own the functions of their life. A backend fills the entries it
// has; the addon turns a missing entry into an error that names kernel and device.
#pragma once

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>

#include "core/dtype.h"
#include "core/kernels.h"

namespace anneal {

// Raised whenever an Args struct, a kernel id or this header changes.
constexpr uint32_t kAbiVersion = 3;

// What a kernel, or a function of DeviceApi, may use. The executor, the waiter and the JavaScript thread have
// one each, with the same device and stream.
struct KernelContext {
  // The native stream of the device (cudaStream_t); null on the CPU, where the caller's thread is the stream.
  void* stream = nullptr;
  // The backend's own state of the opened device; null on the CPU.
  void* device = nullptr;
  // Id of the kernel that runs, and the number of kernels queued before it on this device plus one.
  uint32_t kernel = 0;
  uint64_t sequence = 0;
  // Message of a failure, written by fail(). Plain text that names the argument, the value and the limit.
  char error[512] = {0};
};

// Status of a kernel: 0 is success, anything else means that context->error says why.
using KernelFn = int (*)(KernelContext* context, const void* args);

// What a device is, for doctor and for host-side choices. Sizes in bytes.
struct DeviceFacts {
  char name[128];
  int64_t memory;             // of the whole device
  int64_t processors;         // multiprocessors
  int64_t computeCapability;  // 10·major + minor
  int64_t driverVersion;      // 1000·major + 10·minor, 0 where there is no driver
  int64_t l2Bytes;
  int64_t sharedBytes;  // most dynamic shared memory of a block
  char products[192];   // what multiplies matrices: a library with version and path, or the backend's own
                        // kernels
};

struct DeviceMemory {
  int64_t free;       // bytes that the device could still give to anybody
  int64_t total;      // bytes of the device
  int64_t workspace;  // bytes that the backend holds for its kernels' intermediate results
};

// The life of a device with memory of its own. Functions return 0 on success, else context->error says why.
// Those marked [any] are called from the JavaScript thread too, the others from the executor's thread alone;
// finish and elapsed are called from the waiter's thread.
struct DeviceApi {
  // Nothing that was released is handed out again and no size is rounded: allocations end where tensors end.
  int exactAllocations;
  // [any] Number of devices that answer; 0: `reason` says why there is none.
  int (*count)(char* reason, size_t reasonBytes);
  // [any]
  int (*describe)(KernelContext* context, int ordinal, DeviceFacts* facts);
  // [any] Fills context->stream and context->device; close ends both after everything queued has run.
  int (*open)(KernelContext* context, int ordinal);
  void (*close)(KernelContext* context);
  // [any] Memory aligned to 256 bytes, or null when the device has not enough.
  void* (*allocate)(KernelContext* context, size_t bytes);
  // Gives memory back to the device; its last use was queued before.
  void (*release)(KernelContext* context, void* data);
  // [any]
  int (*memory)(KernelContext* context, DeviceMemory* memory);
  // Queues a copy from host memory, which may change or go once this returns.
  int (*copyIn)(KernelContext* context, void* destination, const void* source, size_t bytes);
  // Begins a copy to host memory (bytes may be 0: a synchronisation); `finish` ends it.
  int (*copyOut)(KernelContext* context, void* destination, const void* source, size_t bytes, void** ticket);
  // Waits until the copy is done. Reports failures of kernels queued before it: context->kernel is then the
  // id of the kernel. The ticket is spent in any case.
  int (*finish)(KernelContext* context, void* ticket);
  // Queues a mark of the device's clock; elapsed waits for both, gives the seconds between them and frees
  // neither.
  int (*mark)(KernelContext* context, void** mark);
  int (*elapsed)(KernelContext* context, void* from, void* to, double* seconds);
  void (*releaseMark)(KernelContext* context, void* mark);
  // A run of kernel calls as one thing that the device starts; all four are null where the device has no such
  // thing and the executor runs the calls one by one. Between beginCapture and endCapture the calls are noted
  // instead of run; the same calls have run before. A call that cannot be noted fails with the reason.
  // kDeclined from beginCapture: this device wants the calls one by one.
  int (*beginCapture)(KernelContext* context);
  // Gives what was noted; `graph` null drops it.
  int (*endCapture)(KernelContext* context, void** graph);
  // Queues all of it. kDeclined: it has become stale and nothing was queued; capture it again.
  int (*launchGraph)(KernelContext* context, void* graph);
  void (*releaseGraph)(KernelContext* context, void* graph);
};

// A status that is no failure: the caller is to take the other way.
constexpr int kDeclined = 2;

struct Backend {
  uint32_t abiVersion;
  uint32_t kernelCount;
  const char* name;
  KernelFn kernels[kKernelCount];
  const DeviceApi* device;  // null: host memory, and the executor's thread is the stream
};

// A backend in a shared library of its own exports this function under the name kBackendSymbol.
using BackendFn = const Backend* (*)();
constexpr const char* kBackendSymbol = "annealBackend";

// static: files compiled for different instruction sets must not share one copy.
// Records why a kernel failed and gives the status to return: `return fail(context, "id %d …", id);`
__attribute__((format(printf, 2, 3))) static inline int fail(KernelContext* context, const char* format,
                                                             ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(context->error, sizeof(context->error), format, arguments);
  va_end(arguments);
  return 1;
}

}  // namespace anneal
