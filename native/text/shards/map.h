// map.h — files of tokens mapped into memory and read by copying out of the map. What is read stays in the
// system's page cache, so that a corpus of any size costs the process no memory of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace anneal::text {

// A file mapped for reading. All methods may be called from several threads at once.
//
// A page of a map can be lost: the file is cut short by another process, or the disk fails. The system then
// sends SIGBUS, which would end the process. Therefore (1) check() compares the file's length with the map
// before anything is copied, which catches all but a race of nanoseconds and gives the clear message, and
// (2) every copy runs under a handler of SIGBUS that jumps back out of it, so that the race and a failing
// disk are errors too. The handler is in place only while files are mapped; signals that do not come from a
// copy are handed on to whoever handled them before. Where all mapped files together exceed 512 MiB, copies
// are made by pread, which needs no pages mapped in and reports the same faults itself.
class MappedFile {
 public:
  // Throws TextError (ERR_DATA) when the file cannot be opened or mapped.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }

  // Throws TextError (ERR_DATA) when the file is shorter than the map.
  void check() const;
  // Asks the system to fetch these bytes while others are copied; a hint.
  void expect(uint64_t offset, uint64_t bytes) const;
  // The three that copy throw TextError (ERR_DATA) where the range lies outside the file or a page is lost.
  void read(uint64_t offset, uint64_t bytes, void* out) const;
  // `count` little-endian unsigned integers of `width` (2 or 4) bytes, widened.
  void readTokens(uint64_t offset, uint64_t count, unsigned width, int32_t* out) const;
  // `count` little-endian u64, each below 2^53.
  void readWords(uint64_t offset, uint64_t count, double* out) const;
  // Index of the first of `count` ascending u64 at `offset` that is at least `value`.
  uint64_t lowerBound(uint64_t offset, uint64_t count, uint64_t value) const;

 private:
  template <typename Body>
  void guarded(uint64_t offset, uint64_t bytes, uint64_t touching, const Body& body) const;
  template <typename Take>
  void each(uint64_t offset, uint64_t bytes, const Take& take) const;
  void fetch(uint64_t offset, uint64_t bytes, void* out) const;
  void require(uint64_t offset, uint64_t bytes) const;

  std::string path_;
  int file_ = -1;
  uint64_t size_ = 0;
  const unsigned char* data_ = nullptr;
};

}  // namespace anneal::text
