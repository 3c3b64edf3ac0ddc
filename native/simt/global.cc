// global.cc — checks of global memory: exact bounds, and order. Inside a cluster barriers order accesses, as
// for shared memory; between clusters only tickets do, in whatever order the clusters ran.
#include <cstdio>
#include <cstring>

#include "simt/memory.h"
#include "simt/scheduler.h"

namespace anneal::simt {
namespace {

// "block (1, 0, 0), thread (5, 0, 0)"
void nameParty(uint32_t cluster, uint16_t actor, char* text, size_t size) {
  const Machine& m = machine();
  const Launch& launch = *m.launch;
  const uint32_t threads = launch.block.x * launch.block.y * launch.block.z;
  const uint32_t width = launch.grid.x / launch.cluster;
  const uint32_t rank = actor < m.cluster.threads.size() ? actor / threads : 0;
  const uint32_t x = cluster % width * launch.cluster + rank;
  const uint32_t y = cluster / width % launch.grid.y;
  const uint32_t z = cluster / width / launch.grid.y;
  if (actor >= m.cluster.threads.size()) {
    std::snprintf(text, size, "an asynchronous operation of block (%u, %u, %u)", x, y, z);
    return;
  }
  const uint3 t = m.cluster.threads[actor].index;
  std::snprintf(text, size, "thread (%u, %u, %u) of block (%u, %u, %u)", t.x, t.y, t.z, x, y, z);
}

[[noreturn]] void race(const Actor& actor, uintptr_t address, Access access, uint32_t cluster, uint16_t other,
                       const char* did) {
  Machine& m = machine();
  char mine[96], theirs[96], where[96] = "";
  nameParty(m.clusterNumber, actor.id, mine, sizeof(mine));
  nameParty(cluster, other, theirs, sizeof(theirs));
  if (const Allocation* allocation = findGlobal(address)) {
    std::snprintf(where, sizeof(where), "byte %zu of %s #%llu",
                  static_cast<size_t>(address - allocation->begin), allocation->what,
                  static_cast<unsigned long long>(allocation->serial));
  }
  violation("race on global memory at %s: %s %s what %s %s, and no %s orders the two", where, mine,
            verb(access), theirs, did, cluster == m.clusterNumber ? "barrier" : "atomicAddOrdered");
}

bool orderedBefore(const Machine& m, const Actor& actor, uint32_t party, uint16_t other, uint32_t time) {
  const uint32_t cluster = party >> kCellClusterShift;
  return cluster == m.clusterNumber ? ordered(actor, other, time)
                                    : m.tickets.ordered(actor, cluster, other, time);
}

// `mine` is the running cluster with the bytes of the access.
inline void touch(const Machine& m, const Actor& actor, GlobalCell& cell, uintptr_t address, uint32_t mine,
                  Access access) {
  const uint32_t cluster = mine >> kCellClusterShift;
  const bool own = cell.writer >> kCellClusterShift == cluster && cell.writeActor == actor.id;
  if ((cell.writer & mine & kCellBytes) != 0 && !own &&
      !(access == Access::kAtomic && (cell.writer & kCellAtomic) != 0) &&
      !orderedBefore(m, actor, cell.writer, cell.writeActor, cell.writeTime)) {
    race(actor, address, access, cell.writer >> kCellClusterShift, cell.writeActor,
         (cell.writer & kCellAtomic) != 0 ? "updated" : "wrote");
  }
  const bool reader = cell.reader >> kCellClusterShift == cluster && cell.readActor == actor.id;
  if (access == Access::kRead) {
    // One reader is kept. A later one takes its place where it is ordered after it, else in one case of two.
    if ((cell.reader & kCellBytes) == 0 || reader || ((address >> 2 ^ actor.id ^ cluster) & 1) != 0 ||
        orderedBefore(m, actor, cell.reader, cell.readActor, cell.readTime)) {
      cell.reader = reader && cell.readTime == actor.now ? cell.reader | mine : mine;
      cell.readActor = actor.id;
      cell.readTime = static_cast<uint16_t>(actor.now);
    }
    return;
  }
  if ((cell.reader & mine & kCellBytes) != 0 && !reader &&
      !orderedBefore(m, actor, cell.reader, cell.readActor, cell.readTime)) {
    race(actor, address, access, cell.reader >> kCellClusterShift, cell.readActor, "read");
  }
  cell.reader &= ~(mine & kCellBytes);
  cell.writer = own && cell.writeTime == actor.now && access == Access::kWrite ? cell.writer | mine : mine;
  if (access == Access::kAtomic) cell.writer |= kCellAtomic;
  cell.writeActor = actor.id;
  cell.writeTime = static_cast<uint16_t>(actor.now);
}

// The cells of a page that this launch has not touched yet speak of an earlier one.
void refresh(uintptr_t address, uint32_t launch) {
  const size_t page = (address - globalRange.begin) >> kPageBits;
  if (globalRange.stamps[page] == launch) return;
  globalRange.stamps[page] = launch;
  constexpr size_t kCells = (size_t{1} << kPageBits) / 4;
  std::memset(static_cast<void*>(globalRange.cells + page * kCells), 0, kCells * sizeof(GlobalCell));
}

}  // namespace

void outOfBounds(uintptr_t address, size_t bytes, Access access) {
  char text[200];
  describeGlobal(address, bytes, text, sizeof(text));
  violation("out of bounds: %s of %zu bytes at %p: %s", noun(access), bytes, reinterpret_cast<void*>(address),
            text);
}

void checkGlobal(const Actor& actor, uintptr_t address, size_t bytes, Access access) {
  if (bytes == 0) return;
  const Allocation* allocation = inGlobalRange(address) ? findGlobal(address) : nullptr;
  if (allocation == nullptr || !allocation->live || address - allocation->begin > allocation->bytes ||
      bytes > allocation->bytes - (address - allocation->begin)) {
    outOfBounds(address, bytes, access);
  }
  const Machine& m = machine();
  if (!m.trackGlobal || actor.now > kCellTimes) return;
  const auto launch = static_cast<uint32_t>(m.launch->serial);
  const uintptr_t last = address + bytes - 1;
  for (uintptr_t at = address; at >> kPageBits <= last >> kPageBits; at += size_t{1} << kPageBits)
    refresh(at, launch);
  const uint32_t cluster = m.clusterNumber << kCellClusterShift;
  GlobalCell* cell = &globalCell(address);
  if (address % 4 == 0 && bytes % 4 == 0) {
    for (size_t i = 0; i < bytes; i += 4)
      touch(m, actor, cell[i / 4], address + i, cluster | kCellBytes, access);
    return;
  }
  for (uintptr_t at = address; at <= last; ++cell) {
    const uintptr_t next = at / 4 * 4 + 4 <= last ? at / 4 * 4 + 4 : last + 1;
    const uint32_t mask = ((1u << (next - at)) - 1) << at % 4;
    touch(m, actor, *cell, at, cluster | mask, access);
    at = next;
  }
}

}  // namespace anneal::simt
