// backend.h — the C ABI between the addon and a backend: a versioned array of functions kernel[id](context,
// args). A backend fills the entries it has; the addon turns a missing entry into an error that names kernel
// and device.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>

#include "core/kernels.h"

namespace anneal {

// Raised whenever an Args struct, a kernel id or this header changes.
constexpr uint32_t kAbiVersion = 1;

// What a kernel may use while it runs on its device's ordered stream.
struct KernelContext {
  // The native stream of the device (cudaStream_t); null on the CPU, where the caller's thread is the stream.
  void* stream = nullptr;
  // Message of a failed kernel, written by fail(). Plain text that names the argument, the value and the
  // limit.
  char error[512] = {0};
};

// Status of a kernel: 0 is success, anything else means that context->error says why.
using KernelFn = int (*)(KernelContext* context, const void* args);

struct Backend {
  uint32_t abiVersion;
  uint32_t kernelCount;
  const char* name;
  KernelFn kernels[kKernelCount];
};

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
