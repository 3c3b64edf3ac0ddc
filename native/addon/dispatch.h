// dispatch.h — registers the function that queues a kernel, and the list of kernels.
#pragma once

#include <napi.h>

namespace anneal::addon {

void exportDispatch(Napi::Env env, Napi::Object exports);

}  // namespace anneal::addon
