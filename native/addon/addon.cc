// addon.cc — what the addon exports: devices, memory, dispatch. A list; the work is in the files named after
// it.
#include <napi.h>
#include <omp.h>

#include <algorithm>
#include <string>

#include "addon/dispatch.h"
#include "addon/environment.h"
#include "addon/memory.h"
#include "cpu/backend.h"
#include "cpu/scratch.h"

namespace anneal::addon {
namespace {

// (name, threads) → device id. threads 0: as many as this process may use.
Napi::Value openDevice(const Napi::CallbackInfo& info) {
  Environment& environment = Environment::of(info.Env());
  const std::string name = info[0].As<Napi::String>().Utf8Value();
  if (name != "cpu")
    throwCoded(info.Env(), "ERR_DEVICE", "this build of the addon has no device \"" + name + "\"");
  const int asked = info[1].As<Napi::Number>().Int32Value();
  const int threads = std::max(1, asked > 0 ? asked : omp_get_num_procs());
  environment.devices.push_back(std::make_unique<Device>(name, cpu::backend(), threads));
  return Napi::Number::New(info.Env(), static_cast<double>(environment.devices.size() - 1));
}

Device& deviceOf(const Napi::CallbackInfo& info) {
  Environment& environment = Environment::of(info.Env());
  const uint32_t id = info[0].As<Napi::Number>().Uint32Value();
  if (id >= environment.devices.size()) throwCoded(info.Env(), "ERR_DEVICE", "the device does not exist");
  return *environment.devices[id];
}

// (device, threads)
void setThreads(const Napi::CallbackInfo& info) {
  deviceOf(info).executor.setThreads(std::max(1, info[1].As<Napi::Number>().Int32Value()));
}

Napi::Value threads(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), deviceOf(info).executor.threads());
}

// What was built and what was chosen at run time, for doctor.
Napi::Value describe(const Napi::CallbackInfo& info) {
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("abiVersion", kAbiVersion);
  result.Set("isa", cpu::isaName());
  result.Set("processors", omp_get_num_procs());
  result.Set("compiler", __VERSION__);
  result.Set("scratchBytes", static_cast<double>(cpu::scratchBytes()));
  return result;
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Environment(env));
  exports.Set("openDevice", Napi::Function::New(env, openDevice));
  exports.Set("setThreads", Napi::Function::New(env, setThreads));
  exports.Set("threads", Napi::Function::New(env, threads));
  exports.Set("info", Napi::Function::New(env, describe));
  exportMemory(env, exports);
  exportDispatch(env, exports);
  return exports;
}

NODE_API_MODULE(anneal, initialise)

}  // namespace
}  // namespace anneal::addon
