// count.h — registers the function that counts what texts consist of.
#pragma once

#include <napi.h>

namespace anneal::addon {

void exportCount(Napi::Env env, Napi::Object exports);

}  // namespace anneal::addon
