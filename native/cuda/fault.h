// fault.h — how a kernel on the device reports bad data (an index outside its range): the first launch that
// meets any keeps the record, with the lowest position in it, and the next read throws it. The kernel itself
// goes on without the bad element.
#pragma once

#include "core/backend.h"
#include "cuda/ptx/sync.h"
#include "cuda/ptx/target.h"

namespace anneal::cuda {

// What kind of value was bad; faultMessage() spells it out, in the words of the CPU backend. Where a launch
// may meet several kinds, one thread decides which of them it reports.
enum FaultKind : uint64_t {
  kFaultIndex = 1,  // an index of gather or scatterAdd
  kFaultId,         // a token id; limit: the vocabulary
  kFaultTarget,     // a target of a loss; limit: targetLimit()
  kFaultPosition,   // a position of rope; limit: rows of the tables
  kFaultLogits,     // a row of logits without finite maximum; position: the row
  kFaultOffset,     // an offset of groupedMatmul; position: its index, limit: the rows
  kFaultDivision,   // a zero divisor among integers
  kFaultParameter,  // a parameter of the optimizers' table (position) whose dtype (value) they do not take
  kFaultMoments,    // likewise for the dtype of its moments
  kFaultNoMoments,  // a parameter (position) without moments
  kFaultNoBuffer,   // a parameter (position) without the buffer of SGD; limit: bits of the momentum, a double
  kFaultExpert,     // an expert id; position: the choice t·K + k, limit: the experts
  kFaultPage        // a page id of attention's table (position); limit: the pages of the pool
};

// The limit of kFaultTarget, whose message also names the ignored index.
constexpr int64_t targetLimit(int64_t vocab, int64_t ignoreIndex) {
  return static_cast<int64_t>((static_cast<uint64_t>(ignoreIndex) << 32) | static_cast<uint32_t>(vocab));
}

// All zeros: nothing happened.
struct Fault {
  uint64_t sequence;  // KernelContext::sequence of the launch that owns the record
  uint64_t kernel;    // id in the kernel table
  uint64_t kind;
  uint64_t limit;  // values must lie in [0, limit), where the kind says nothing else
  uint64_t where;  // ~(position·2³² + value as 32 bits): the lowest position has the largest word
};

// Which record a launch writes to; passed to kernels by value. `context` may be one of any thread.
struct FaultReporter {
  Fault* fault;
  uint64_t sequence;
  uint64_t kernel;
};

// Device side: records that `value` at `position` (below 2³²) is not in [0, limit).
ANNEAL_DEVICE void reportFault(const FaultReporter& reporter, FaultKind kind, int64_t position, int64_t value,
                               int64_t limit) {
  Fault* fault = reporter.fault;
  const uint64_t owner = atomicCompareWord(&fault->sequence, 0, reporter.sequence);
  if (owner != 0 && owner != reporter.sequence) return;
  const uint64_t word = (static_cast<uint64_t>(position) << 32) | static_cast<uint32_t>(value);
  atomicMaxWord(&fault->kernel, reporter.kernel);
  atomicMaxWord(&fault->kind, kind);
  atomicMaxWord(&fault->limit, static_cast<uint64_t>(limit));
  atomicMaxWord(&fault->where, ~word);
}

// Host side: the record as a message in context->error, and the kernel's id in context->kernel. Gives the
// status 1, or 0 when the record is empty.
int faultMessage(KernelContext* context, const Fault& fault);

}  // namespace anneal::cuda
