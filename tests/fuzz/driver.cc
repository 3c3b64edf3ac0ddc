// driver.cc — libFuzzer inside Node: an addon whose one function runs libFuzzer's loop with a JavaScript
// function as the target. The counters that instrument.mjs writes into the readers are handed to libFuzzer as
// its own, so that it keeps inputs that reach new code. Built by tests/fuzz/build.mjs with clang.
#include <napi.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

extern "C" {
int LLVMFuzzerRunDriver(int* argc, char*** argv, int (*target)(const uint8_t* data, size_t size));
void __sanitizer_cov_8bit_counters_init(uint8_t* begin, uint8_t* end);
void __sanitizer_cov_pcs_init(const uintptr_t* begin, const uintptr_t* end);
}

namespace {

Napi::FunctionReference target;

int runTarget(const uint8_t* data, size_t size) {
  const Napi::Env env = target.Env();
  const Napi::HandleScope scope(env);
  try {
    target.Call({Napi::Buffer<uint8_t>::Copy(env, data, size)});
  } catch (const Napi::Error& error) {
    const std::string stack = error.Value().As<Napi::Object>().Get("stack").ToString().Utf8Value();
    std::fprintf(stderr, "The target threw what it must not throw:\n%s\n", stack.c_str());
    std::abort();  // libFuzzer writes the input down and ends the process
  }
  return 0;
}

// run(counters: Uint8Array, target: (input: Buffer) => void, arguments: string[])
Napi::Value run(const Napi::CallbackInfo& info) {
  Napi::Uint8Array counters = info[0].As<Napi::Uint8Array>();
  target = Napi::Persistent(info[1].As<Napi::Function>());
  const Napi::Array given = info[2].As<Napi::Array>();
  std::vector<std::string> words{"fuzz"};
  for (uint32_t i = 0; i < given.Length(); ++i) words.push_back(given.Get(i).ToString().Utf8Value());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  // A made-up address for each counter: libFuzzer only tells them apart by it.
  static std::vector<uintptr_t> places(2 * counters.ByteLength());
  for (size_t i = 0; i < counters.ByteLength(); ++i) places[2 * i] = 4096 + i;
  __sanitizer_cov_8bit_counters_init(counters.Data(), counters.Data() + counters.ByteLength());
  __sanitizer_cov_pcs_init(places.data(), places.data() + places.size());
  int count = static_cast<int>(words.size());
  char** arguments = pointers.data();
  return Napi::Number::New(info.Env(), LLVMFuzzerRunDriver(&count, &arguments, runTarget));
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("run", Napi::Function::New(env, run, "run"));
  return exports;
}

}  // namespace

NODE_API_MODULE(fuzz, initialise)
