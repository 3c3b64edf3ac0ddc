// dispatch.cc — one kernel call: JavaScript has written the argument words into a shared array; here they
// become an Args struct on the device's queue. This is the hot path of the addon, so it uses the C interface
// of Node-API.
#include "addon/dispatch.h"

#include <bit>
#include <cmath>

#include "addon/environment.h"
#include "core/kernels.h"

namespace anneal::addon {
namespace {

struct Signature {
  char kinds[kMaxArgWords];
  uint32_t length = 0;
};

struct KernelEntry {
  const char* name;
  const char* signature;
};

constexpr KernelEntry kEntries[] = {
#define ANNEAL_ENTRY(name, args, signature) {#name, signature},
    ANNEAL_KERNELS(ANNEAL_ENTRY)
#undef ANNEAL_ENTRY
};

constexpr Signature expand(const char* signature) {
  Signature result{};
  for (size_t i = 0; signature[i] != 0;) {
    const char kind = signature[i++];
    if (kind == ' ') continue;
    uint32_t repeat = 0;
    for (; signature[i] >= '0' && signature[i] <= '9'; ++i)
      repeat = repeat * 10 + static_cast<uint32_t>(signature[i] - '0');
    for (uint32_t n = 0; n < (repeat == 0 ? 1 : repeat); ++n) result.kinds[result.length++] = kind;
  }
  return result;
}

constexpr Signature kSignatures[] = {
#define ANNEAL_SIGNATURE(name, args, signature) expand(signature),
    ANNEAL_KERNELS(ANNEAL_SIGNATURE)
#undef ANNEAL_SIGNATURE
};

napi_value throwPlain(napi_env env, const char* code, const std::string& message) {
  napi_throw_error(env, code, message.c_str());
  return nullptr;
}

// (device, kernel): the words lie in the environment's shared array.
napi_value dispatch(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, arguments, nullptr, &data);
  Environment& environment = *static_cast<Environment*>(data);
  uint32_t deviceId = 0, id = kKernelCount;
  napi_get_value_uint32(env, arguments[0], &deviceId);
  napi_get_value_uint32(env, arguments[1], &id);
  if (deviceId >= environment.devices.size() || id >= kKernelCount) {
    return throwPlain(env, "ERR_NATIVE", "no such device or kernel");
  }
  Device& device = *environment.devices[deviceId];
  if (device.backend->kernels[id] == nullptr) {
    return throwPlain(env, "ERR_NATIVE",
                      std::string("kernel ") + kEntries[id].name + " is missing on device " + device.name);
  }
  const Signature& signature = kSignatures[id];
  Recording* recording = recordingOf(device);
  uint64_t words[kMaxArgWords];
  for (uint32_t i = 0; i < signature.length; ++i) {
    const double value = environment.words[i];
    switch (signature.kinds[i]) {
      case 't': {
        if (value == 0) {
          words[i] = 0;
          break;
        }
        const Slot* slot = environment.slots.find(static_cast<uint64_t>(value));
        if (slot == nullptr) {
          return throwPlain(env, "ERR_DISPOSED",
                            std::string("kernel ") + kEntries[id].name + ": argument " + std::to_string(i) +
                                " is a tensor that was disposed");
        }
        if (slot->buffer->device != deviceId) {
          return throwPlain(env, "ERR_DEVICE",
                            std::string("kernel ") + kEntries[id].name + ": argument " + std::to_string(i) +
                                " lies on another device than " + device.name);
        }
        words[i] = reinterpret_cast<uint64_t>(slot->data);
        if (recording != nullptr) recording->used.insert(slot->buffer);
        break;
      }
      case 'i':
        if (!(std::fabs(value) <= 9007199254740991.0)) {
          return throwPlain(env, "ERR_NATIVE",
                            std::string("kernel ") + kEntries[id].name + ": argument " + std::to_string(i) +
                                " is not an integer");
        }
        words[i] = static_cast<uint64_t>(static_cast<int64_t>(value));
        break;
      default:
        words[i] = std::bit_cast<uint64_t>(value);
    }
  }
  if (recording != nullptr) {
    recording->calls->add(id, words, signature.length);
  } else {
    device.executor->kernel(id, words, signature.length);
  }
  return nullptr;
}

}  // namespace

void exportDispatch(Napi::Env env, Napi::Object exports) {
  Environment& environment = Environment::of(env);
  napi_value function;
  napi_create_function(env, "dispatch", NAPI_AUTO_LENGTH, dispatch, &environment, &function);
  exports.Set("dispatch", Napi::Value(env, function));
  exports.Set("words", environment.wordsArray.Value());
  Napi::Array kernels = Napi::Array::New(env, kKernelCount);
  for (uint32_t i = 0; i < kKernelCount; ++i) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", kEntries[i].name);
    entry.Set("signature", kEntries[i].signature);
    kernels.Set(i, entry);
  }
  exports.Set("kernels", kernels);
}

}  // namespace anneal::addon
