// workspace.h — what kernels hold of a device's memory beside the tensors.
#pragma once

#include <napi.h>

namespace anneal::addon {

void exportWorkspace(Napi::Env env, Napi::Object exports);

}  // namespace anneal::addon
