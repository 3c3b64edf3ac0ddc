// tickets.h — order between blocks. A block that adds to a counter with acquire and release publishes what it
// did, and learns what the blocks before it on that counter published: the only way for one block to use
// another's results in the same launch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "simt/clock.h"

namespace anneal::simt {

class Tickets {
 public:
  void startLaunch() {
    counters_.clear();
    acquired_.clear();
  }
  void startCluster() { acquired_.clear(); }

  // The actor of the running cluster `cluster` adds to the counter at `address`.
  void take(uintptr_t address, uint32_t cluster, Actor& actor);
  // True when what `other` did at `time` in `cluster`, which ran before, comes before what `actor` does next.
  bool ordered(const Actor& actor, uint32_t cluster, uint16_t other, uint32_t time) const;

 private:
  struct Counter;
  // What a cluster knew when it added to a counter: the counter's first `count` additions.
  struct Prefix {
    const Counter* counter;
    size_t count;
  };
  struct Release {
    uint16_t actor;
    uint32_t time;                // of the actor; everything it did until then
    std::vector<uint32_t> times;  // of the others, as it knew them
    std::vector<Prefix> known;    // on other counters
  };
  struct Counter {
    std::vector<Release> releases;
    std::unordered_map<uint32_t, std::vector<size_t>> byCluster;
  };
  struct Acquired {
    Prefix prefix;
    uint16_t actor;
    uint32_t time;
  };

  static bool releasedIn(const Prefix& prefix, uint32_t cluster, uint16_t other, uint32_t time,
                         unsigned depth);

  std::unordered_map<uintptr_t, std::unique_ptr<Counter>> counters_;
  std::vector<Acquired> acquired_;  // by the running cluster
};

}  // namespace anneal::simt
