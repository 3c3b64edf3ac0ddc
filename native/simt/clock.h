// clock.h — who knows of whose accesses: vector clocks. An access is ordered before another one when barriers
// lead from the first to the second; two that are not ordered, one of them a write, are a race.
//
// Time of an actor (a CUDA thread, or an asynchronous operation) advances whenever it publishes what it did.
// Threads that meet at a barrier share one immutable clock afterwards, so a barrier costs one copy for all,
// not one each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace anneal::simt {

struct Clock {
  uint32_t references;
  Clock* nextFree;
  uint32_t* times() { return reinterpret_cast<uint32_t*>(this + 1); }
};

// Counted pointer to a clock of the cluster that runs now; null knows nothing.
class ClockRef {
 public:
  ClockRef() = default;
  ClockRef(const ClockRef& other) : clock_(other.clock_) {
    if (clock_ != nullptr) ++clock_->references;
  }
  ClockRef(ClockRef&& other) noexcept : clock_(std::exchange(other.clock_, nullptr)) {}
  ClockRef& operator=(ClockRef other) noexcept {
    std::swap(clock_, other.clock_);
    return *this;
  }
  ~ClockRef() { drop(); }

  uint32_t operator[](size_t actor) const { return clock_ == nullptr ? 0 : clock_->times()[actor]; }
  bool empty() const { return clock_ == nullptr; }
  bool operator==(const ClockRef& other) const { return clock_ == other.clock_; }
  // Drops the pointer without counting: the pool was reset.
  void forget() { clock_ = nullptr; }
  void reset() { drop(); }

 private:
  friend class ClockPool;
  explicit ClockRef(Clock* clock) : clock_(clock) {}
  void drop();
  Clock* clock_ = nullptr;
};

// A party to races: `known` is what happened before its next access, `now` its own time (from 1).
struct Actor {
  ClockRef known;
  uint32_t now = 1;
  uint16_t id = 0;
};

// True when the access of actor `id` at `time` comes before whatever `actor` does next.
inline bool ordered(const Actor& actor, uint16_t id, uint32_t time) {
  return id == actor.id || time <= actor.known[id];
}

// Publishes to `into` (a barrier, a flag) everything that the actor knows and did.
void publish(Actor& actor, ClockRef& into);
// The same where `into` was published by this actor before and its `known` then was `base`: nothing is merged
// when it still is.
void publishAgain(Actor& actor, ClockRef& into, const ClockRef& base);
// From now on the actor knows what was published there.
void learn(Actor& actor, const ClockRef& from);
// From now on the actor knows what actor `id` did up to `time`, and nothing more.
void learnTime(Actor& actor, uint16_t id, uint32_t time);
// A barrier of n actors: each knows afterwards what all knew and did.
void joinActors(Actor* const* actors, size_t n);

// What every one of the n actors (more than one) knows.
ClockRef knownToAll(Actor* const* actors, size_t n);

// The times of a clock, one for each actor; empty for one that knows nothing.
std::vector<uint32_t> timesOf(const ClockRef& clock);

// Forgets all clocks and sets the number of actors of the cluster that starts.
void resetClocks(size_t actors);

}  // namespace anneal::simt
