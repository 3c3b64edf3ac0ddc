// runtime.h — the SIMT backend's device functions.
#pragma once

#include "core/backend.h"

namespace anneal::simt {

extern const DeviceApi deviceApi;

}  // namespace anneal::simt
