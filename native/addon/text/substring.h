// substring.h — glue of native/text/dedup for repeated passages: anchors of documents, and the passages
// themselves.
#pragma once

#include <napi.h>

namespace anneal::addon {

void exportSubstring(Napi::Env env, Napi::Object exports);

}  // namespace anneal::addon
