#include "text/shards/map.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <vector>

#include "text/error.h"

namespace anneal::text {
namespace {

// Bytes of files that may be mapped in before all pages are let go again; they stay in the page cache. It
// bounds what the system counts as this process's memory.
constexpr uint64_t kMappedBudget = 512ULL << 20;
// The system maps up to 16 pages around one that is touched.
constexpr uint64_t kFaultAround = 64ULL << 10;

// Where the copy under way on this thread jumps to when a page is lost.
thread_local sigjmp_buf* volatile escape = nullptr;

std::mutex registryMutex;
struct Region {
  const unsigned char* data;
  uint64_t size;
};
std::vector<Region> registry;
struct sigaction previousAction;
std::atomic<uint64_t> mappedIn{0};
// Bytes of all maps together.
std::atomic<uint64_t> mapped{0};

void onBusError(int signal, siginfo_t* info, void* context) {
  if (escape != nullptr) siglongjmp(*escape, 1);
  if ((previousAction.sa_flags & SA_SIGINFO) != 0) {
    previousAction.sa_sigaction(signal, info, context);
  } else if (previousAction.sa_handler == SIG_DFL || previousAction.sa_handler == SIG_IGN) {
    // The access is repeated when this returns, and then has the effect that it would have had.
    sigaction(signal, &previousAction, nullptr);
  } else {
    previousAction.sa_handler(signal);
  }
}

void enter(const Region& region) {
  const std::lock_guard<std::mutex> lock(registryMutex);
  if (registry.empty()) {
    struct sigaction action = {};
    action.sa_sigaction = onBusError;
    sigemptyset(&action.sa_mask);
    // Not blocked while it runs, so that jumping out of it leaves the mask as it was.
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    sigaction(SIGBUS, &action, &previousAction);
  }
  registry.push_back(region);
  mapped += region.size;
}

void leave(const unsigned char* data) {
  const std::lock_guard<std::mutex> lock(registryMutex);
  const auto found = std::find_if(registry.begin(), registry.end(),
                                  [data](const Region& region) { return region.data == data; });
  mapped -= found->size;
  registry.erase(found);
  if (!registry.empty()) return;
  struct sigaction current;
  sigaction(SIGBUS, nullptr, &current);
  if ((current.sa_flags & SA_SIGINFO) != 0 && current.sa_sigaction == onBusError) {
    sigaction(SIGBUS, &previousAction, nullptr);
  }
}

// Bytes of files that are mapped in now, or the most there can be where the system does not tell.
uint64_t residentFileBytes() {
  unsigned long total = 0;
  unsigned long resident = 0;
  unsigned long shared = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return UINT64_MAX;
  const int found = std::fscanf(file, "%lu %lu %lu", &total, &resident, &shared);
  std::fclose(file);
  return found == 3 ? shared * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) : UINT64_MAX;
}

// Notes that a stretch was touched, which maps in 64 KiB around it at least unless they are already; lets all
// pages go when there are too many.
void touched(uint64_t bytes) {
  const uint64_t now = mappedIn.fetch_add(bytes + kFaultAround, std::memory_order_relaxed);
  if (now < kMappedBudget) return;
  const std::lock_guard<std::mutex> lock(registryMutex);
  if (mappedIn.load(std::memory_order_relaxed) < kMappedBudget) return;
  mappedIn.store(0, std::memory_order_relaxed);
  if (residentFileBytes() < kMappedBudget) return;
  for (const Region& region : registry) {
    madvise(const_cast<unsigned char*>(region.data), region.size, MADV_DONTNEED);
  }
}

[[noreturn]] void fail(const std::string& path, const char* what) {
  std::string message = "Cannot ";
  message.append(what).append(" ").append(path).append(": ").append(std::strerror(errno)).append(".");
  throw TextError("ERR_DATA", message, {{"path", path}});
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file_ < 0) fail(path, "open");
  struct stat info;
  const bool known = fstat(file_, &info) == 0;
  if (!known || !S_ISREG(info.st_mode)) {
    if (known) errno = EINVAL;
    close(file_);
    fail(path, "map");
  }
  size_ = static_cast<uint64_t>(info.st_size);
  if (size_ == 0) return;
  void* data = mmap(nullptr, size_, PROT_READ, MAP_SHARED, file_, 0);
  if (data == MAP_FAILED) {
    close(file_);
    fail(path, "map");
  }
  data_ = static_cast<const unsigned char*>(data);
  // Rows are drawn from anywhere: reading ahead of each would fetch many times what is wanted.
  madvise(data, size_, MADV_RANDOM);
  enter({data_, size_});
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) {
    leave(data_);
    munmap(const_cast<unsigned char*>(data_), size_);
  }
  close(file_);
}

void MappedFile::check() const {
  struct stat info;
  if (fstat(file_, &info) != 0) fail(path_, "look at");
  const auto now = static_cast<uint64_t>(info.st_size);
  if (now >= size_) return;
  throw TextError(
      "ERR_DATA",
      path_ + " was cut short while it is in use: it had " + std::to_string(size_) + " bytes, now " +
          std::to_string(now) + ". Prepare the data again.",
      {{"path", path_}, {"expected", static_cast<double>(size_)}, {"bytes", static_cast<double>(now)}});
}

void MappedFile::require(uint64_t offset, uint64_t bytes) const {
  if (offset <= size_ && bytes <= size_ - offset) return;
  throw TextError("ERR_DATA",
                  "Bytes " + std::to_string(offset) + " to " + std::to_string(offset + bytes) +
                      " lie outside " + path_ + " of " + std::to_string(size_) + " bytes.",
                  {{"path", path_}, {"offset", static_cast<double>(offset)}});
}

// `body` may hold nothing that needs a destructor: a lost page jumps over it. It touches about `touching` of
// the bytes.
template <typename Body>
void MappedFile::guarded(uint64_t offset, uint64_t bytes, uint64_t touching, const Body& body) const {
  require(offset, bytes);
  if (bytes == 0) return;
  touched(touching);
  sigjmp_buf place;
  if (sigsetjmp(place, 0) != 0) {
    escape = nullptr;
    check();
    throw TextError("ERR_DATA",
                    "The disk failed while " + path_ + " was read, near byte " + std::to_string(offset) +
                        ". Check the disk, then prepare the data again.",
                    {{"path", path_}, {"offset", static_cast<double>(offset)}});
  }
  escape = &place;
  body(data_ + offset);
  escape = nullptr;
}

void MappedFile::expect(uint64_t offset, uint64_t bytes) const {
  if (offset >= size_ || bytes == 0) return;
  static const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t begin = offset / page * page;
  const uint64_t end = std::min(size_, offset + bytes);
  madvise(const_cast<unsigned char*>(data_) + begin, end - begin, MADV_WILLNEED);
}

// Reads by system calls: where the files are together larger than the budget, nearly every stretch meets
// pages that are not mapped in, and a call costs less than mapping them (rows of 31 short documents from 1.3
// GB in the page cache: half the processor time).
void MappedFile::fetch(uint64_t offset, uint64_t bytes, void* out) const {
  for (uint64_t done = 0; done < bytes;) {
    const ssize_t count =
        pread(file_, static_cast<char*>(out) + done, bytes - done, static_cast<off_t>(offset + done));
    if (count > 0) {
      done += static_cast<uint64_t>(count);
    } else if (count == 0) {
      check();
      errno = EIO;
      fail(path_, "read");
    } else if (errno != EINTR) {
      fail(path_, "read");
    }
  }
}

// Hands the bytes of a range to `take(bytes, begin, count)`: all at once out of the map, or in parts that
// were fetched. A part begins at a multiple of 8.
template <typename Take>
void MappedFile::each(uint64_t offset, uint64_t bytes, const Take& take) const {
  if (mapped.load(std::memory_order_relaxed) <= kMappedBudget) {
    guarded(offset, bytes, bytes, [&](const unsigned char* from) { take(from, 0, bytes); });
    return;
  }
  require(offset, bytes);
  unsigned char part[16384];
  for (uint64_t begin = 0; begin < bytes; begin += sizeof(part)) {
    const uint64_t count = std::min<uint64_t>(bytes - begin, sizeof(part));
    fetch(offset + begin, count, part);
    take(part, begin, count);
  }
}

void MappedFile::read(uint64_t offset, uint64_t bytes, void* out) const {
  each(offset, bytes, [out](const unsigned char* from, uint64_t begin, uint64_t count) {
    std::memcpy(static_cast<char*>(out) + begin, from, count);
  });
}

void MappedFile::readTokens(uint64_t offset, uint64_t count, unsigned width, int32_t* out) const {
  if (width == 4) {
    read(offset, count * 4, out);
    return;
  }
  each(offset, count * 2, [out](const unsigned char* from, uint64_t begin, uint64_t bytes) {
    int32_t* to = out + begin / 2;
    for (uint64_t i = 0; i < bytes / 2; ++i) {
      uint16_t token;
      std::memcpy(&token, from + i * 2, 2);
      to[i] = token;
    }
  });
}

void MappedFile::readWords(uint64_t offset, uint64_t count, double* out) const {
  each(offset, count * 8, [out](const unsigned char* from, uint64_t begin, uint64_t bytes) {
    double* to = out + begin / 8;
    for (uint64_t i = 0; i < bytes / 8; ++i) {
      uint64_t word;
      std::memcpy(&word, from + i * 8, 8);
      to[i] = static_cast<double>(word);
    }
  });
}

uint64_t MappedFile::lowerBound(uint64_t offset, uint64_t count, uint64_t value) const {
  uint64_t low = 0;
  guarded(offset, count * 8, kFaultAround, [&](const unsigned char* from) {
    uint64_t high = count;
    while (low < high) {
      const uint64_t middle = low + (high - low) / 2;
      uint64_t word;
      std::memcpy(&word, from + middle * 8, 8);
      if (word < value) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
  });
  return low;
}

}  // namespace anneal::text
