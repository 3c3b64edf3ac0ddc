// tickets.cc — see tickets.h.
#include "simt/tickets.h"

namespace anneal::simt {
namespace {
constexpr unsigned kDepth = 4;  // counters that lead from one block to another
}

void Tickets::take(uintptr_t address, uint32_t cluster, Actor& actor) {
  auto& slot = counters_[address];
  if (slot == nullptr) slot = std::make_unique<Counter>();
  Counter& counter = *slot;
  Release release{actor.id, actor.now, timesOf(actor.known), {}};
  for (const Acquired& other : acquired_) {
    if (other.prefix.counter != &counter) release.known.push_back(other.prefix);
  }
  acquired_.push_back({{&counter, counter.releases.size()}, actor.id, actor.now});
  counter.byCluster[cluster].push_back(counter.releases.size());
  counter.releases.push_back(std::move(release));
  ++actor.now;
}

bool Tickets::releasedIn(const Prefix& prefix, uint32_t cluster, uint16_t other, uint32_t time,
                         unsigned depth) {
  const Counter& counter = *prefix.counter;
  const auto found = counter.byCluster.find(cluster);
  if (found != counter.byCluster.end()) {
    for (const size_t index : found->second) {
      if (index >= prefix.count) break;
      const Release& release = counter.releases[index];
      if (release.actor == other ? time <= release.time
                                 : other < release.times.size() && time <= release.times[other]) {
        return true;
      }
    }
  }
  if (depth == 0) return false;
  for (size_t i = 0; i < prefix.count; ++i) {
    for (const Prefix& known : counter.releases[i].known) {
      if (releasedIn(known, cluster, other, time, depth - 1)) return true;
    }
  }
  return false;
}

bool Tickets::ordered(const Actor& actor, uint32_t cluster, uint16_t other, uint32_t time) const {
  for (const Acquired& own : acquired_) {
    if (own.actor != actor.id && actor.known[own.actor] < own.time) continue;
    if (releasedIn(own.prefix, cluster, other, time, kDepth)) return true;
  }
  return false;
}

}  // namespace anneal::simt
