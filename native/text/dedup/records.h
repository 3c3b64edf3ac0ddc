// records.h — sorted records on disk or in memory: a key of several 32-bit words and the number of a
// document. A run holds several lanes (one per bucket) of equally many records; equal keys of one lane meet
// when runs are merged.
#pragma once

#include <algorithm>
#include <bit>
#include <compare>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "text/dedup/xxhash.h"
#include "text/error.h"

namespace anneal::text::dedup {

// Without padding: runs are arrays of these, little-endian. Sorted by key, then by document.
template <size_t kWords>
struct Record {
  uint32_t key[kWords];
  uint32_t document;

  auto operator<=>(const Record&) const = default;
  bool sameKey(const Record& other) const { return std::equal(key, key + kWords, other.key); }
};

// A sum over records, so that a run can be checked while it is read in pieces. Order is checked apart from
// it.
template <size_t kWords>
uint64_t checksum(const Record<kWords>* records, size_t count) {
  uint64_t sum = 0;
  for (size_t i = 0; i < count; ++i) {
    uint64_t hash = records[i].document + kPrime5;
    for (const uint32_t word : records[i].key) hash = std::rotl(hash ^ (word * kPrime1), 29) * kPrime2;
    sum += hash ^ (hash >> 32);
  }
  return sum;
}

// Where the records of one run lie: in memory, or in a file that begins with lane 0.
struct Run {
  std::string path;                 // of the file; empty: the run is in memory
  const char* memory = nullptr;     // its place there; may be null where it has no records
  uint64_t stride = 0;              // bytes from lane to lane
  uint64_t count = 0;               // records of a lane
  std::vector<uint64_t> checksums;  // of each lane of a file
};

// Reads one lane of a run in order, a buffer at a time. The file is opened for each buffer, so that any
// number of runs can be merged at once.
template <size_t kWords>
class RunReader {
 public:
  using Item = Record<kWords>;

  RunReader(const Run& run, size_t lane, size_t bufferRecords)
      : run_(&run), lane_(lane), room_(std::max<size_t>(1, bufferRecords)) {
    if (run.path.empty()) {
      at_ = reinterpret_cast<const Item*>(run.memory + lane * run.stride);
      end_ = at_ + run.count;
    } else {
      refill();
    }
  }

  bool done() const { return at_ == end_; }
  const Item& front() const { return *at_; }
  void pop() {
    ++at_;
    if (at_ == end_ && !run_->path.empty()) refill();
  }

 private:
  [[noreturn]] void damaged(const char* how) const {
    throw TextError("ERR_FORMAT",
                    run_->path + ": the run of signatures is damaged (" + how +
                        "). Remove the work folder and start again.",
                    {{"path", run_->path}, {"lane", static_cast<double>(lane_)}});
  }

  void refill() {
    const auto count = static_cast<size_t>(std::min<uint64_t>(room_, run_->count - read_));
    if (count == 0) {
      if (sum_ != run_->checksums[lane_]) damaged("its checksum does not fit");
      return;
    }
    const Item last = buffer_.empty() ? Item{} : buffer_.back();
    const bool follows = !buffer_.empty();
    buffer_.resize(count);
    std::ifstream file(run_->path, std::ios::binary);
    if (!file) {
      throw TextError("ERR_DATA", run_->path + " cannot be opened. Was the work folder removed?",
                      {{"path", run_->path}});
    }
    file.seekg(static_cast<std::streamoff>(lane_ * run_->stride + read_ * sizeof(Item)));
    file.read(reinterpret_cast<char*>(buffer_.data()), static_cast<std::streamsize>(count * sizeof(Item)));
    if (!file) damaged("it is too short");
    if ((follows && buffer_[0] < last) || !std::is_sorted(buffer_.begin(), buffer_.end())) {
      damaged("it is out of order");
    }
    sum_ += checksum(buffer_.data(), count);
    read_ += count;
    at_ = buffer_.data();
    end_ = at_ + count;
  }

  const Run* run_;
  size_t lane_;
  size_t room_;
  std::vector<Item> buffer_;
  uint64_t read_ = 0;
  uint64_t sum_ = 0;
  const Item* at_ = nullptr;
  const Item* end_ = nullptr;
};

// Merges one lane of all runs: visit(record, fresh) in order of keys, then documents; `fresh` says that the
// key is another than before.
template <size_t kWords, typename Visit>
void mergeLane(const std::vector<Run>& runs, size_t lane, size_t bufferRecords, const Visit& visit) {
  using Reader = RunReader<kWords>;
  std::vector<std::unique_ptr<Reader>> readers;
  for (const Run& run : runs) {
    auto reader = std::make_unique<Reader>(run, lane, bufferRecords);
    if (!reader->done()) readers.push_back(std::move(reader));
  }
  const auto later = [](const std::unique_ptr<Reader>& x, const std::unique_ptr<Reader>& y) {
    return y->front() < x->front();
  };
  std::make_heap(readers.begin(), readers.end(), later);
  Record<kWords> last{};
  bool first = true;
  while (!readers.empty()) {
    std::pop_heap(readers.begin(), readers.end(), later);
    Reader& reader = *readers.back();
    visit(reader.front(), first || !last.sameKey(reader.front()));
    last = reader.front();
    first = false;
    reader.pop();
    if (reader.done()) {
      readers.pop_back();
    } else {
      std::push_heap(readers.begin(), readers.end(), later);
    }
  }
}

}  // namespace anneal::text::dedup
