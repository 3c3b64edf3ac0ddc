#include "addon/environment.h"

#include "core/kernels.h"

namespace anneal::addon {

void throwCoded(Napi::Env env, const char* code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  throw error;
}

Environment::Environment(Napi::Env env) {
  Napi::Float64Array array = Napi::Float64Array::New(env, kMaxArgWords);
  words = array.Data();
  wordsArray = Napi::Persistent(array);
  channel_ = Napi::ThreadSafeFunction::New(env, Napi::Function(), "anneal reads", 0, 1);
  channel_.Unref(env);
}

Environment::~Environment() {
  devices.clear();  // joins the executors: nobody calls finish() afterwards
  channel_.Release();
  for (const Slot& slot : slots.all()) {
    if (slot.buffer != nullptr && --slot.buffer->references == 0) delete slot.buffer;
  }
}

void Environment::finish(PendingRead* read) {
  const auto settle = [this](Napi::Env env, Napi::Function, PendingRead* done) {
    const std::unique_ptr<PendingRead> owned(done);
    if (static_cast<napi_env>(env) == nullptr) return;  // the environment is going away
    removePending(env);
    Napi::HandleScope scope(env);
    if (owned->failure) {
      Napi::Error error =
          Napi::Error::New(env, "kernel " + owned->failure->kernel + " failed: " + owned->failure->message);
      error.Set("code", Napi::String::New(env, "ERR_KERNEL"));
      error.Set("kernel", Napi::String::New(env, owned->failure->kernel));
      owned->deferred.Reject(error.Value());
    } else {
      owned->deferred.Resolve(env.Undefined());
    }
  };
  if (channel_.BlockingCall(read, settle) != napi_ok) delete read;
}

void Environment::addPending(Napi::Env env) {
  if (pending_++ == 0) channel_.Ref(env);
}

void Environment::removePending(Napi::Env env) {
  if (--pending_ == 0) channel_.Unref(env);
}

}  // namespace anneal::addon
