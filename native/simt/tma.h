// tma.h — what the host bodies of cuda/ptx/tma.h call.
#pragma once

#include <cstddef>
#include <cstdint>

namespace anneal::simt {

// `map` is the 16 words that encodeTensorMap wrote; `ranks` = 0 copies to the own block only.
void tmaLoad(uint32_t destination, const uint64_t* map, uint32_t barrier, const int32_t* coordinates,
             size_t rank, uint16_t ranks);
void tmaStore(const uint64_t* map, uint32_t source, const int32_t* coordinates, size_t rank, bool add);
void bulkLoad(uint32_t destination, const void* source, uint32_t bytes, uint32_t barrier, uint16_t ranks);
void bulkStore(void* destination, uint32_t source, uint32_t bytes, bool add);
void bulkCommit();
void bulkWait(unsigned pending, bool readsOnly);

}  // namespace anneal::simt
