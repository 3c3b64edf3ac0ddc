// dedup.h — glue of native/text/dedup: folding, keys of documents, sorted runs, clusters.
#pragma once

#include <napi.h>

namespace anneal::addon {

void exportDedup(Napi::Env env, Napi::Object exports);

}  // namespace anneal::addon
