// sort.h — a stable sort of pairs on the device, for kernels that add rows by index in a fixed order.
#pragma once

#include "core/backend.h"
#include "cuda/host/sort.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {

// lane[0] is the key, lane[1] goes with it.
using Pair = Vec<uint32_t, 2>;

// Queues the sort of n pairs by key; equal keys keep their order. pairs and spare [n] are both overwritten,
// counters is scratch of plan.countBytes. Sets *sorted to the one of the two that will hold the result; gives
// a status.
int sortPairs(KernelContext* context, const SortPlan& plan, Pair* pairs, Pair* spare, uint32_t* counters,
              int64_t n, Pair** sorted);

}  // namespace anneal::cuda
