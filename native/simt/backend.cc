// backend.cc — what the addon asks the library for: the table of kernels and the device.
#include "core/backend.h"

#include "cuda/kernels/table.h"
#include "simt/runtime.h"

namespace anneal {
namespace {

Backend makeTable() {
  Backend table{};
  table.abiVersion = kAbiVersion;
  table.kernelCount = kKernelCount;
  table.name = "simt";
  table.device = &simt::deviceApi;
  cuda::registerAll(table);
  return table;
}

}  // namespace
}  // namespace anneal

extern "C" __attribute__((visibility("default"))) const anneal::Backend* annealBackend() {
  static const anneal::Backend table = anneal::makeTable();
  return &table;
}
