// memory.cu — device memory: what the addon's pool asks for, the kernels' workspace, and plain memory
// commands.
#include "cuda/runtime.h"

namespace anneal::cuda {
namespace {

// Workspaces grow in steps, so that shapes which grow slowly do not allocate each time.
constexpr size_t kWorkspaceStep = size_t{2} << 20;

}  // namespace

cudaError_t chooseDevice(int ordinal) {
  // CUDA keeps the choice of device for each thread.
  thread_local int current = -1;
  if (current == ordinal) return cudaSuccess;
  const cudaError_t error = cudaSetDevice(ordinal);
  if (error == cudaSuccess) current = ordinal;
  return error;
}

int useDevice(KernelContext* context) {
  return check(context, chooseDevice(deviceOf(context).ordinal), "choosing the GPU");
}

void* allocate(KernelContext* context, size_t bytes) {
  context->error[0] = 0;
  if (useDevice(context) != 0) return nullptr;
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, bytes == 0 ? 1 : bytes);
  if (error == cudaErrorMemoryAllocation) {
    // Not an error of the device: taken from the thread, or the next launch would be blamed for it.
    cudaGetLastError();
    return nullptr;
  }
  return check(context, error, "allocating memory") == 0 ? data : nullptr;
}

void release(KernelContext* context, void* data) {
  if (data == nullptr || useDevice(context) != 0) return;
  // What the stream still does with it comes first. A failure of that is reported by the next read.
  cudaStreamSynchronize(deviceOf(context).stream);
  cudaFree(data);
  cudaGetLastError();
}

int memory(KernelContext* context, DeviceMemory* memory) {
  if (const int status = useDevice(context)) return status;
  size_t free = 0, total = 0;
  if (const int status = check(context, cudaMemGetInfo(&free, &total), "asking for free memory"))
    return status;
  memory->free = static_cast<int64_t>(free);
  memory->total = static_cast<int64_t>(total);
  memory->workspace = static_cast<int64_t>(deviceOf(context).workspaceBytes.load());
  return 0;
}

void* workspace(KernelContext* context, size_t bytes) {
  Device& device = deviceOf(context);
  if (bytes <= device.workspaceBytes && device.workspace != nullptr) return device.workspace;
  if (device.capturing != nullptr) {
    fail(context,
         "%s: needs a workspace of %.1f MiB while a graph is captured, %.1f MiB are there; what is captured "
         "must have run before with the same shapes",
         kernelName(context->kernel), static_cast<double>(bytes) / 1048576.0,
         static_cast<double>(device.workspaceBytes) / 1048576.0);
    return nullptr;
  }
  // Earlier kernels may still use the old block.
  if (check(context, cudaStreamSynchronize(device.stream), "waiting for the workspace") != 0) return nullptr;
  cudaFree(device.workspace);
  device.workspace = nullptr;
  device.workspaceBytes = 0;
  const size_t rounded = (bytes / kWorkspaceStep + 1) * kWorkspaceStep;
  const cudaError_t error = cudaMalloc(&device.workspace, rounded);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    fail(context, "%s: out of memory: needs a workspace of %.1f MiB, %.1f MiB of %.1f MiB are free on %s",
         kernelName(context->kernel), static_cast<double>(rounded) / 1048576.0,
         static_cast<double>(free) / 1048576.0, static_cast<double>(total) / 1048576.0, device.facts.name);
    return nullptr;
  }
  if (check(context, error, "allocating the workspace") != 0) return nullptr;
  device.workspaceBytes = rounded;
  device.workspaceMoves += 1;
  return device.workspace;
}

int setBytes(KernelContext* context, void* destination, int byte, size_t bytes) {
  if (bytes == 0) return 0;
  return check(context, cudaMemsetAsync(destination, byte, bytes, deviceOf(context).stream),
               kernelName(context->kernel));
}

int copyBytes(KernelContext* context, void* destination, const void* source, size_t bytes) {
  if (bytes == 0) return 0;
  return check(
      context,
      cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDeviceToDevice, deviceOf(context).stream),
      kernelName(context->kernel));
}

}  // namespace anneal::cuda
