// environment.h — what one JavaScript environment (main thread or worker) owns: its devices, its tensor
// slots, its argument words and the channel on which finished reads come back. Nothing is shared between
// environments.
#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "addon/executor.h"
#include "addon/pool.h"
#include "addon/recording.h"
#include "addon/slots.h"

namespace anneal::addon {

// A device: the kernels, the memory and the ordered stream of one backend.
struct Device {
  std::string name;
  const Backend* backend;
  KernelContext context;  // the JavaScript thread's own
  Pool pool;
  std::unique_ptr<Executor> executor;
  std::unordered_map<uint32_t, std::shared_ptr<Mark>> marks;
  uint32_t nextMark = 1;
  std::unique_ptr<Recording> recording;  // the one under way, else null
  std::unordered_map<uint32_t, std::unique_ptr<Recording>> recordings;
  uint32_t nextRecording = 1;

  Device(std::string deviceName, const Backend* table, const KernelContext& opened, int threads)
      : name(std::move(deviceName)),
        backend(table),
        context(opened),
        pool(table->device, &context),
        executor(std::make_unique<Executor>(table, opened, threads)) {}
  ~Device() {
    for (auto& [id, ended] : recordings) executor->discard(std::move(ended->calls));
    executor.reset();
    recordings.clear();
    // Nothing was recorded into it that counts as a reference.
    if (recording != nullptr) recording->used.clear();
    recording.reset();
    marks.clear();
    pool.clear();
    if (backend->device != nullptr) backend->device->close(&context);
  }
};

struct Jobs;

// A read that is under way; lives until its promise is settled on the JavaScript thread. Plain handles of the
// C interface: when a worker thread is terminated nothing may be called on them any more, and nothing may
// throw.
struct PendingRead {
  napi_deferred deferred;
  napi_ref target;  // keeps the destination's memory alive; null when there is none
  std::unique_ptr<KernelFailure> failure;
};

class Environment {
 public:
  explicit Environment(Napi::Env env);
  ~Environment();

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  // Begins a read into `target` (or none): its promise, and what the executor hands to finish(). Keeps the
  // process alive until it is settled.
  PendingRead* begin(napi_env env, napi_value target, napi_value* promise);
  // Hands a finished read back to the JavaScript thread; called on an executor's thread.
  void finish(PendingRead* read);

  std::vector<std::unique_ptr<Device>> devices;
  SlotTable slots;
  double* words = nullptr;  // argument words of dispatch, written by JavaScript
  Napi::Reference<Napi::Float64Array> wordsArray;
  Jobs* jobs = nullptr;  // of the text room; job.cc makes and ends them

 private:
  static void settle(napi_env env, napi_value, void* environment, void* read);

  napi_threadsafe_function channel_ = nullptr;  // belongs to the JavaScript environment, which frees it
  size_t pending_ = 0;
};

// The device whose id is argument `index`; throws where there is none.
Device& deviceArgument(const Napi::CallbackInfo& info, size_t index);

// Throws a JavaScript Error with a `code` that lib/native turns into a typed error.
[[noreturn]] void throwCoded(Napi::Env env, const char* code, const std::string& message);

}  // namespace anneal::addon
