// decontaminate.h — glue of native/text/dedup for evaluation texts: the index of their runs of words, and
// what documents share with them.
#pragma once

#include <napi.h>

namespace anneal::addon {

void exportDecontaminate(Napi::Env env, Napi::Object exports);

}  // namespace anneal::addon
