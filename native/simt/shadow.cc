// shadow.cc — checks of shared memory: bounds, initialised?, ordered?, in flight?
#include "simt/shadow.h"

#include <sys/mman.h>

#include <cstring>
#include <new>

#include "simt/scheduler.h"

namespace anneal::simt {
namespace {

constexpr size_t kCells = size_t{kMaxCluster} * kSharedWindow / 4;

Cell* reserveCells(size_t count) {
  void* memory = mmap(nullptr, count * sizeof(Cell), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<Cell*>(memory);
}

size_t offsetOf(uintptr_t address) { return address - reinterpret_cast<uintptr_t>(machine().arenas); }

[[noreturn]] void race(const Actor& actor, uintptr_t address, Access access, uint16_t other,
                       const char* did) {
  char mine[96], theirs[96];
  nameActor(actor.id, mine, sizeof(mine));
  nameActor(other, theirs, sizeof(theirs));
  violation("race on shared memory at byte %zu: %s %s what %s %s, and no barrier orders the two",
            offsetOf(address) % kSharedWindow, mine, verb(access), theirs, did);
}

[[noreturn]] void uninitialised(const Actor& actor, uintptr_t address) {
  char mine[96];
  nameActor(actor.id, mine, sizeof(mine));
  violation("%s reads shared memory at byte %zu, which nothing has written yet", mine,
            offsetOf(address) % kSharedWindow);
}

bool overlap(const MemoryRange& range, uintptr_t address, size_t bytes) {
  return address < range.address + range.bytes && range.address < address + bytes;
}

// Finds an operation that has the range in flight in a way that excludes the access.
void checkFlight(const Actor& actor, uintptr_t address, size_t bytes, Access access,
                 const Operation* except) {
  for (const auto& operation : machine().operations) {
    if (operation.get() == except || operation->actor.id == actor.id) continue;
    for (const MemoryRange& range : operation->ranges) {
      if (!overlap(range, address, bytes) || (!range.write && access == Access::kRead)) continue;
      char mine[96], text[160];
      nameActor(actor.id, mine, sizeof(mine));
      operation->describe(text, sizeof(text));
      violation("%s %s shared memory at byte %zu while it is in flight: %s has not been waited for", mine,
                verb(access), offsetOf(address) % kSharedWindow, text);
    }
  }
}

void readCell(const Actor& actor, Cell& cell, uintptr_t address) {
  if (cell.reader[0] == actor.id && cell.readTime[0] == actor.now) return;
  if ((cell.flags & kWritten) == 0) uninitialised(actor, address);
  if (cell.writeTime != 0 && !ordered(actor, cell.writer, cell.writeTime)) {
    race(actor, address, Access::kRead, cell.writer, "wrote");
  }
  for (unsigned i = 0; i < 2; ++i) {
    if (cell.readTime[i] == 0 || ordered(actor, cell.reader[i], cell.readTime[i])) {
      cell.reader[i] = actor.id;
      cell.readTime[i] = actor.now;
      return;
    }
  }
  const unsigned victim = (actor.id ^ actor.id >> 5 ^ actor.now) & 1;
  cell.reader[victim] = actor.id;
  cell.readTime[victim] = actor.now;
}

void writeCell(const Actor& actor, Cell& cell, uintptr_t address, Access access) {
  const bool atomic = access == Access::kAtomic;
  if (atomic && (cell.flags & kWritten) == 0) uninitialised(actor, address);
  if (cell.writeTime != 0 && !(atomic && (cell.flags & kAtomicWrite) != 0) &&
      !ordered(actor, cell.writer, cell.writeTime)) {
    race(actor, address, access, cell.writer, "wrote");
  }
  for (unsigned i = 0; i < 2; ++i) {
    if (cell.readTime[i] != 0 && !ordered(actor, cell.reader[i], cell.readTime[i])) {
      race(actor, address, access, cell.reader[i], "read");
    }
    cell.readTime[i] = 0;
  }
  cell.writer = actor.id;
  cell.writeTime = actor.now;
  cell.flags = static_cast<uint8_t>((cell.flags & ~kAtomicWrite) | kWritten | (atomic ? kAtomicWrite : 0));
}

void touchCell(const Actor& actor, Cell& cell, uintptr_t address, size_t bytes, Access access) {
  if (cell.inFlight != 0) checkFlight(actor, address, bytes, access, nullptr);
  if (access == Access::kRead) {
    readCell(actor, cell, address);
  } else {
    writeCell(actor, cell, address, access);
  }
}

}  // namespace

SharedShadow::SharedShadow() : words_(reserveCells(kCells)), bytes_(reserveCells(kCells * 4)) {}

SharedShadow::~SharedShadow() {
  munmap(words_, kCells * sizeof(Cell));
  munmap(bytes_, kCells * 4 * sizeof(Cell));
}

void SharedShadow::clear(unsigned window, size_t bytes) {
  std::memset(static_cast<void*>(words_ + window * (kSharedWindow / 4)), 0, (bytes + 3) / 4 * sizeof(Cell));
}

Cell* SharedShadow::split(size_t offset) {
  Cell& whole = word(offset);
  Cell* parts = bytesOf(offset);
  if ((whole.flags & kSplit) == 0) {
    for (unsigned i = 0; i < 4; ++i) parts[i] = whole;
    whole.flags |= kSplit;
  }
  return parts;
}

Block* arenaOf(uintptr_t address) {
  const size_t offset = offsetOf(address);
  Cluster& cluster = machine().cluster;
  const size_t rank = offset / kSharedWindow;
  return rank < cluster.blocks.size() ? &cluster.blocks[rank] : nullptr;
}

unsigned char* sharedPointer(uint32_t address, size_t bytes) {
  Machine& m = machine();
  const uint32_t rank = address / kSharedWindow;
  const uint32_t offset = address % kSharedWindow;
  if (rank >= m.cluster.blocks.size()) {
    violation("shared address %#x names block %u of a cluster of %zu", address, rank,
              m.cluster.blocks.size());
  }
  if (offset + bytes > m.launch->sharedBytes) {
    violation("out of bounds: %zu bytes at shared byte %u, but the launch has %zu bytes of shared memory",
              bytes, offset, m.launch->sharedBytes);
  }
  return m.arenas + address;
}

void checkShared(const Actor& actor, uintptr_t address, size_t bytes, Access access) {
  Machine& m = machine();
  const size_t begin = offsetOf(address);
  if (begin % kSharedWindow + bytes > m.launch->sharedBytes ||
      begin / kSharedWindow >= m.cluster.blocks.size()) {
    char mine[96];
    nameActor(actor.id, mine, sizeof(mine));
    violation(
        "out of bounds: %s %s %zu bytes at shared byte %zu, but the launch has %zu bytes of shared memory",
        mine, verb(access), bytes, begin % kSharedWindow, m.launch->sharedBytes);
  }
  SharedShadow& shadow = m.shadow;
  const size_t end = begin + bytes;
  for (size_t offset = begin; offset < end;) {
    Cell& cell = shadow.word(offset);
    const size_t next = (offset / 4 + 1) * 4;
    if (offset % 4 == 0 && next <= end && (cell.flags & kSplit) == 0) {
      touchCell(actor, cell, address + (offset - begin), 4, access);
      offset = next;
      continue;
    }
    if (cell.inFlight != 0) checkFlight(actor, address + (offset - begin), 1, access, nullptr);
    Cell* parts = shadow.split(offset);
    for (; offset < end && offset < next; ++offset) {
      Cell& part = parts[offset % 4];
      part.inFlight = 0;  // counted by the whole word
      touchCell(actor, part, address + (offset - begin), 1, access);
    }
  }
}

void beginFlight(const Operation& operation, const MemoryRange& range) {
  if (arenaOf(range.address) == nullptr) return;
  Machine& m = machine();
  const size_t begin = offsetOf(range.address);
  const Access access = range.write ? Access::kWrite : Access::kRead;
  bool checked = false;
  for (size_t offset = begin / 4 * 4; offset < begin + range.bytes; offset += 4) {
    Cell& cell = m.shadow.word(offset);
    if (cell.inFlight != 0 && !checked) {
      checkFlight(operation.actor, range.address, range.bytes, access, &operation);
      checked = true;
    }
    if (cell.inFlight != UINT8_MAX) ++cell.inFlight;
  }
}

void endFlight(const MemoryRange& range) {
  if (arenaOf(range.address) == nullptr) return;
  Machine& m = machine();
  const size_t begin = offsetOf(range.address);
  for (size_t offset = begin / 4 * 4; offset < begin + range.bytes; offset += 4) {
    Cell& cell = m.shadow.word(offset);
    if (cell.inFlight != UINT8_MAX) --cell.inFlight;
  }
}

void visitWrites(uintptr_t address, size_t bytes, void (*visit)(uint16_t writer, uint32_t time, void* state),
                 void* state) {
  SharedShadow& shadow = machine().shadow;
  const size_t begin = offsetOf(address);
  for (size_t offset = begin; offset < begin + bytes; ++offset) {
    const Cell& whole = shadow.word(offset);
    const Cell& cell = (whole.flags & kSplit) != 0 ? shadow.bytesOf(offset)[offset % 4] : whole;
    if (cell.writeTime != 0) visit(cell.writer, cell.writeTime, state);
    if ((whole.flags & kSplit) == 0) offset |= 3;
  }
}

}  // namespace anneal::simt
