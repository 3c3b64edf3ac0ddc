// runtime.cu — which GPUs there are and what they are, opening and closing one, and its clock.
#include <cstdlib>
#include <cstring>
#include <memory>

#include "cuda/gemm.h"
#include "cuda/runtime.h"

namespace anneal::cuda {
namespace {

// Kernels use asynchronous copies and bf16 matrix instructions, which begin with Ampere.
constexpr int64_t kLeastCapability = 80;

int count(char* reason, size_t reasonBytes) {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (reason == nullptr) reasonBytes = 0;
  if (error == cudaSuccess && devices > 0) {
    if (reasonBytes != 0) reason[0] = 0;
    return devices;
  }
  cudaGetLastError();
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (error == cudaErrorInsufficientDriver && driver == 0) {
    std::snprintf(reason, reasonBytes, "no NVIDIA driver is installed: libcuda.so.1 was not found");
  } else if (error == cudaErrorInsufficientDriver) {
    std::snprintf(
        reason, reasonBytes,
        "the NVIDIA driver is too old: it supports CUDA %d.%d, this library was built with CUDA %d.%d and "
        "needs a driver for CUDA %d.0 or later",
        driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10, runtime / 1000);
  } else if (error == cudaErrorNoDevice || error == cudaSuccess) {
    std::snprintf(reason, reasonBytes, "the NVIDIA driver sees no GPU%s%s%s",
                  visible == nullptr ? "" : "; CUDA_VISIBLE_DEVICES is \"", visible == nullptr ? "" : visible,
                  visible == nullptr ? "" : "\"");
  } else {
    std::snprintf(reason, reasonBytes, "the NVIDIA driver does not answer: %s (%s)",
                  cudaGetErrorString(error), cudaGetErrorName(error));
  }
  return 0;
}

// Before a device is open, errors have no kernel to name.
int failed(KernelContext* context, cudaError_t error, const char* action) {
  cudaGetLastError();
  return fail(context, "%s: %s (%s)", action, cudaGetErrorString(error), cudaGetErrorName(error));
}

int describe(KernelContext* context, int ordinal, DeviceFacts* facts) {
  char reason[sizeof(context->error)] = {0};
  const int devices = count(reason, sizeof(reason));
  if (devices == 0) return fail(context, "%s", reason);
  if (ordinal < 0 || ordinal >= devices) {
    return fail(context, "GPU %d does not exist; expected 0 to %d", ordinal, devices - 1);
  }
  cudaDeviceProp properties;
  int driver = 0;
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, ordinal))
    return failed(context, error, "asking for the GPU's properties");
  if (const cudaError_t error = cudaDriverGetVersion(&driver))
    return failed(context, error, "asking for the driver's version");
  std::memset(facts, 0, sizeof(*facts));
  std::snprintf(facts->name, sizeof(facts->name), "%.127s", properties.name);
  facts->memory = static_cast<int64_t>(properties.totalGlobalMem);
  facts->processors = properties.multiProcessorCount;
  facts->computeCapability = 10 * properties.major + properties.minor;
  facts->driverVersion = driver;
  facts->l2Bytes = properties.l2CacheSize;
  facts->sharedBytes = static_cast<int64_t>(properties.sharedMemPerBlockOptin);
  std::snprintf(facts->products, sizeof(facts->products), "%.191s", gemmLibrary());
  return 0;
}

// Waits for everything queued and ends what open() made, as far as it came.
void end(Device* device) {
  if (device->stream != nullptr) cudaStreamSynchronize(device->stream);
  device->uploads.close();
  device->tickets.close();
  cudaFree(device->workspace);
  cudaFree(device->fault);
  if (device->stream != nullptr) cudaStreamDestroy(device->stream);
  cudaGetLastError();
  delete device;
}

int open(KernelContext* context, int ordinal) {
  DeviceFacts facts;
  if (const int status = describe(context, ordinal, &facts)) return status;
  if (facts.computeCapability < kLeastCapability) {
    return fail(context,
                "%s has compute capability %lld.%lld; expected %lld.%lld or later (A100, RTX 30 and newer)",
                facts.name, static_cast<long long>(facts.computeCapability / 10),
                static_cast<long long>(facts.computeCapability % 10),
                static_cast<long long>(kLeastCapability / 10), static_cast<long long>(kLeastCapability % 10));
  }
  return guarded(context, [&] {
    std::unique_ptr<Device, void (*)(Device*)> device(new Device, end);
    device->facts = facts;
    device->fault = nullptr;
    device->ordinal = ordinal;
    const char* blocking = std::getenv("ANNEAL_CUDA_BLOCKING");
    device->blocking = blocking != nullptr && blocking[0] != 0 && std::strcmp(blocking, "0") != 0;
    if (const cudaError_t error = chooseDevice(ordinal)) return failed(context, error, "opening the GPU");
    if (const cudaError_t error = cudaStreamCreateWithFlags(&device->stream, cudaStreamNonBlocking))
      return failed(context, error, "creating a stream");
    if (const cudaError_t error = cudaMalloc(reinterpret_cast<void**>(&device->fault), sizeof(Fault)))
      return failed(context, error, "allocating the fault record");
    if (const cudaError_t error = cudaMemsetAsync(device->fault, 0, sizeof(Fault), device->stream))
      return failed(context, error, "clearing the fault record");
    context->stream = device->stream;
    context->device = static_cast<DeviceState*>(device.release());
    return 0;
  });
}

void close(KernelContext* context) {
  if (context->device == nullptr) return;
  if (useDevice(context) == 0) end(&deviceOf(context));
  context->device = nullptr;
  context->stream = nullptr;
}

int mark(KernelContext* context, void** mark) {
  if (const int status = useDevice(context)) return status;
  cudaEvent_t event = nullptr;
  if (const int status = check(context, cudaEventCreateWithFlags(&event, cudaEventBlockingSync), "mark"))
    return status;
  if (const int status = check(context, cudaEventRecord(event, deviceOf(context).stream), "mark")) {
    cudaEventDestroy(event);
    return status;
  }
  *mark = event;
  return 0;
}

int elapsed(KernelContext* context, void* from, void* to, double* seconds) {
  if (const int status = useDevice(context)) return status;
  float milliseconds = 0.0f;
  for (void* mark : {from, to}) {
    if (const int status = check(context, cudaEventSynchronize(static_cast<cudaEvent_t>(mark)), "elapsed"))
      return status;
  }
  const cudaError_t error =
      cudaEventElapsedTime(&milliseconds, static_cast<cudaEvent_t>(from), static_cast<cudaEvent_t>(to));
  *seconds = static_cast<double>(milliseconds) * 1e-3;
  return check(context, error, "elapsed");
}

void releaseMark(KernelContext* context, void* mark) {
  if (mark == nullptr || useDevice(context) != 0) return;
  cudaEventDestroy(static_cast<cudaEvent_t>(mark));
  cudaGetLastError();
}

}  // namespace

const DeviceApi kDeviceApi = {
    /*exactAllocations=*/0,
    count,
    describe,
    open,
    close,
    allocate,
    release,
    memory,
    copyIn,
    copyOut,
    finish,
    mark,
    elapsed,
    releaseMark,
    beginCapture,
    endCapture,
    launchGraph,
    releaseGraph,
};

}  // namespace anneal::cuda
