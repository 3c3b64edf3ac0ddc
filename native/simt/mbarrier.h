// mbarrier.h — what the host bodies of cuda/ptx/mbarrier.h call.
#pragma once

#include <cstdint>

namespace anneal::simt {

void mbarrierInit(uint32_t barrier, uint32_t arrivals);
void mbarrierInvalidate(uint32_t barrier);
void mbarrierArrive(uint32_t barrier);
void mbarrierArrivePeer(uint32_t barrier, uint32_t rank);
void mbarrierExpect(uint32_t barrier, uint32_t bytes);
void mbarrierArriveAfterCopies(uint32_t barrier);
bool mbarrierTryWait(uint32_t barrier, uint32_t parity);
void mbarrierWait(uint32_t barrier, uint32_t parity);

void fenceMbarrierInit();
void fenceProxyAsync();

bool electOne();

}  // namespace anneal::simt
