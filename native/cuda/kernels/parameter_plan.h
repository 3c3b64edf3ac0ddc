// parameter_plan.h — the launch that comes before each kernel over an optimizer's table, and the gradient
// norm, which shares it.
#pragma once

#include <cstdint>

#include "core/backend.h"

namespace anneal::cuda {

// What the tensors of a table must have beside their dtypes.
enum class TableNeeds : int { kGradients, kDtypes, kMoments, kBuffer };

// Queues: starts[e] = number of 16,384-element chunks of all tensors before e, starts[entries] = their
// number, and zero[0] = 0 (or null). A tensor that lacks what `needs` says is reported, the first the CPU
// backend would name, and makes the number of chunks 0. momentum stands in the message of kBuffer.
int planChunks(KernelContext* context, const void* table, int64_t entries, TableNeeds needs, double momentum,
               int32_t* starts, uint32_t* zero);

// The kernel of that name.
int gradNorm(KernelContext* context, const void* raw);

}  // namespace anneal::cuda
