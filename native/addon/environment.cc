#include "addon/environment.h"

#include "core/kernels.h"

namespace anneal::addon {

void throwCoded(Napi::Env env, const char* code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  throw error;
}

Device& deviceArgument(const Napi::CallbackInfo& info, size_t index) {
  Environment& environment = Environment::of(info.Env());
  const uint32_t id = info[index].As<Napi::Number>().Uint32Value();
  if (id >= environment.devices.size())
    throwCoded(info.Env(), "ERR_DEVICE", "device " + std::to_string(id) + " does not exist");
  return *environment.devices[id];
}

Environment::Environment(Napi::Env env) {
  Napi::Float64Array array = Napi::Float64Array::New(env, kMaxArgWords);
  words = array.Data();
  wordsArray = Napi::Persistent(array);
  const napi_value name = Napi::String::New(env, "anneal reads");
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, settle,
                                      &channel_) != napi_ok) {
    throwCoded(env, "ERR_NATIVE", "the channel for reads could not be made");
  }
  napi_unref_threadsafe_function(env, channel_);
  // Hooks run in reverse order: the executors have ended before the channel that they call is taken down.
  napi_add_env_cleanup_hook(
      env, [](void* self) { static_cast<Environment*>(self)->devices.clear(); }, this);
}

Environment::~Environment() {
  for (const Slot& slot : slots.all()) {
    if (slot.buffer != nullptr && --slot.buffer->references == 0) delete slot.buffer;
  }
}

PendingRead* Environment::begin(napi_env env, napi_value target, napi_value* promise) {
  auto read = std::make_unique<PendingRead>();
  if (napi_create_promise(env, &read->deferred, promise) != napi_ok ||
      (target != nullptr && napi_create_reference(env, target, 1, &read->target) != napi_ok)) {
    throw Napi::Error::New(env);
  }
  if (pending_++ == 0) napi_ref_threadsafe_function(env, channel_);
  return read.release();
}

void Environment::finish(PendingRead* read) {
  if (napi_call_threadsafe_function(channel_, read, napi_tsfn_nonblocking) != napi_ok) delete read;
}

// On the JavaScript thread. While the thread is being terminated every call fails and its status is of no
// use.
void Environment::settle(napi_env env, napi_value, void* context, void* data) {
  const std::unique_ptr<PendingRead> read(static_cast<PendingRead*>(data));
  if (env == nullptr) return;
  auto* environment = static_cast<Environment*>(context);
  if (--environment->pending_ == 0) napi_unref_threadsafe_function(env, environment->channel_);
  if (read->target != nullptr) napi_delete_reference(env, read->target);
  napi_value value = nullptr;
  if (!read->failure) {
    if (napi_get_undefined(env, &value) == napi_ok) napi_resolve_deferred(env, read->deferred, value);
    return;
  }
  const auto text = [env](const std::string& from) {
    napi_value to = nullptr;
    napi_create_string_utf8(env, from.data(), from.size(), &to);
    return to;
  };
  const std::string message = "kernel " + read->failure->kernel + " failed: " + read->failure->message;
  if (napi_create_error(env, text("ERR_KERNEL"), text(message), &value) != napi_ok) return;
  napi_set_named_property(env, value, "kernel", text(read->failure->kernel));
  napi_reject_deferred(env, read->deferred, value);
}

}  // namespace anneal::addon
