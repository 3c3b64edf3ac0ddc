// fault.cc — spells out a fault record: the messages for bad data, word for word those of the CPU backend.
#include "cuda/fault.h"

#include <cstring>

#include "core/dtype.h"
#include "core/kernels.h"

namespace anneal::cuda {
namespace {

const char* const kNames[] = {
#define ANNEAL_NAME(name, args, signature) #name,
    ANNEAL_KERNELS(ANNEAL_NAME)
#undef ANNEAL_NAME
};

}  // namespace

int faultMessage(KernelContext* context, const Fault& fault) {
  if (fault.sequence == 0) return 0;
  const uint64_t word = ~fault.where;
  const auto position = static_cast<long long>(word >> 32);
  const auto value = static_cast<int>(static_cast<uint32_t>(word));
  const auto limit = static_cast<long long>(fault.limit);
  const char* kernel = fault.kernel < kKernelCount ? kNames[fault.kernel] : "unknown kernel";
  context->kernel = static_cast<uint32_t>(fault.kernel);
  switch (fault.kind) {
    case kFaultIndex:
      return fail(context, "%s: index %d at position %lld is outside [0, %lld)", kernel, value, position,
                  limit);
    case kFaultId:
      return fail(context, "%s: id %d at position %lld is outside the vocabulary of %lld", kernel, value,
                  position, limit);
    case kFaultTarget:
      return fail(context, "%s: target %d of row %lld is neither in [0, %lld) nor the ignored index %lld",
                  kernel, value, position, static_cast<long long>(static_cast<uint32_t>(fault.limit)),
                  limit >> 32);
    case kFaultPosition:
      return fail(context, "%s: position %d of token %lld is outside the table of %lld positions", kernel,
                  value, position, limit);
    case kFaultLogits:
      return fail(context,
                  "%s: the logits of row %lld have no finite maximum; a weight or activation is not finite",
                  kernel, position);
    case kFaultOffset:
      return fail(context, "%s: offsets[%lld] is %d; expected an ascending row number of at most %lld",
                  kernel, position, value, limit);
    case kFaultDivision:
      return fail(context, "%s: division of i32 by zero", kernel);
    case kFaultParameter:
      return fail(context, "%s: parameter %lld must be f32, or bf16 with an f32 master copy; it is %s",
                  kernel, position, dtypeName(value));
    case kFaultMoments:
      return fail(context, "%s: the moments of parameter %lld must be f32 or bf16, got %s", kernel, position,
                  dtypeName(value));
    case kFaultNoMoments:
      return fail(context, "%s: parameter %lld has no moments", kernel, position);
    case kFaultNoBuffer: {
      double momentum = 0.0;
      std::memcpy(&momentum, &fault.limit, sizeof(momentum));
      return fail(context, "%s: momentum %g needs a buffer, parameter %lld has none", kernel, momentum,
                  position);
    }
    case kFaultExpert:
      return fail(context, "%s: expert id %d of choice %lld does not lie in 0..%lld", kernel, value, position,
                  limit - 1);
    case kFaultPage:
      return fail(context, "%s: page %d at entry %lld of the table is outside the pool of %lld pages", kernel,
                  value, position, limit);
    default:
      return fail(context, "%s: value %d at position %lld is not in [0, %lld)", kernel, value, position,
                  limit);
  }
}

}  // namespace anneal::cuda
