// shards.h — exports of mapped token shards.
#pragma once

#include <napi.h>

namespace anneal::addon {

void exportShards(Napi::Env env, Napi::Object exports);

}  // namespace anneal::addon
