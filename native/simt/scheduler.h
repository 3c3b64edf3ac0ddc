// scheduler.h — the machine of one OS thread: what runs, what may run, and the one loop that chooses.
#pragma once

#include <memory>
#include <vector>

#include "simt/fiber.h"
#include "simt/machine.h"
#include "simt/shadow.h"
#include "simt/tickets.h"

namespace anneal::simt {

// xorshift64*: the only source of chance in a launch.
class Random {
 public:
  void seed(uint64_t seed) { state_ = seed * 0x9e3779b97f4a7c15u + 0x632be59bd9b4e019u; }
  uint32_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<uint32_t>((state_ * 0x2545f4914f6cdd1du) >> 32);
  }
  uint32_t below(uint32_t n) { return static_cast<uint32_t>((uint64_t{next()} * n) >> 32); }

 private:
  uint64_t state_ = 1;
};

// Thrown by violation() where no fiber runs.
struct LaunchFailed {};

struct Machine {
  Machine();
  ~Machine();

  Launch* launch = nullptr;
  uintptr_t parameters = 0;  // of the launch
  size_t parameterBytes = 0;
  Cluster cluster;
  uint32_t clusterNumber = 0;  // in the grid
  bool trackGlobal = true;     // look for races on global memory
  Tickets tickets;
  StackPool stacks;
  Random random;
  void* scheduler = nullptr;  // context of the loop while a fiber runs
  std::vector<Warp*> queue;   // warps with runnable lanes
  // Lanes of the warp that were picked together and have not run yet; from the last one down if descending.
  Warp* batch = nullptr;
  uint32_t batchLanes = 0;
  bool descending = false;
  uint64_t spins = 0;  // polls since anything else happened
  std::vector<std::unique_ptr<Operation>> operations;
  Operation* delivering = nullptr;
  SharedShadow shadow;
  unsigned char* arenas = nullptr;  // kMaxCluster windows of kSharedWindow bytes
  uint32_t agent = 0;
  uint32_t agentNow[kAgents] = {};
  const Thread* agentIssuer[kAgents] = {};
};

// The machine whose launch runs on this OS thread.
extern constinit thread_local Machine* runningMachine __attribute__((tls_model("initial-exec")));
inline Machine& machine() { return *runningMachine; }

// Runs the cluster that was set up until all its threads have ended or the launch has failed.
void runCluster(Machine& machine);
// Delivers a random operation that is ready; false when there is none.
bool deliverSome(Machine& machine);
// Ends the launch with the list of who waits where.
[[noreturn]] void deadlock(Machine& machine);
// A thread ended: barriers and collectives that wait for it notice.
void threadEnded(Thread& thread);
// An access in messages: "reads", "read of 4 bytes".
const char* verb(Access access);
const char* noun(Access access);
// Where an actor comes from, for messages: "thread (3, 0, 0)", "an asynchronous operation of thread (3, 0,
// 0)".
void nameActor(uint16_t id, char* text, size_t size);
// An address that no allocation holds: the message names the nearest one.
[[noreturn]] void outOfBounds(uintptr_t address, size_t bytes, Access access);
// Lanes of a warp are missing at a collective because they ended: called by threadEnded.
void checkMeetings(Thread& thread);
void releaseBarriers(Block& block);

}  // namespace anneal::simt
