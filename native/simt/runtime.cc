// runtime.cc — the life of the SIMT device. Commands run at once on the thread that queues them, so the order
// of the stream is the order of the calls; allocations are exact and hold NaN until they are written.
#include "simt/runtime.h"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <new>

#include "cuda/device_state.h"
#include "simt/machine.h"
#include "simt/memory.h"

namespace anneal::simt {
namespace {

constexpr int64_t kProcessors = 4;
constexpr int64_t kL2Bytes = 1 << 20;
constexpr size_t kWorkspaceStep = 1 << 20;

using Time = std::chrono::steady_clock::time_point;

struct Device {
  cuda::DeviceState state;  // first: KernelContext::device points to it
  void* workspace;
  size_t workspaceBytes;
};

Device& deviceOf(KernelContext* context) { return *static_cast<Device*>(context->device); }

void fillFacts(DeviceFacts* facts) {
  *facts = {};
  std::snprintf(facts->name, sizeof(facts->name), "SIMT interpreter");
  std::snprintf(facts->products, sizeof(facts->products), "own kernels");
  facts->memory = static_cast<int64_t>(globalUse().total);
  facts->processors = kProcessors;
  facts->computeCapability = 90;
  facts->l2Bytes = kL2Bytes;
  facts->sharedBytes = kMaxShared;
}

// Commands of the host obey the same bounds as kernels.
int checkRange(KernelContext* context, const char* what, const void* data, size_t bytes) {
  const auto address = reinterpret_cast<uintptr_t>(data);
  const Allocation* allocation = findGlobal(address);
  if (bytes == 0 ||
      (allocation != nullptr && allocation->live && address - allocation->begin <= allocation->bytes &&
       bytes <= allocation->bytes - (address - allocation->begin))) {
    return 0;
  }
  char text[200];
  describeGlobal(address, bytes, text, sizeof(text));
  return fail(context, "%s of %zu bytes at %p is out of bounds: %s", what, bytes, data, text);
}

int count(char* reason, size_t reasonBytes) {
  if (reasonBytes > 0) reason[0] = 0;
  return 1;
}

int describe(KernelContext* context, int ordinal, DeviceFacts* facts) {
  if (ordinal != 0) return fail(context, "simt has one device, 0; there is no device %d", ordinal);
  fillFacts(facts);
  return 0;
}

int open(KernelContext* context, int ordinal) {
  if (ordinal != 0) return fail(context, "simt has one device, 0; there is no device %d", ordinal);
  auto* device = new (std::nothrow) Device{};
  void* fault = allocateGlobal(sizeof(cuda::Fault), "the fault record");
  if (device == nullptr || fault == nullptr) {
    delete device;
    releaseGlobal(fault);
    return fail(context, "simt: no memory to open the device");
  }
  std::memset(fault, 0, sizeof(cuda::Fault));
  fillFacts(&device->state.facts);
  device->state.fault = static_cast<cuda::Fault*>(fault);
  context->device = device;
  context->stream = nullptr;
  return 0;
}

void close(KernelContext* context) {
  Device* device = &deviceOf(context);
  releaseGlobal(device->workspace);
  releaseGlobal(device->state.fault);
  delete device;
  context->device = nullptr;
}

void* allocate(KernelContext*, size_t bytes) { return allocateGlobal(bytes, "allocation"); }
void release(KernelContext*, void* data) { releaseGlobal(data); }

int memory(KernelContext* context, DeviceMemory* memory) {
  const GlobalUse use = globalUse();
  memory->total = static_cast<int64_t>(use.total);
  memory->free = static_cast<int64_t>(use.total - use.live);
  memory->workspace = static_cast<int64_t>(deviceOf(context).workspaceBytes);
  return 0;
}

int copyIn(KernelContext* context, void* destination, const void* source, size_t bytes) {
  if (const int status = checkRange(context, "copy from the host", destination, bytes)) return status;
  if (bytes > 0) std::memcpy(destination, source, bytes);
  return 0;
}

// The ticket is the fault record as it was at this point of the stream, which is then empty again.
int copyOut(KernelContext* context, void* destination, const void* source, size_t bytes, void** ticket) {
  if (const int status = checkRange(context, "copy to the host", source, bytes)) return status;
  if (bytes > 0) std::memcpy(destination, source, bytes);
  cuda::Fault* fault = deviceOf(context).state.fault;
  *ticket = new cuda::Fault(*fault);
  std::memset(fault, 0, sizeof(*fault));
  return 0;
}

int finish(KernelContext* context, void* ticket) {
  auto* fault = static_cast<cuda::Fault*>(ticket);
  const int status = cuda::faultMessage(context, *fault);
  delete fault;
  return status;
}

int mark(KernelContext*, void** mark) {
  *mark = new Time(std::chrono::steady_clock::now());
  return 0;
}

int elapsed(KernelContext*, void* from, void* to, double* seconds) {
  *seconds = std::chrono::duration<double>(*static_cast<Time*>(to) - *static_cast<Time*>(from)).count();
  return 0;
}

void releaseMark(KernelContext*, void* mark) { delete static_cast<Time*>(mark); }

}  // namespace

const DeviceApi deviceApi = {
    .exactAllocations = 1,
    .count = count,
    .describe = describe,
    .open = open,
    .close = close,
    .allocate = allocate,
    .release = release,
    .memory = memory,
    .copyIn = copyIn,
    .copyOut = copyOut,
    .finish = finish,
    .mark = mark,
    .elapsed = elapsed,
    .releaseMark = releaseMark,
};

}  // namespace anneal::simt

namespace anneal::cuda {

// Each request ends exactly where it says and begins with NaN: a kernel that relies on what an earlier one
// left is found out.
void* workspace(KernelContext* context, size_t bytes) {
  simt::Device& device = simt::deviceOf(context);
  if (bytes > device.workspaceBytes || device.workspace == nullptr) {
    simt::releaseGlobal(device.workspace);
    const size_t step = simt::kWorkspaceStep;
    const size_t capacity = (bytes + step - 1) / step * step;
    device.workspace = simt::allocateGlobal(capacity, "the workspace");
    device.workspaceBytes = device.workspace == nullptr ? 0 : capacity;
    if (device.workspace == nullptr) {
      fail(context, "no memory for a workspace of %zu bytes", bytes);
      return nullptr;
    }
  }
  simt::limitGlobal(device.workspace, bytes);
  std::memset(device.workspace, 0xff, bytes);
  return device.workspace;
}

int setBytes(KernelContext* context, void* destination, int byte, size_t bytes) {
  if (const int status = simt::checkRange(context, "setBytes", destination, bytes)) return status;
  if (bytes > 0) std::memset(destination, byte, bytes);
  return 0;
}

int copyBytes(KernelContext* context, void* destination, const void* source, size_t bytes) {
  if (const int status = simt::checkRange(context, "copyBytes", destination, bytes)) return status;
  if (const int status = simt::checkRange(context, "copyBytes", source, bytes)) return status;
  if (bytes > 0) std::memcpy(destination, source, bytes);
  return 0;
}

}  // namespace anneal::cuda
