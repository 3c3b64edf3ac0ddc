// table.cc — lists the kernel families of this folder; one register function a file.
#include "core/backend.h"
#include "cpu/isa.h"

ANNEAL_CPU_NAMESPACE_BEGIN

void registerElementwise(Backend& table);
void registerUnary(Backend& table);
void registerReduce(Backend& table);
void registerGather(Backend& table);
void registerRandom(Backend& table);
void registerSample(Backend& table);
void registerEmbedding(Backend& table);
void registerNorm(Backend& table);
void registerRope(Backend& table);
void registerActivation(Backend& table);
void registerAttention(Backend& table);
void registerAttentionBackward(Backend& table);
void registerLoss(Backend& table);
void registerRouter(Backend& table);
void registerMoeDispatch(Backend& table);
void registerOptimizer(Backend& table);

void registerKernels(Backend& table) {
  registerElementwise(table);
  registerUnary(table);
  registerReduce(table);
  registerGather(table);
  registerRandom(table);
  registerSample(table);
  registerEmbedding(table);
  registerNorm(table);
  registerRope(table);
  registerActivation(table);
  registerAttention(table);
  registerAttentionBackward(table);
  registerLoss(table);
  registerRouter(table);
  registerMoeDispatch(table);
  registerOptimizer(table);
}

ANNEAL_CPU_NAMESPACE_END
