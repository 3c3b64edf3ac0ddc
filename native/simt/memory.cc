// memory.cc — the address range, its page table, and the texts about addresses that miss.
#include "simt/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <mutex>

namespace anneal::simt {

constinit GlobalRange globalRange;

namespace {

constexpr size_t kPage = size_t{1} << kPageBits;
constexpr size_t kChunk = 4096;               // records that are made at once
constexpr size_t kLargest = size_t{1} << 38;  // bytes of addresses
constexpr size_t kSmallest = size_t{1} << 32;

// Filled under the lock; read without it by kernels, which only meet addresses that were given out before.
struct Space {
  std::mutex lock;
  uintptr_t base = 0;
  size_t pages = 0;
  size_t used = 0;                // pages
  uint32_t* owners = nullptr;     // page → serial of its allocation, 0 for none
  Allocation** chunks = nullptr;  // record s is chunks[s / kChunk][s % kChunk]
  uint64_t serial = 0;
  size_t live = 0;
  size_t total = 0;
};

void* reserve(size_t bytes) {
  void* memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

// Reserves the largest range, with a cell for every four bytes of it, that the system grants; reserved memory
// costs nothing until it is touched.
Space* makeSpace() {
  auto* space = new Space;
  for (size_t bytes = kLargest; bytes >= kSmallest && space->base == 0; bytes /= 4) {
    const size_t pages = bytes >> kPageBits;
    auto* memory = static_cast<unsigned char*>(reserve(bytes + bytes / 4 * sizeof(GlobalCell)));
    if (memory == nullptr) continue;
    space->owners = static_cast<uint32_t*>(reserve(pages * sizeof(uint32_t)));
    space->chunks = static_cast<Allocation**>(reserve((pages / kChunk + 1) * sizeof(Allocation*)));
    auto* stamps = static_cast<uint32_t*>(reserve(pages * sizeof(uint32_t)));
    if (space->owners == nullptr || space->chunks == nullptr || stamps == nullptr) break;
    space->base = reinterpret_cast<uintptr_t>(memory);
    space->pages = pages;
    globalRange = {space->base, bytes, reinterpret_cast<GlobalCell*>(memory + bytes), stamps};
  }
  space->total = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return space;
}

// Never destroyed: tensors may be released while the process ends.
Space& space() {
  static Space* const instance = makeSpace();
  return *instance;
}

Allocation* recordOf(const Space& s, uint64_t serial) {
  return serial == 0 ? nullptr : &s.chunks[serial / kChunk][serial % kChunk];
}

Allocation* recordAt(const Space& s, uintptr_t address) {
  const size_t page = (address - s.base) >> kPageBits;
  return page < s.used ? recordOf(s, s.owners[page]) : nullptr;
}

}  // namespace

void* allocateGlobal(size_t bytes, const char* what) {
  Space& s = space();
  const std::lock_guard<std::mutex> guard(s.lock);
  const size_t pages = std::max<size_t>(1, (bytes + kPage - 1) >> kPageBits);
  if (bytes > s.total || s.live + bytes > s.total || s.used + pages + 2 > s.pages) return nullptr;
  if (s.serial + 1 >= UINT32_MAX) return nullptr;
  const uint64_t serial = ++s.serial;
  Allocation*& chunk = s.chunks[serial / kChunk];
  if (chunk == nullptr) chunk = new Allocation[kChunk];
  Allocation& record = chunk[serial % kChunk];
  const size_t first = s.used + 1;
  record = {s.base + (first << kPageBits), bytes, bytes, serial, what, true};
  std::fill_n(s.owners + first, pages, static_cast<uint32_t>(serial));
  s.used = first + pages;
  s.live += bytes;
  auto* data = reinterpret_cast<void*>(record.begin);
  std::memset(data, 0xff, bytes);
  return data;
}

void releaseGlobal(void* data) {
  if (data == nullptr) return;
  Space& s = space();
  const std::lock_guard<std::mutex> guard(s.lock);
  Allocation* record = recordAt(s, reinterpret_cast<uintptr_t>(data));
  if (record == nullptr || !record->live || record->begin != reinterpret_cast<uintptr_t>(data)) return;
  record->live = false;
  s.live -= record->capacity;
  const size_t pages = std::max<size_t>(1, (record->capacity + kPage - 1) >> kPageBits);
  const size_t bytes = pages << kPageBits;
  madvise(data, bytes, MADV_DONTNEED);
  madvise(&globalCell(record->begin), bytes / 4 * sizeof(GlobalCell), MADV_DONTNEED);
}

void limitGlobal(void* data, size_t bytes) {
  Allocation* record = recordAt(space(), reinterpret_cast<uintptr_t>(data));
  if (record != nullptr) record->bytes = std::min(bytes, record->capacity);
}

const Allocation* findGlobal(uintptr_t address) { return recordAt(space(), address); }

void describeGlobal(uintptr_t address, size_t bytes, char* text, size_t size) {
  const Space& s = space();
  const Allocation* record = recordAt(s, address);
  if (record == nullptr && inGlobalRange(address)) {
    // A page of no allocation: the neighbours are at most one page away.
    const Allocation* before = recordAt(s, address - kPage);
    const Allocation* after = recordAt(s, address + kPage);
    if (before == nullptr ||
        (after != nullptr && after->begin - address < address - (before->begin + before->bytes))) {
      record = after;
    } else {
      record = before;
    }
  }
  if (record == nullptr) {
    std::snprintf(text, size, "an address that belongs to no allocation of this device");
    return;
  }
  const auto serial = static_cast<unsigned long long>(record->serial);
  const uintptr_t end = record->begin + record->bytes;
  if (!record->live) {
    std::snprintf(text, size, "%s #%llu of %zu bytes, which was released", record->what, serial,
                  record->bytes);
  } else if (address < record->begin) {
    std::snprintf(text, size, "%zu bytes before the start of %s #%llu (%zu bytes)",
                  static_cast<size_t>(record->begin - address), record->what, serial, record->bytes);
  } else if (address >= end) {
    std::snprintf(text, size, "%zu bytes past the end of %s #%llu (%zu bytes)",
                  static_cast<size_t>(address - end), record->what, serial, record->bytes);
  } else {
    std::snprintf(text, size, "across the end of %s #%llu (%zu bytes; the access begins at byte %zu)",
                  record->what, serial, record->bytes, static_cast<size_t>(address - record->begin));
  }
  static_cast<void>(bytes);
}

GlobalUse globalUse() {
  Space& s = space();
  const std::lock_guard<std::mutex> guard(s.lock);
  return {s.live, s.total};
}

}  // namespace anneal::simt
