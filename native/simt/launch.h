// launch.h — runs a grid of fibers: what cuda/launch.h calls instead of starting a kernel on a GPU.
#pragma once

#include <cstddef>

#include "core/backend.h"
#include "simt/device.h"

namespace anneal::simt {

// Calls entry(parameters) once for each thread of the grid, in an order that the seed decides, and returns
// when all have ended. `parameters` (parameterBytes of them) is the kernel's parameter memory: threads may
// read it, not write it. A violation of CUDA's rules ends the launch: status 1, and context->error says what,
// where and by whom.
int launch(KernelContext* context, dim3 grid, dim3 block, size_t sharedBytes, unsigned cluster,
           const void* parameters, size_t parameterBytes, void (*entry)(const void*));

}  // namespace anneal::simt
