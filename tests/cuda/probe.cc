// probe.cc — loads a backend's library and asks what it finds, as the addon does; run by library.test.ts
// where no GPU is visible. Prints one line for each answer.
#include <dlfcn.h>

#include <cstdio>
#include <cstring>

#include "core/backend.h"

using namespace anneal;

int main(int, char** arguments) {
  void* library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::printf("%s\n", dlerror());
    return 1;
  }
  const auto entry = reinterpret_cast<BackendFn>(dlsym(library, kBackendSymbol));
  if (entry == nullptr) return 2;
  const Backend* backend = entry();
  std::printf("abi %u kernels %u name %s\n", backend->abiVersion - kAbiVersion,
              backend->kernelCount - kKernelCount, backend->name);

  char reason[512] = {0};
  const int devices = backend->device->count(reason, sizeof(reason));
  std::printf("count %d: %s\n", devices, reason);
  char little[8];
  std::memset(little, 'x', sizeof(little));
  const int again = backend->device->count(little, sizeof(little));
  std::printf("little %d %zu, none %d\n", again, strnlen(little, sizeof(little)),
              backend->device->count(nullptr, 0));

  KernelContext context;
  DeviceFacts facts;
  std::printf("describe %d: %s\n", backend->device->describe(&context, 0, &facts), context.error);
  std::printf("open %d: %s\n", backend->device->open(&context, 0), context.error);
  std::printf("untouched %d\n", context.device == nullptr && context.stream == nullptr);
  backend->device->close(&context);
  dlclose(library);
  std::printf("done\n");
  return 0;
}
