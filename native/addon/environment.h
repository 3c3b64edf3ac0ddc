// environment.h — what one JavaScript environment (main thread or worker) owns: its devices, its tensor slots, its argument words and
// the channel on which finished reads come back. Nothing is shared between environments.
#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "addon/executor.h"
#include "addon/pool.h"
#include "addon/slots.h"

namespace anneal::addon {

// A device: the kernels, the memory and the ordered stream of one backend.
struct Device {
  std::string name;
  const Backend* backend;
  Pool pool;
  Executor executor;

  Device(std::string deviceName, const Backend* table, int threads)
      : name(std::move(deviceName)), backend(table), executor(table, threads) {}
};

// A read that is under way; lives until its promise is settled on the JavaScript thread.
struct PendingRead {
  Napi::Promise::Deferred deferred;
  Napi::Reference<Napi::Value> target;  // keeps the destination's memory alive
  std::unique_ptr<KernelFailure> failure;
};

class Environment {
 public:
  explicit Environment(Napi::Env env);
  ~Environment();

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  // Hands a finished read back to the JavaScript thread; called on an executor's thread.
  void finish(PendingRead* read);
  // Around a pending read: keeps the process alive until it is settled.
  void addPending(Napi::Env env);
  void removePending(Napi::Env env);

  std::vector<std::unique_ptr<Device>> devices;
  SlotTable slots;
  double* words = nullptr;  // argument words of dispatch, written by JavaScript
  Napi::Reference<Napi::Float64Array> wordsArray;

 private:
  Napi::ThreadSafeFunction channel_;
  size_t pending_ = 0;
};

// Throws a JavaScript Error with a `code` that lib/native turns into a typed error.
[[noreturn]] void throwCoded(Napi::Env env, const char* code, const std::string& message);

}  // namespace anneal::addon
