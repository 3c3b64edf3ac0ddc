// clean.h — the rules of text/clean, for JavaScript.
#pragma once

#include <napi.h>

namespace anneal::addon {

void exportClean(Napi::Env env, Napi::Object exports);

}  // namespace anneal::addon
