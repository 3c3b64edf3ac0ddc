#include "text/dedup/merge.h"

#include <atomic>
#include <map>
#include <mutex>
#include <numeric>

#include "text/parallel.h"

namespace anneal::text::dedup {
namespace {

constexpr size_t kPairsAtOnce = 4096;
constexpr uint64_t kRecordsAtOnce = 65536;
constexpr size_t kLeastBuffer = 4096;
constexpr size_t kLargestBuffer = size_t{1} << 20;

// A cluster's root is its first document, whatever the order in which pairs arrive.
class UnionFind {
 public:
  UnionFind(uint32_t* parents, uint64_t documents) : parents_(parents), documents_(documents) {}

  void unite(uint32_t a, uint32_t b) {
    if (a >= documents_ || b >= documents_) {
      throw TextError("ERR_FORMAT",
                      "A run of signatures names a document that does not exist. Remove the work folder "
                      "and start again.",
                      {{"documents", static_cast<double>(documents_)}});
    }
    a = root(a);
    b = root(b);
    if (a < b) parents_[b] = a;
    if (b < a) parents_[a] = b;
  }

 private:
  uint32_t root(uint32_t at) {
    while (parents_[at] != at) {
      parents_[at] = parents_[parents_[at]];
      at = parents_[at];
    }
    return at;
  }

  uint32_t* parents_;
  uint64_t documents_;
};

using Pairs = std::vector<std::pair<uint32_t, uint32_t>>;

// Reads signatures of single documents; one for each thread.
class SignatureReader {
 public:
  explicit SignatureReader(const MergeSettings& settings) : settings_(settings) {}

  void read(uint32_t document, std::vector<uint32_t>& signature) {
    signature.resize(settings_.functions);
    const auto found = std::upper_bound(settings_.signatures.begin(), settings_.signatures.end(), document,
                                        [](uint32_t d, const SignatureFile& file) { return d < file.first; });
    const size_t index = static_cast<size_t>(found - settings_.signatures.begin()) - 1;
    const SignatureFile& file = settings_.signatures[index];
    const uint64_t at = (document - file.first) * settings_.functions;
    if (file.path.empty()) {
      std::copy_n(file.memory + at, settings_.functions, signature.begin());
      return;
    }
    if (open_.size() >= kOpenFiles && !open_.contains(index)) open_.clear();
    std::ifstream& stream = open_[index];
    if (!stream.is_open()) stream.open(file.path, std::ios::binary);
    stream.seekg(static_cast<std::streamoff>(at * 4));
    stream.read(reinterpret_cast<char*>(signature.data()),
                static_cast<std::streamsize>(signature.size() * 4));
    if (!stream) {
      throw TextError("ERR_FORMAT",
                      file.path + " is missing or too short. Remove the work folder and start again.",
                      {{"path", file.path}});
    }
  }

 private:
  static constexpr size_t kOpenFiles = 64;
  const MergeSettings& settings_;
  std::map<size_t, std::ifstream> open_;
};

// Joins documents of one key whose signatures agree: each is compared with the earlier ones that were like
// none before them.
class Verifier {
 public:
  explicit Verifier(const MergeSettings& settings) : settings_(settings), reader_(settings) {}

  // Another key begins.
  void restart() { leaders_.clear(); }

  // Adds a pair; false where the document is like none before it.
  bool join(uint32_t document, Pairs& pairs) {
    reader_.read(document, signature_);
    const auto like = std::find_if(leaders_.begin(), leaders_.end(),
                                   [this](const Leader& leader) { return agrees(leader.signature); });
    if (like == leaders_.end()) {
      leaders_.push_back({document, signature_});
      return false;
    }
    pairs.emplace_back(like->document, document);
    return true;
  }

 private:
  struct Leader {
    uint32_t document;
    std::vector<uint32_t> signature;
  };

  bool agrees(const std::vector<uint32_t>& other) const {
    size_t equal = 0;
    for (size_t j = 0; j < other.size(); ++j) equal += other[j] == signature_[j] ? 1 : 0;
    return static_cast<double>(equal) >= settings_.verify * static_cast<double>(other.size());
  }

  const MergeSettings& settings_;
  SignatureReader reader_;
  std::vector<Leader> leaders_;
  std::vector<uint32_t> signature_;
};

template <size_t kWords>
MergeCounts merge(const std::vector<Run>& runs, const MergeSettings& settings, UnionFind& sets,
                  const std::function<void(double)>& tick) {
  const unsigned threads = std::max(1U, std::min<unsigned>(settings.threads, settings.lanes));
  const size_t share = settings.bufferBytes / std::max<size_t>(1, threads * runs.size());
  const size_t buffer = std::clamp(share, kLeastBuffer, kLargestBuffer) / sizeof(Record<kWords>);
  uint64_t records = 0;
  for (const Run& run : runs) records += run.count;
  const double total = static_cast<double>(records) * static_cast<double>(settings.lanes);
  std::mutex mutex;
  std::atomic<uint64_t> done{0};
  MergeCounts counts;
  parallelFor(settings.lanes, threads, 1, [&](size_t lane, unsigned) {
    Pairs pairs;
    Verifier verifier(settings);
    MergeCounts own;
    uint64_t seen = 0;
    uint64_t reported = 0;
    const auto flush = [&] {
      const std::lock_guard<std::mutex> lock(mutex);
      for (const auto& [a, b] : pairs) sets.unite(a, b);
      pairs.clear();
      const uint64_t all = done.fetch_add(seen - reported, std::memory_order_relaxed) + seen - reported;
      reported = seen;
      tick(total == 0 ? 1 : static_cast<double>(all) / total);
    };
    uint32_t leader = 0;   // first document of the key
    bool pending = false;  // not yet given to the verifier
    mergeLane<kWords>(runs, lane, buffer, [&](const Record<kWords>& record, bool fresh) {
      ++seen;
      if (fresh) {
        leader = record.document;
        pending = true;
      } else {
        ++own.pairs;
        if (settings.verify > 0) {
          // Most keys have one document, whose signature is then never read.
          if (pending) {
            verifier.restart();
            verifier.join(leader, pairs);
            pending = false;
          }
          own.rejected += verifier.join(record.document, pairs) ? 0 : 1;
        } else {
          pairs.emplace_back(leader, record.document);
        }
      }
      if (pairs.size() >= kPairsAtOnce || seen - reported >= kRecordsAtOnce) flush();
    });
    flush();
    const std::lock_guard<std::mutex> lock(mutex);
    counts.pairs += own.pairs;
    counts.rejected += own.rejected;
  });
  return counts;
}

template <size_t kWords>
std::vector<uint64_t> sortAll(char* records, size_t lanes, uint64_t stride, uint64_t count,
                              unsigned threads) {
  std::vector<uint64_t> sums(lanes);
  parallelFor(lanes, threads, 1, [&](size_t lane, unsigned) {
    auto* first = reinterpret_cast<Record<kWords>*>(records + lane * stride);
    std::sort(first, first + count);
    sums[lane] = checksum(first, count);
  });
  return sums;
}

}  // namespace

MergeCounts mergeRuns(const std::vector<Run>& runs, const MergeSettings& settings, uint32_t* parents,
                      uint64_t documents, const std::function<void(double)>& tick) {
  UnionFind sets(parents, documents);
  return settings.words == 3 ? merge<3>(runs, settings, sets, tick) : merge<4>(runs, settings, sets, tick);
}

std::vector<uint64_t> sortLanes(char* records, size_t words, size_t lanes, uint64_t stride, uint64_t count,
                                unsigned threads) {
  return words == 3 ? sortAll<3>(records, lanes, stride, count, threads)
                    : sortAll<4>(records, lanes, stride, count, threads);
}

Clusters collectClusters(uint32_t* parents, uint64_t documents) {
  Clusters clusters;
  std::vector<uint32_t> later;
  for (uint64_t i = 0; i < documents; ++i) {
    // A parent comes before its child, so its own parent is the root already.
    parents[i] = parents[parents[i]];
    if (parents[i] != i) later.push_back(static_cast<uint32_t>(i));
  }
  std::stable_sort(later.begin(), later.end(),
                   [&](uint32_t a, uint32_t b) { return parents[a] < parents[b]; });
  for (size_t i = 0; i < later.size(); ++i) {
    if (i == 0 || parents[later[i]] != parents[later[i - 1]]) clusters.members.push_back(parents[later[i]]);
    clusters.members.push_back(later[i]);
    if (i + 1 == later.size() || parents[later[i]] != parents[later[i + 1]]) {
      clusters.ends.push_back(static_cast<uint32_t>(clusters.members.size()));
    }
  }
  return clusters;
}

}  // namespace anneal::text::dedup
