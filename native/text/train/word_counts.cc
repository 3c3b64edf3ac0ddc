#include "text/train/word_counts.h"

#include <algorithm>
#include <utility>

#include "text/error.h"
#include "text/model/hash.h"
#include "text/parallel.h"
#include "text/unicode/utf8.h"

namespace anneal::text {
namespace {

constexpr unsigned kShardShift = 26;
// Texts per call for work: enough that the threads seldom meet, few enough to share the last ones.
constexpr size_t kGrain = 8;

// Bits that the tables themselves use neither for places nor, but for a few, for tags.
size_t shardOf(uint64_t hash) { return hash >> kShardShift & (WordCounts::kShards - 1); }

uint64_t hashOf(std::string_view word) { return hashBytes(word.data(), word.size()); }

void appendNumber(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

[[noreturn]] void damaged(size_t at) {
  throw TextError("ERR_FORMAT",
                  "The saved word counts are damaged at byte " + std::to_string(at) +
                      " of a table. Delete them and count again.",
                  {{"byte", static_cast<double>(at)}});
}

uint64_t takeNumber(std::string_view text, size_t& at) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (at >= text.size()) damaged(at);
    const auto byte = static_cast<unsigned char>(text[at++]);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  damaged(at);
}

}  // namespace

uint32_t WordTable::append(std::string_view word, uint64_t hash, uint64_t count) {
  const size_t at = store_.size();
  if (at + recordWords(word.size()) > 0xffffffff) {
    throw TextError("ERR_OUT_OF_MEMORY",
                    "There are too many distinct words to count: a table has reached 32 GiB. Set a pruning "
                    "threshold, or train on a sample of the text.");
  }
  store_.resize(at + recordWords(word.size()));
  uint64_t* record = store_.data() + at;
  record[0] = count;
  record[1] = hash;
  record[2] = word.size();
  std::memcpy(record + kHead, word.data(), word.size());
  return static_cast<uint32_t>(at);
}

void WordTable::grow() {
  constexpr size_t kLeast = 64;
  std::vector<Slot> slots(std::max(kLeast, slots_.size() * 2));
  const size_t mask = slots.size() - 1;
  for (size_t from = 0; from < store_.size(); from += recordWords(store_[from + 2])) {
    const uint64_t hash = store_[from + 1];
    size_t at = hash & mask;
    while (slots[at].tag != 0) at = (at + 1) & mask;
    slots[at] = {tagOf(hash), static_cast<uint32_t>(from)};
  }
  slots_ = std::move(slots);
}

void WordCounts::feed(const TextBatch& batch, unsigned threads, const Tick& tick) {
  threads = std::max(1U, threads);
  if (workers_.size() < threads) workers_.resize(threads);
  const double total = static_cast<double>(batch.totalBytes());
  // Small texts are handed out together, and the first thread, which is the caller's, tells how far it is.
  parallelFor(batch.count, threads, batch.count < threads * kGrain * 2 ? 1 : kGrain,
              [&](size_t index, unsigned worker) {
                if (worker == 0) tick(index == 0 ? 0 : batch.ends[index - 1], total);
                count(batch[index], workers_[worker]);
              });
  // A thread's own counts are kept until they are worth the gathering.
  constexpr size_t kWorth = size_t{1} << 18;
  size_t waiting = 0;
  for (const Worker& worker : workers_) waiting = std::max(waiting, worker.words);
  if (waiting > kWorth) settle(threads);
  tick(total, total);
}

void WordCounts::count(std::string_view text, Worker& worker) const {
  const bool changed = normalizer_ != nullptr && !normalizer_->leaves(text);
  const bool rewrites = preTokenizer_ != nullptr && preTokenizer_->rewrites();
  if (changed || rewrites) {
    worker.section.text.assign(text);
    if (changed) normalizer_->apply(worker.section.text, nullptr);
    text = worker.section.text;
  }
  if (text.empty()) return;
  if (rewrites) {
    wholeSection(worker.section);
    preTokenizer_->apply(worker.section);
    countPieces(worker.section.text, worker.section.pieces, worker);
    return;
  }
  worker.pieces.clear();
  if (preTokenizer_ == nullptr) {
    worker.pieces.push_back({0, static_cast<uint32_t>(text.size())});
  } else {
    preTokenizer_->split(text, worker.pieces);
  }
  countPieces(text, worker.pieces, worker);
}

void WordCounts::countPieces(std::string_view text, const std::vector<Piece>& pieces, Worker& worker) const {
  for (const Piece& piece : pieces) {
    const std::string_view word = text.substr(piece.begin, piece.end - piece.begin);
    const uint64_t hash = hashOf(word);
    WordTable& table = worker.shards[shardOf(hash)];
    const size_t before = table.size();
    table.add(word, hash, 1);
    worker.words += table.size() - before;
  }
}

void WordCounts::settle(unsigned threads) {
  std::array<uint64_t, kShards> totals{};
  parallelFor(kShards, threads, 1, [&](size_t shard, unsigned) {
    for (Worker& worker : workers_) {
      worker.shards[shard].each([&](std::string_view word, uint64_t hash, uint64_t count) {
        shards_[shard].add(word, hash, count);
        totals[shard] += count;
      });
      worker.shards[shard].clear();
    }
  });
  for (Worker& worker : workers_) worker.words = 0;
  for (const uint64_t total : totals) total_ += total;
}

size_t WordCounts::prune(uint64_t least, unsigned threads) {
  std::array<size_t, kShards> removed{};
  std::array<uint64_t, kShards> lost{};
  parallelFor(kShards, threads, 1, [&](size_t shard, unsigned) {
    WordTable kept;
    shards_[shard].each([&](std::string_view word, uint64_t hash, uint64_t count) {
      if (count >= least) {
        kept.add(word, hash, count);
      } else {
        ++removed[shard];
        lost[shard] += count;
      }
    });
    shards_[shard] = std::move(kept);
  });
  size_t sum = 0;
  for (size_t shard = 0; shard < kShards; ++shard) {
    sum += removed[shard];
    total_ -= lost[shard];
  }
  return sum;
}

size_t WordCounts::distinct() const {
  size_t sum = 0;
  for (const WordTable& table : shards_) sum += table.size();
  return sum;
}

size_t WordCounts::bytes() const {
  size_t sum = 0;
  for (const WordTable& table : shards_) sum += table.bytes();
  for (const Worker& worker : workers_) {
    for (const WordTable& table : worker.shards) sum += table.bytes();
  }
  return sum;
}

std::string WordCounts::saved(size_t shard) const {
  std::vector<std::pair<std::string_view, uint64_t>> words;
  words.reserve(shards_[shard].size());
  shards_[shard].each(
      [&](std::string_view word, uint64_t, uint64_t count) { words.emplace_back(word, count); });
  std::sort(words.begin(), words.end());
  std::string out;
  for (const auto& [word, count] : words) {
    appendNumber(out, count);
    appendNumber(out, word.size());
    out += word;
  }
  return out;
}

void WordCounts::load(std::string_view saved) {
  for (size_t at = 0; at < saved.size();) {
    const uint64_t count = takeNumber(saved, at);
    const uint64_t length = takeNumber(saved, at);
    if (length > saved.size() - at || length == 0 || count == 0) damaged(at);
    const std::string_view word = saved.substr(at, length);
    if (firstInvalid(word) != word.size()) damaged(at);
    at += length;
    const uint64_t hash = hashOf(word);
    shards_[shardOf(hash)].add(word, hash, count);
    total_ += count;
  }
}

}  // namespace anneal::text
