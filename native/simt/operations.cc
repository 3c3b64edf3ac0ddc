// operations.cc — asynchronous operations: queued by threads, delivered late and out of order by the
// scheduler.
#include <utility>

#include "simt/scheduler.h"
#include "simt/shadow.h"

namespace anneal::simt {
namespace {

// Takes the operation out of the queue and runs it.
void deliverAt(Machine& m, size_t index) {
  std::unique_ptr<Operation> operation = std::move(m.operations[index]);
  m.operations[index] = std::move(m.operations.back());
  m.operations.pop_back();
  for (const MemoryRange& range : operation->ranges) endFlight(range);
  m.spins = 0;
  m.delivering = operation.get();
  operation->deliver();
  m.delivering = nullptr;
}

}  // namespace

Operation* defer(std::unique_ptr<Operation> operation) {
  Machine& m = machine();
  Thread& thread = self();
  const uint32_t slot = m.agent++ % kAgents;
  operation->issuer = &thread;
  operation->actor.id = static_cast<uint16_t>(m.cluster.threads.size() + slot);
  operation->actor.now = ++m.agentNow[slot];
  publish(thread.actor, operation->actor.known);
  m.agentIssuer[slot] = &thread;
  Operation* result = operation.get();
  m.operations.push_back(std::move(operation));
  for (const MemoryRange& range : result->ranges) beginFlight(*result, range);
  return result;
}

void deliverNow(Operation* operation) {
  Machine& m = machine();
  for (size_t i = 0; i < m.operations.size(); ++i) {
    if (m.operations[i].get() != operation) continue;
    Operation* outer = m.delivering;
    deliverAt(m, i);
    m.delivering = outer;
    return;
  }
}

size_t operationsInFlight() { return machine().operations.size(); }

bool deliverSome(Machine& m) {
  const size_t count = m.operations.size();
  const size_t start = m.random.below(static_cast<uint32_t>(count));
  for (size_t i = 0; i < count; ++i) {
    const size_t index = (start + i) % count;
    if (!m.operations[index]->ready()) continue;
    deliverAt(m, index);
    return true;
  }
  return false;
}

}  // namespace anneal::simt
