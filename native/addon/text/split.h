// split.h — pre-tokenizers, normalizers and regular expressions of the text room by themselves, for
// JavaScript.
#pragma once

#include <napi.h>

namespace anneal::addon {

void exportSplit(Napi::Env env, Napi::Object exports);

}  // namespace anneal::addon
