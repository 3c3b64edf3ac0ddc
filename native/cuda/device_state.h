// device_state.h — what the host side of a kernel may ask of the opened device: its facts, scratch memory and
// plain memory commands on the stream. Implemented by cuda/runtime.cu for a GPU and by simt/runtime.cc.
#pragma once

#include "core/backend.h"
#include "cuda/fault.h"

namespace anneal::cuda {

// The first member of each runtime's own device structure, to which KernelContext::device points.
struct DeviceState {
  DeviceFacts facts;
  Fault* fault;  // in device memory
};

inline DeviceState& stateOf(KernelContext* context) { return *static_cast<DeviceState*>(context->device); }
inline int64_t processors(KernelContext* context) { return stateOf(context).facts.processors; }
inline FaultReporter faultReporter(KernelContext* context) {
  return {stateOf(context).fault, context->sequence, context->kernel};
}

// Scratch memory of at least `bytes`, aligned to 256 bytes, contents undefined. One block of memory per
// device that only grows: valid until the kernel call that asked for it returns (its launches are ordered
// before any later use), one request a call. Null: context->error says why.
void* workspace(KernelContext* context, size_t bytes);

// Queue: n bytes set to `byte`; n bytes copied inside the device.
int setBytes(KernelContext* context, void* destination, int byte, size_t bytes);
int copyBytes(KernelContext* context, void* destination, const void* source, size_t bytes);

}  // namespace anneal::cuda
