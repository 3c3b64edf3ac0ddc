// warp.cc — communication inside a warp: shuffles, ballots, syncWarp.
#include <cstring>

#include "simt/scheduler.h"

namespace anneal::simt {
namespace {

constexpr const char* kShuffle = "shuffle";
constexpr const char* kBallot = "ballot";
constexpr const char* kSyncWarp = "syncWarp";
constexpr size_t kValueBytes = 16;

struct Shuffle {
  void* value;
  unsigned source;
};

void runShuffle(Thread* const* lanes, unsigned count) {
  unsigned char values[kLanes][kValueBytes];
  size_t bytes = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (lanes[i] == nullptr) continue;
    bytes = lanes[i]->call.a;
    std::memcpy(values[i], static_cast<const Shuffle*>(lanes[i]->call.operand)->value, bytes);
  }
  for (unsigned i = 0; i < count; ++i) {
    if (lanes[i] == nullptr) continue;
    const auto& shuffle = *static_cast<const Shuffle*>(lanes[i]->call.operand);
    std::memcpy(shuffle.value, values[shuffle.source], bytes);
  }
}

struct Ballot {
  bool predicate;
  uint32_t result;
};

void runBallot(Thread* const* lanes, unsigned count) {
  uint32_t result = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (lanes[i] != nullptr && static_cast<const Ballot*>(lanes[i]->call.operand)->predicate)
      result |= 1u << i;
  }
  for (unsigned i = 0; i < count; ++i) {
    if (lanes[i] != nullptr) static_cast<Ballot*>(lanes[i]->call.operand)->result = result;
  }
}

void runSync(Thread* const* lanes, unsigned count) {
  Actor* actors[kLanes];
  size_t n = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (lanes[i] != nullptr) actors[n++] = &lanes[i]->actor;
  }
  joinActors(actors, n);
}

}  // namespace

void shuffleBytes(void* value, size_t bytes, unsigned lane, uint32_t mask) {
  if (lane >= kLanes || (mask >> lane & 1u) == 0) {
    violation("shuffle reads lane %u, which the mask %08x does not name", lane, mask);
  }
  if (bytes > kValueBytes) violation("shuffle of %zu bytes; at most %zu", bytes, kValueBytes);
  Shuffle shuffle{value, lane};
  Call call;
  call.kind = kShuffle;
  call.mask = mask;
  call.a = bytes;
  call.operand = &shuffle;
  meetWarp(call, runShuffle);
}

uint32_t ballot(bool predicate, uint32_t mask) {
  Ballot ballot{predicate, 0};
  Call call;
  call.kind = kBallot;
  call.mask = mask;
  call.operand = &ballot;
  meetWarp(call, runBallot);
  return ballot.result;
}

void syncWarp(uint32_t mask) {
  Call call;
  call.kind = kSyncWarp;
  call.mask = mask;
  meetWarp(call, runSync);
}

}  // namespace anneal::simt
