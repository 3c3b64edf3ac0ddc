#include "addon/devices.h"

#include <dlfcn.h>
#include <omp.h>

#include <algorithm>
#include <string>

#include "addon/environment.h"
#include "cpu/backend.h"
#include "cpu/scratch.h"

namespace anneal::addon {
namespace {

// The backend in a shared library, or throws with the reason. Libraries stay open: their kernels may still
// run when an environment ends.
const Backend* load(Napi::Env env, const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    throwCoded(env, "ERR_DEVICE", std::string("the library does not load: ") + dlerror());
  const auto entry = reinterpret_cast<BackendFn>(dlsym(library, kBackendSymbol));
  if (entry == nullptr)
    throwCoded(env, "ERR_DEVICE", path + " is not a backend: it has no symbol " + kBackendSymbol);
  const Backend* backend = entry();
  if (backend->abiVersion != kAbiVersion || backend->kernelCount != kKernelCount) {
    throwCoded(env, "ERR_DEVICE",
               path + " was built for ABI version " + std::to_string(backend->abiVersion) + " with " +
                   std::to_string(backend->kernelCount) + " kernels, this addon has version " +
                   std::to_string(kAbiVersion) + " with " + std::to_string(kKernelCount) +
                   "; run `npx anneal build` to compile both alike");
  }
  return backend;
}

// (name, threads, library) → device id. threads 0: as many as this process may use. library: the backend's
// file, for every device but the CPU.
Napi::Value openDevice(const Napi::CallbackInfo& info) {
  Environment& environment = Environment::of(info.Env());
  const std::string name = info[0].As<Napi::String>().Utf8Value();
  const int asked = info[1].As<Napi::Number>().Int32Value();
  const int threads = std::max(1, asked > 0 ? asked : omp_get_num_procs());
  const Backend* backend = cpu::backend();
  KernelContext context;
  if (name != "cpu") {
    backend = load(info.Env(), info[2].As<Napi::String>().Utf8Value());
    char reason[512] = {0};
    if (backend->device->count(reason, sizeof(reason)) <= 0) throwCoded(info.Env(), "ERR_DEVICE", reason);
    if (backend->device->open(&context, 0) != 0) throwCoded(info.Env(), "ERR_DEVICE", context.error);
  }
  environment.devices.push_back(std::make_unique<Device>(name, backend, context, threads));
  return Napi::Number::New(info.Env(), static_cast<double>(environment.devices.size() - 1));
}

// (library) → {reason, devices: [facts]}: what a backend finds, without opening anything.
Napi::Value probe(const Napi::CallbackInfo& info) {
  const Backend* backend = load(info.Env(), info[0].As<Napi::String>().Utf8Value());
  Napi::Object result = Napi::Object::New(info.Env());
  Napi::Array devices = Napi::Array::New(info.Env());
  char reason[512] = {0};
  const int count = backend->device->count(reason, sizeof(reason));
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    KernelContext context;
    DeviceFacts facts{};
    if (backend->device->describe(&context, ordinal, &facts) != 0) {
      std::snprintf(reason, sizeof(reason), "%s", context.error);
      break;
    }
    Napi::Object entry = Napi::Object::New(info.Env());
    entry.Set("name", facts.name);
    entry.Set("memory", static_cast<double>(facts.memory));
    entry.Set("processors", static_cast<double>(facts.processors));
    entry.Set("computeCapability", static_cast<double>(facts.computeCapability));
    entry.Set("driverVersion", static_cast<double>(facts.driverVersion));
    entry.Set("l2Bytes", static_cast<double>(facts.l2Bytes));
    entry.Set("products", facts.products);
    devices.Set(static_cast<uint32_t>(ordinal), entry);
  }
  result.Set("reason", reason);
  result.Set("devices", devices);
  return result;
}

// (device, threads)
void setThreads(const Napi::CallbackInfo& info) {
  deviceArgument(info, 0).executor->setThreads(std::max(1, info[1].As<Napi::Number>().Int32Value()));
}

Napi::Value threads(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), deviceArgument(info, 0).executor->threads());
}

// (device) → mark: a point on the stream at which the device's clock is read
Napi::Value mark(const Napi::CallbackInfo& info) {
  Device& device = deviceArgument(info, 0);
  const uint32_t id = device.nextMark++;
  device.marks.emplace(id, device.executor->mark());
  return Napi::Number::New(info.Env(), id);
}

std::shared_ptr<Mark> markArgument(const Napi::CallbackInfo& info, Device& device, size_t index) {
  const auto found = device.marks.find(info[index].As<Napi::Number>().Uint32Value());
  if (found == device.marks.end()) throwCoded(info.Env(), "ERR_DISPOSED", "the mark was released");
  return found->second;
}

// (device, from, to, Float64Array(1)) → promise, settled when the array holds the seconds between the marks
Napi::Value elapsed(const Napi::CallbackInfo& info) {
  Device& device = deviceArgument(info, 0);
  Environment& environment = Environment::of(info.Env());
  refuseWhileRecording(info.Env(), device, "elapsed()", "nothing of it has run yet");
  const auto from = markArgument(info, device, 1), to = markArgument(info, device, 2);
  double* seconds = info[3].As<Napi::Float64Array>().Data();
  napi_value promise = nullptr;
  PendingRead* pending = environment.begin(info.Env(), info[3], &promise);
  device.executor->elapsed(from, to, seconds,
                           [&environment, pending](std::unique_ptr<KernelFailure> failure) {
                             pending->failure = std::move(failure);
                             environment.finish(pending);
                           });
  return Napi::Value(info.Env(), promise);
}

// (device, mark)
void releaseMark(const Napi::CallbackInfo& info) {
  deviceArgument(info, 0).marks.erase(info[1].As<Napi::Number>().Uint32Value());
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

}  // namespace

void exportDevices(Napi::Env env, Napi::Object exports) {
  exports.Set("openDevice", Napi::Function::New(env, openDevice));
  exports.Set("probe", Napi::Function::New(env, probe));
  exports.Set("setThreads", Napi::Function::New(env, setThreads));
  exports.Set("threads", Napi::Function::New(env, threads));
  exports.Set("mark", Napi::Function::New(env, mark));
  exports.Set("elapsed", Napi::Function::New(env, elapsed));
  exports.Set("releaseMark", Napi::Function::New(env, releaseMark));
  exports.Set("info", Napi::Function::New(env, describe));
}

}  // namespace anneal::addon
