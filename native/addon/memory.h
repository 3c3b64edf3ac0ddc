// memory.h — registers the memory functions of the addon.
#pragma once

#include <napi.h>

namespace anneal::addon {

void exportMemory(Napi::Env env, Napi::Object exports);

}  // namespace anneal::addon
