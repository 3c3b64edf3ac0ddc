// clock.cc — joins of vector clocks, and the pool they come from.
#include "simt/clock.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

namespace anneal::simt {

// Clocks of one width. Memory is kept until the width grows; a reset takes all clocks back, those included
// that a failed launch left behind.
class ClockPool {
 public:
  void reset(size_t actors) {
    lastLeft_.forget();
    lastRight_.forget();
    lastResult_.forget();
    if (actors > width_) {
      width_ = actors;
      slabs_.clear();
    }
    free_ = nullptr;
    for (const auto& slab : slabs_) thread(slab.get());
  }

  void give(Clock* clock) {
    clock->nextFree = free_;
    free_ = clock;
  }

  // A copy of `from`, or zeros.
  ClockRef copy(const ClockRef& from) {
    ClockRef result(take());
    if (from.clock_ != nullptr) {
      std::memcpy(result.clock_->times(), from.clock_->times(), width_ * sizeof(uint32_t));
    } else {
      std::memset(result.clock_->times(), 0, width_ * sizeof(uint32_t));
    }
    return result;
  }

  // Makes `target` the only pointer to its clock, so that it may be changed.
  void own(ClockRef& target) {
    if (target.clock_ == nullptr || target.clock_->references != 1) target = copy(target);
  }

  void merge(ClockRef& owned, const ClockRef& from) {
    if (from.clock_ == nullptr) return;
    uint32_t* into = owned.clock_->times();
    const uint32_t* times = from.clock_->times();
    for (size_t i = 0; i < width_; ++i) into[i] = std::max(into[i], times[i]);
  }

  std::vector<uint32_t> times(const ClockRef& from) const {
    if (from.clock_ == nullptr) return {};
    return std::vector<uint32_t>(from.clock_->times(), from.clock_->times() + width_);
  }

  // The greater time stays: operations that share an id end in any order.
  void set(ClockRef& owned, const Actor& actor) {
    uint32_t& time = owned.clock_->times()[actor.id];
    time = std::max(time, actor.now);
  }

  // What all know: an actor knows all of itself.
  ClockRef common(Actor* const* actors, size_t n) {
    ClockRef result(take());
    uint32_t* into = result.clock_->times();
    std::fill_n(into, width_, UINT32_MAX);
    for (size_t i = 0; i < n; ++i) {
      const bool same = i > 0 && actors[i]->known == actors[i - 1]->known;
      if (same || actors[i]->known.empty()) continue;
      const uint32_t* times = actors[i]->known.clock_->times();
      const uint32_t own = into[actors[i]->id];
      for (size_t a = 0; a < width_; ++a) into[a] = std::min(into[a], times[a]);
      // Unless another actor with the same clock follows, to whom this one is a stranger.
      const bool shared = i + 1 < n && actors[i + 1]->known == actors[i]->known;
      if (!shared) into[actors[i]->id] = own;
    }
    for (size_t i = 0; i < n; ++i) {
      if (actors[i]->known.empty()) {
        std::fill_n(into, width_, 0);
        break;
      }
    }
    return result;
  }

  // The join of two clocks. Threads that wait at one barrier ask for the same join one after the other.
  const ClockRef& joined(const ClockRef& left, const ClockRef& right) {
    if (lastResult_.empty() || !(lastLeft_ == left) || !(lastRight_ == right)) {
      ClockRef result = copy(left);
      merge(result, right);
      lastLeft_ = left;
      lastRight_ = right;
      lastResult_ = std::move(result);
    }
    return lastResult_;
  }

 private:
  static constexpr size_t kSlab = 64;  // clocks

  size_t stride() const { return (sizeof(Clock) + width_ * sizeof(uint32_t) + 15) / 16 * 16; }

  void thread(unsigned char* slab) {
    for (size_t i = 0; i < kSlab; ++i) give(reinterpret_cast<Clock*>(slab + i * stride()));
  }

  Clock* take() {
    if (free_ == nullptr) {
      slabs_.emplace_back(new unsigned char[kSlab * stride()]);
      thread(slabs_.back().get());
    }
    Clock* clock = free_;
    free_ = clock->nextFree;
    clock->references = 1;
    return clock;
  }

  size_t width_ = 0;
  Clock* free_ = nullptr;
  std::vector<std::unique_ptr<unsigned char[]>> slabs_;
  // Of the last joined(): kept, so that the addresses cannot name newer clocks.
  ClockRef lastLeft_, lastRight_, lastResult_;
};

namespace {
ClockPool& pool() {
  static thread_local ClockPool instance;
  return instance;
}
}  // namespace

void ClockRef::drop() {
  Clock* clock = std::exchange(clock_, nullptr);
  if (clock != nullptr && --clock->references == 0) pool().give(clock);
}

void resetClocks(size_t actors) { pool().reset(actors); }

std::vector<uint32_t> timesOf(const ClockRef& clock) { return pool().times(clock); }

void publish(Actor& actor, ClockRef& into) {
  ClockPool& clocks = pool();
  if (into.empty()) {
    into = clocks.copy(actor.known);
  } else {
    clocks.own(into);
    clocks.merge(into, actor.known);
  }
  clocks.set(into, actor);
  ++actor.now;
}

void publishAgain(Actor& actor, ClockRef& into, const ClockRef& base) {
  if (!(actor.known == base) || into.empty()) return publish(actor, into);
  ClockPool& clocks = pool();
  clocks.own(into);
  clocks.set(into, actor);
  ++actor.now;
}

void learn(Actor& actor, const ClockRef& from) {
  if (from.empty() || actor.known == from) return;
  if (actor.known.empty()) {
    actor.known = from;
  } else {
    actor.known = pool().joined(actor.known, from);
  }
}

void learnTime(Actor& actor, uint16_t id, uint32_t time) {
  if (id == actor.id || time <= actor.known[id]) return;
  ClockPool& clocks = pool();
  clocks.own(actor.known);
  Actor other;
  other.id = id;
  other.now = time;
  clocks.set(actor.known, other);
}

ClockRef knownToAll(Actor* const* actors, size_t n) { return pool().common(actors, n); }

void joinActors(Actor* const* actors, size_t n) {
  if (n == 0) return;
  ClockPool& clocks = pool();
  ClockRef result = clocks.copy(actors[0]->known);
  // Neighbours mostly share a clock: merging only what differs from the one before skips nearly all.
  for (size_t i = 1; i < n; ++i) {
    if (!(actors[i]->known == actors[i - 1]->known)) clocks.merge(result, actors[i]->known);
  }
  for (size_t i = 0; i < n; ++i) clocks.set(result, *actors[i]);
  for (size_t i = 0; i < n; ++i) {
    actors[i]->known = result;
    ++actors[i]->now;
  }
}

}  // namespace anneal::simt
