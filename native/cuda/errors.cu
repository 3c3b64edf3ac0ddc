// errors.cu — CUDA's error codes as messages that name the kernel, and the log that makes this possible: the
// device reports a bad access only when somebody waits, many launches later.
#include <algorithm>
#include <cstdio>

#include "core/kernels.h"
#include "cuda/launch.h"
#include "cuda/runtime.h"

// What the library holds code for; the build says it.
#if !defined(ANNEAL_CUDA_TARGETS)
#define ANNEAL_CUDA_TARGETS "unknown architectures"
#endif

namespace anneal::cuda {
namespace {

const char* const kNames[] = {
#define ANNEAL_NAME(name, args, signature) #name,
    ANNEAL_KERNELS(ANNEAL_NAME)
#undef ANNEAL_NAME
};

// Whether the driver found no code in this library that it could run on the device.
bool withoutCode(cudaError_t error) {
  return error == cudaErrorNoKernelImageForDevice || error == cudaErrorInvalidDeviceFunction ||
         error == cudaErrorInvalidKernelImage || error == cudaErrorUnsupportedPtxVersion ||
         error == cudaErrorJitCompilerNotFound || error == cudaErrorInvalidPtx;
}

}  // namespace

bool leftByKernel(cudaError_t error) {
  switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorECCUncorrectable:
      return true;
    default:
      return false;
  }
}

const char* kernelName(uint32_t kernel) { return kernel < kKernelCount ? kNames[kernel] : "read"; }

void LaunchLog::add(uint32_t kernel) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (frozen_) return;
  kernels_[added_++ % kKept] = static_cast<uint16_t>(kernel);
}

uint64_t LaunchLog::position() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return added_;
}

void LaunchLog::ended(uint64_t position) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ended_ = std::max(ended_, position);
}

size_t LaunchLog::suspects(char* text, size_t bytes, uint32_t* only) {
  const std::lock_guard<std::mutex> lock(mutex_);
  frozen_ = true;
  const uint64_t oldest = added_ > kKept ? added_ - kKept : 0;
  bool queued[kKernelCount] = {};
  size_t different = 0;
  for (uint64_t i = std::max(ended_, oldest); i < added_; ++i) {
    *only = kernels_[i % kKept];
    different += queued[*only] ? 0 : 1;
    queued[*only] = true;
  }
  // Leaves room for the end of the list.
  size_t used = static_cast<size_t>(std::snprintf(text, bytes, different > 1 ? "one of " : "kernel "));
  size_t named = 0;
  for (uint32_t kernel = 0; kernel < kKernelCount; ++kernel) {
    if (!queued[kernel]) continue;
    if (used + 64 > bytes) {
      std::snprintf(text + used, bytes - used, " and %zu others", different - named);
      break;
    }
    used += static_cast<size_t>(
        std::snprintf(text + used, bytes - used, "%s%s", named == 0 ? "" : ", ", kNames[kernel]));
    ++named;
  }
  // Kernels that the log no longer holds may be to blame as well.
  return oldest > ended_ && different == 1 ? 2 : different;
}

int check(KernelContext* context, cudaError_t error, const char* action) {
  if (error == cudaSuccess) return 0;
  // An error that does not stay is taken from the thread, or the next launch would be blamed for it.
  cudaGetLastError();
  const char* name = cudaGetErrorName(error);
  const char* text = cudaGetErrorString(error);
  if (!leftByKernel(error)) return fail(context, "%s: %s (%s)", action, text, name);
  char suspects[256];
  uint32_t only = kKernelCount;
  const size_t different = deviceOf(context).log.suspects(suspects, sizeof(suspects), &only);
  context->kernel = different == 1 ? only : static_cast<uint32_t>(kKernelCount);
  if (different == 0)
    return fail(context, "%s: %s (%s); this process can no longer use the GPU", action, text, name);
  if (different == 1) {
    return fail(context, "%s failed on the GPU: %s (%s); this process can no longer use the GPU", suspects,
                text, name);
  }
  return fail(context,
              "%s queued since the last read failed on the GPU: %s (%s); set ANNEAL_CUDA_BLOCKING=1 to name "
              "it exactly",
              suspects, text, name);
}

int launchFailure(KernelContext* context, cudaError_t error, const LaunchShape& shape) {
  if (leftByKernel(error)) return check(context, error, "launch");
  const char* kernel = kernelName(context->kernel);
  const DeviceFacts& facts = stateOf(context).facts;
  cudaGetLastError();
  if (withoutCode(error)) {
    return fail(context,
                "%s: this library holds code for " ANNEAL_CUDA_TARGETS
                "; %s has compute capability %lld.%lld: %s (%s)",
                kernel, facts.name, static_cast<long long>(facts.computeCapability / 10),
                static_cast<long long>(facts.computeCapability % 10), cudaGetErrorString(error),
                cudaGetErrorName(error));
  }
  return fail(context,
              "%s: launch of %u×%u×%u blocks of %u×%u×%u threads with %zu bytes of shared memory: %s (%s)",
              kernel, shape.grid.x, shape.grid.y, shape.grid.z, shape.block.x, shape.block.y, shape.block.z,
              shape.shared, cudaGetErrorString(error), cudaGetErrorName(error));
}

int allowSharedMemory(KernelContext* context, const void* kernel, size_t bytes) {
  Device& device = deviceOf(context);
  if (bytes > static_cast<size_t>(device.facts.sharedBytes)) {
    return fail(context, "%s: needs %zu bytes of shared memory a block; %s gives %lld",
                kernelName(context->kernel), bytes, device.facts.name,
                static_cast<long long>(device.facts.sharedBytes));
  }
  return guarded(context, [&] {
    size_t& allowed = device.sharedLimits[kernel];
    if (bytes <= allowed) return 0;
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
    if (error != cudaSuccess) return launchFailure(context, error, {0, 0, bytes});
    allowed = bytes;
    return 0;
  });
}

}  // namespace anneal::cuda
