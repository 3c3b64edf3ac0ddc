// meeting.cc — collectives: every participant arrives with the same call, the last one works for all.
#include "simt/scheduler.h"

namespace anneal::simt {
namespace {

bool agree(const Call& left, const Call& right) {
  return left.kind == right.kind && left.mask == right.mask && left.a == right.a && left.b == right.b;
}

[[noreturn]] void diverged(const Call& mine, const Thread& other) {
  if (mine.kind != other.call.kind) {
    violation("diverged warp: lane %u is at %s (mask %08x), lane %u waits at %s (mask %08x)", self().lane,
              mine.kind, mine.mask, other.lane, other.call.kind, other.call.mask);
  }
  if (mine.mask != other.call.mask) {
    violation("diverged warp: lanes %u and %u are both at %s, with the masks %08x and %08x", self().lane,
              other.lane, mine.kind, mine.mask, other.call.mask);
  }
  violation("lanes %u and %u call %s with different arguments: (%llu, %llu) and (%llu, %llu)", self().lane,
            other.lane, mine.kind, static_cast<unsigned long long>(mine.a),
            static_cast<unsigned long long>(mine.b), static_cast<unsigned long long>(other.call.a),
            static_cast<unsigned long long>(other.call.b));
}

// Checks the call against the warp's other lanes.
void arrive(Thread& thread, const Call& call) {
  Warp& warp = *thread.warp;
  if ((call.mask >> thread.lane & 1u) == 0) {
    violation("lane %u calls %s with the mask %08x, which does not name it", thread.lane, call.kind,
              call.mask);
  }
  if ((call.mask & ~warp.lanes) != 0) {
    violation("%s with the mask %08x, but the warp has only %d threads", call.kind, call.mask,
              __builtin_popcount(warp.lanes));
  }
  if ((call.mask & warp.exited) != 0) {
    violation("%s with the mask %08x waits for lane %d, which has ended", call.kind, call.mask,
              __builtin_ctz(call.mask & warp.exited));
  }
  if (const uint32_t barred = call.mask & warp.barred) {
    const Thread& other = warp.threads[__builtin_ctz(barred)];
    violation("diverged warp: lane %u is at %s (mask %08x), lane %u waits at barrier %d of the block",
              thread.lane, call.kind, call.mask, other.lane, other.barrier);
  }
  if (const uint32_t waiting = warp.meeting) {
    for (uint32_t rest = waiting & call.mask; rest != 0; rest &= rest - 1) {
      const Thread& other = warp.threads[__builtin_ctz(rest)];
      if (!agree(call, other.call)) diverged(call, other);
      break;  // the lanes that wait agree with each other, or the last arriver finds out
    }
  }
  thread.call = call;
}

void sleepAt(Thread& thread) {
  thread.warp->meeting |= 1u << thread.lane;
  park(thread.call.kind);
}

void wakeLane(Thread& thread) {
  thread.warp->meeting &= ~(1u << thread.lane);
  wake(thread);
}

}  // namespace

void meetWarp(const Call& call, MeetingFn run) {
  InsideRuntime inside;
  Thread& thread = self();
  Warp& warp = *thread.warp;
  arrive(thread, call);
  const uint32_t others = call.mask & ~(1u << thread.lane);
  if ((warp.meeting & others) != others) return sleepAt(thread);
  Thread* participants[kLanes] = {};
  for (uint32_t rest = call.mask; rest != 0; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    participants[lane] = warp.threads + lane;
    if (!agree(call, participants[lane]->call)) diverged(call, *participants[lane]);
  }
  run(participants, kLanes);
  for (uint32_t rest = others; rest != 0; rest &= rest - 1) wakeLane(warp.threads[__builtin_ctz(rest)]);
}

void meetWarpgroup(const Call& call, MeetingFn run) {
  InsideRuntime inside;
  Thread& thread = self();
  Block& block = *thread.block;
  const uint32_t first = thread.linear / kWarpgroup * kWarpgroup;
  if (first + kWarpgroup > block.threads) {
    violation("%s needs a warpgroup of 128 threads; the block has %u threads from thread %u on", call.kind,
              block.threads - first, first);
  }
  arrive(thread, call);
  Warp* warps = block.firstWarp + first / kLanes;
  thread.warp->meeting |= 1u << thread.lane;
  bool complete = true;
  for (unsigned w = 0; w < 4; ++w) {
    if (warps[w].exited != 0) {
      violation("%s waits for thread %u of the warpgroup, which has ended", call.kind,
                w * kLanes + static_cast<unsigned>(__builtin_ctz(warps[w].exited)));
    }
    complete = complete && warps[w].meeting == warps[w].lanes;
  }
  if (!complete) return sleepAt(thread);
  Thread* participants[kWarpgroup];
  for (unsigned i = 0; i < kWarpgroup; ++i) {
    participants[i] = block.firstThread + first + i;
    if (!agree(call, participants[i]->call)) diverged(call, *participants[i]);
  }
  thread.warp->meeting &= ~(1u << thread.lane);
  run(participants, kWarpgroup);
  for (Thread* other : participants) {
    if (other != &thread) wakeLane(*other);
  }
}

void checkMeetings(Thread& thread) {
  const Warp& warp = *thread.warp;
  const uint32_t bit = 1u << thread.lane;
  for (uint32_t rest = warp.meeting; rest != 0; rest &= rest - 1) {
    const Thread& other = warp.threads[__builtin_ctz(rest)];
    if ((other.call.mask & bit) != 0) {
      violation("lane %u ended while lane %u waits for it at %s (mask %08x)", thread.lane, other.lane,
                other.call.kind, other.call.mask);
    }
  }
}

}  // namespace anneal::simt
