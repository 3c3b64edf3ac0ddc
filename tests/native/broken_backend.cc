// A backend whose device gives no memory, for a reason that is not want of memory.
#include <cstring>

#include "core/backend.h"

namespace anneal {
namespace {

int count(char*, size_t) { return 1; }

int describe(KernelContext*, int, DeviceFacts* facts) {
  std::memset(facts, 0, sizeof(*facts));
  return 0;
}

int open(KernelContext* context, int) {
  context->device = context;
  return 0;
}

void close(KernelContext*) {}

void* allocate(KernelContext* context, size_t) {
  fail(context, "kernel fill failed on the GPU: an illegal memory access was encountered");
  return nullptr;
}

void release(KernelContext*, void*) {}

const DeviceApi& api() {
  static DeviceApi table{};
  table.count = count;
  table.describe = describe;
  table.open = open;
  table.close = close;
  table.allocate = allocate;
  table.release = release;
  return table;
}

}  // namespace
}  // namespace anneal

extern "C" __attribute__((visibility("default"))) const anneal::Backend* annealBackend() {
  static anneal::Backend table{};
  table.abiVersion = anneal::kAbiVersion;
  table.kernelCount = anneal::kKernelCount;
  table.name = "broken";
  table.device = &anneal::api();
  return &table;
}
