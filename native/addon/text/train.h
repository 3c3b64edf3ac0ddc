// train.h — glue for text/train: counting of words and training of vocabularies.
#pragma once

#include <napi.h>

namespace anneal::addon {

void exportTrain(Napi::Env env, Napi::Object exports);

}  // namespace anneal::addon
