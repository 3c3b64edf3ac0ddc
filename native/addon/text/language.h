// language.h — fastText models for JavaScript.
#pragma once

#include <napi.h>

namespace anneal::addon {

void exportLanguage(Napi::Env env, Napi::Object exports);

}  // namespace anneal::addon
