// workspace.cc — the bytes that a backend keeps for its kernels' intermediate results.
#include "addon/workspace.h"

#include "addon/environment.h"
#include "cpu/scratch.h"

namespace anneal::addon {
namespace {

// (device) → bytes
Napi::Value workspace(const Napi::CallbackInfo& info) {
  Environment& environment = Environment::of(info.Env());
  const uint32_t id = info[0].As<Napi::Number>().Uint32Value();
  if (id >= environment.devices.size()) throwCoded(info.Env(), "ERR_DEVICE", "the device does not exist");
  Device& device = *environment.devices[id];
  if (device.backend->device == nullptr)
    return Napi::Number::New(info.Env(), static_cast<double>(cpu::scratchBytes()));
  DeviceMemory facts{};
  if (device.backend->device->memory(&device.context, &facts) != 0)
    throwCoded(info.Env(), "ERR_DEVICE", device.context.error);
  return Napi::Number::New(info.Env(), static_cast<double>(facts.workspace));
}

}  // namespace

void exportWorkspace(Napi::Env env, Napi::Object exports) {
  exports.Set("workspace", Napi::Function::New(env, workspace));
}

}  // namespace anneal::addon
