// tokenizer.h — tokenizers for JavaScript.
#pragma once

#include <napi.h>

namespace anneal::addon {

void exportTokenizer(Napi::Env env, Napi::Object exports);

}  // namespace anneal::addon
