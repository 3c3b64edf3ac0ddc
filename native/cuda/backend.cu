// backend.cu — the library's one exported function: the kernel table and the device's life behind the C ABI.
#include <utility>

#include "core/kernels.h"
#include "cuda/kernels/table.h"
#include "cuda/runtime.h"

namespace anneal::cuda {
namespace {

// The families' functions, without what is common to all calls.
Backend families() {
  Backend table{};
  registerAll(table);
  return table;
}

const Backend& inner() {
  static const Backend table = families();
  return table;
}

// One call of a kernel: on the right device, noted for late errors, and waited for where the user asked for
// that.
template <uint32_t kKernel>
int call(KernelContext* context, const void* args) {
  if (const int status = useDevice(context)) return status;
  Device& device = deviceOf(context);
  device.log.add(kKernel);
  if (device.capturing != nullptr) device.capturing->holds[kKernel] = true;
  if (const int status = guarded(context, [&] { return inner().kernels[kKernel](context, args); }))
    return status;
  if (!device.blocking) return 0;
  const uint64_t position = device.log.position();
  const int status = check(context, cudaStreamSynchronize(device.stream), kernelName(kKernel));
  if (status == 0) device.log.ended(position);
  return status;
}

template <uint32_t... kIds>
Backend table(std::integer_sequence<uint32_t, kIds...>) {
  Backend table{};
  table.abiVersion = kAbiVersion;
  table.kernelCount = kKernelCount;
  table.name = "cuda";
  table.device = &kDeviceApi;
  ((table.kernels[kIds] = inner().kernels[kIds] == nullptr ? nullptr : call<kIds>), ...);
  return table;
}

}  // namespace
}  // namespace anneal::cuda

extern "C" __attribute__((visibility("default"))) const anneal::Backend* annealBackend() {
  using anneal::cuda::table;
  static const anneal::Backend backend = table(std::make_integer_sequence<uint32_t, anneal::kKernelCount>());
  return &backend;
}
