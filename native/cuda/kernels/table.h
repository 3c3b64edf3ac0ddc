// table.h — the list of kernel families that fill the backend's table; each is defined at the end of its
// file.
#pragma once

#include "core/backend.h"

namespace anneal::cuda {

void registerElementwise(Backend& table);
void registerCopy(Backend& table);
void registerUnary(Backend& table);
void registerBinary(Backend& table);
void registerReduce(Backend& table);
void registerScan(Backend& table);
void registerSoftmax(Backend& table);
void registerGather(Backend& table);
void registerRandom(Backend& table);
void registerSample(Backend& table);
void registerEmbedding(Backend& table);
void registerNorm(Backend& table);
void registerRope(Backend& table);
void registerActivation(Backend& table);
void registerMatmul(Backend& table);
void registerAttention(Backend& table);
void registerLoss(Backend& table);
void registerTokenLogProbs(Backend& table);
void registerOptimizer(Backend& table);
void registerRouter(Backend& table);
void registerBalance(Backend& table);
void registerMoeSort(Backend& table);
void registerMoe(Backend& table);

// Fills `table` with every kernel that this backend has.
inline void registerAll(Backend& table) {
  registerElementwise(table);
  registerCopy(table);
  registerUnary(table);
  registerBinary(table);
  registerReduce(table);
  registerScan(table);
  registerSoftmax(table);
  registerGather(table);
  registerRandom(table);
  registerSample(table);
  registerEmbedding(table);
  registerNorm(table);
  registerRope(table);
  registerActivation(table);
  registerMatmul(table);
  registerAttention(table);
  registerLoss(table);
  registerTokenLogProbs(table);
  registerOptimizer(table);
  registerRouter(table);
  registerBalance(table);
  registerMoeSort(table);
  registerMoe(table);
}

}  // namespace anneal::cuda
