// arch.h — which instructions the running compiler pass may use. A source is compiled for several
// architectures; a wrapper whose instruction the pass lacks becomes a trap, so that one kernel file serves
// all passes and the host picks kernels that the GPU can run.
#pragma once

#include "cuda/ptx/target.h"

// Compute capability 9.0 and later; and the instructions of sm_90a alone (wgmma, setmaxnreg), which PTX for
// later architectures does not carry.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define ANNEAL_SM90 1
#else
#define ANNEAL_SM90 0
#endif
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define ANNEAL_SM90A 1
#else
#define ANNEAL_SM90A 0
#endif

#if !defined(ANNEAL_SIMT)
namespace anneal::cuda {
// The body of a wrapper in a pass that has no such instruction.
ANNEAL_DEVICE void missingInstruction() { asm volatile("trap;"); }
}  // namespace anneal::cuda
#endif
