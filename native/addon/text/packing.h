// packing.h — exports of packing documents into rows.
#pragma once

#include <napi.h>

namespace anneal::addon {

void exportPacking(Napi::Env env, Napi::Object exports);

}  // namespace anneal::addon
