// async_copy.h — what the host bodies of cuda/ptx/async_copy.h call: cp.async by a fiber.
#pragma once

#include <cstdint>

namespace anneal::simt {

// Queues a copy of `bytes` (4, 8, 16) into shared memory, of which `valid` come from `source` and the others
// are zero.
void copyAsync(uint32_t destination, const void* source, unsigned bytes, unsigned valid);
// Closes this thread's group; waits until at most `pending` of its groups are open; waits for every copy.
void commitGroup();
void waitGroups(unsigned pending);
void waitAllCopies();

}  // namespace anneal::simt
