// devices.h — registers the functions that open and describe devices and read their clocks.
#pragma once

#include <napi.h>

namespace anneal::addon {

void exportDevices(Napi::Env env, Napi::Object exports);

}  // namespace anneal::addon
