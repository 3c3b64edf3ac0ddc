#include "text/train/pair_training.h"

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "text/parallel.h"
#include "text/train/merge_changes.h"
#include "text/train/merge_queue.h"
#include "text/train/pair_counts.h"
#include "text/train/training_words.h"

namespace anneal::text {
namespace {

// Below this many words a merge is done before threads have started.
constexpr size_t kWordsPerThread = 8192;
// How far ahead words are fetched: they lie anywhere in memory.
constexpr size_t kAhead = 8;

class PairTrainer {
 public:
  PairTrainer(const WordCounts& counts, const PairTrainingSettings& settings, unsigned threads,
              const Tick& tick)
      : settings_(settings),
        threads_(std::max(1U, threads)),
        tick_(tick),
        most_(settings.maxTokenLength.value_or(std::numeric_limits<size_t>::max())),
        words_(spellWords(counts, settings, threads, tokens_)),
        // Every new token takes a symbol out of some word, so that there are never more of them.
        symbolLengths_(
            std::max(tokens_.size(), std::min(settings.vocabSize, tokens_.size() + words_.records.size())),
            1) {
    for (unsigned worker = 0; worker < threads_; ++worker) changes_.emplace_back(symbolLengths_.size());
  }

  TrainedPairs run() {
    countPairs();
    std::vector<std::pair<uint32_t, uint32_t>> merges;
    while (tokens_.size() < settings_.vocabSize && !queue_.empty()) {
      QueuedPair top = queue_.pop();
      const int64_t now = std::max<int64_t>(0, pairs_.at(top.key));
      if (top.count != static_cast<uint64_t>(now)) {
        top.count = static_cast<uint64_t>(now);
        queue_.push(top);
        continue;
      }
      if (top.count < 1 || top.count < settings_.minFrequency) break;
      const auto left = static_cast<uint32_t>(top.key >> 32);
      const auto right = static_cast<uint32_t>(top.key);
      merges.emplace_back(left, right);
      constexpr size_t kTickEvery = 32;
      if (merges.size() % kTickEvery == 0) {
        tick_(static_cast<double>(tokens_.size()), static_cast<double>(settings_.vocabSize));
      }
      merge(top, left, right, joined(left, right), static_cast<uint32_t>(merges.size()));
    }
    tick_(static_cast<double>(settings_.vocabSize), static_cast<double>(settings_.vocabSize));
    return {tokens_.take(), lastOfEach(merges)};
  }

 private:
  // The token of a merged pair: a new one, or one of the same spelling that there is already.
  uint32_t joined(uint32_t left, uint32_t right) {
    std::string token = tokens_[left];
    const std::string& prefix = settings_.continuingSubwordPrefix ? *settings_.continuingSubwordPrefix : "";
    const std::string& tail = tokens_[right];
    token.append(tail, tail.starts_with(prefix) ? prefix.size() : 0);
    const uint32_t id = tokens_.add(token);
    symbolLengths_[id] = symbolLengths_[left] + symbolLengths_[right];
    return id;
  }

  // One thread's pairs of the words as they are at first.
  struct Share {
    struct Found {
      uint64_t key = 0;
      int64_t count = 0;
      std::vector<uint32_t> words;
    };
    // Key → 1 + index in `found`.
    PairCounts places;
    std::vector<Found> found;

    Found& at(uint64_t key) {
      int64_t& place = places.at(key);
      if (place == 0) {
        found.push_back({key, 0, {}});
        place = static_cast<int64_t>(found.size());
      }
      return found[static_cast<size_t>(place - 1)];
    }
  };

  // Counts the pairs of all words and queues them.
  void countPairs() {
    const size_t stretches = words_.stretches.size();
    std::vector<Share> shares(std::min<size_t>(threads_, stretches));
    parallelFor(shares.size(), threads_, 1, [&](size_t index, unsigned) {
      const size_t last = stretches * (index + 1) / shares.size();
      for (size_t i = stretches * index / shares.size(); i < last; ++i) {
        countStretch(words_.stretches[i], shares[index]);
      }
    });
    Share all;
    for (Share& share : shares) {
      for (Share::Found& part : share.found) {
        Share::Found& sum = all.at(part.key);
        sum.count += part.count;
        if (sum.words.empty()) {
          sum.words = std::move(part.words);
        } else {
          sum.words.insert(sum.words.end(), part.words.begin(), part.words.end());
          part.words = {};
        }
      }
    }
    for (Share::Found& pair : all.found) {
      pairs_.at(pair.key) = pair.count;
      uint32_t* list = lists_.take(pair.words.size());
      std::copy(pair.words.begin(), pair.words.end(), list);
      queue_.push(
          {static_cast<uint64_t>(pair.count), pair.key, list, static_cast<uint32_t>(pair.words.size()), 0});
      pair.words = {};
    }
  }

  void countStretch(const std::pair<size_t, size_t>& stretch, Share& share) const {
    for (size_t at = stretch.first; at < stretch.second;
         at += TrainingWords::kHead + words_.records[at + 2]) {
      const auto word = static_cast<uint32_t>(at);
      const uint32_t* symbols = words_.records.data() + at + TrainingWords::kHead;
      const int64_t count = words_.count(word);
      for (uint32_t i = 0; i + 1 < words_.records[at + 2]; ++i) {
        Share::Found& found = share.at(pairKey(symbols[i], symbols[i + 1]));
        found.count += count;
        if (found.words.empty() || found.words.back() != word) found.words.push_back(word);
      }
    }
  }

  // Merges a pair in its words, and queues the pairs that come about.
  void merge(const QueuedPair& pair, uint32_t left, uint32_t right, uint32_t made, uint32_t step) {
    const size_t useful = (pair.wordCount + kWordsPerThread - 1) / kWordsPerThread;
    const auto shares = static_cast<unsigned>(std::min<size_t>(threads_, useful));
    parallelFor(shares, shares, 1, [&](size_t share, unsigned) {
      const size_t begin = pair.wordCount * share / shares;
      const size_t end = pair.wordCount * (share + 1) / shares;
      for (size_t i = begin; i < end; ++i) {
        if (i + kAhead < end) __builtin_prefetch(words_.records.data() + pair.words[i + kAhead], 1);
        mergeWord(pair.words[i], left, right, made, changes_[share]);
      }
    });
    for (unsigned share = 0; share < shares; ++share) {
      for (const MergeChanges::Lost& lost : changes_[share].lost()) {
        const uint64_t key = lost.side == kOtherLeft ? pairKey(lost.other, left) : pairKey(right, lost.other);
        pairs_.at(key) -= lost.count;
      }
    }
    queueMade(made, shares, step);
    for (unsigned share = 0; share < shares; ++share) changes_[share].clear();
  }

  void mergeWord(uint32_t word, uint32_t left, uint32_t right, uint32_t made, MergeChanges& changes) {
    uint32_t* record = words_.records.data() + word;
    uint32_t* symbols = record + TrainingWords::kHead;
    const uint32_t length = record[2];
    const int64_t count = words_.count(word);
    const size_t size = symbolLengths_[made];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < length; ++i) {
      if (symbols[i] != left || i + 1 == length || symbols[i + 1] != right) {
        symbols[kept++] = symbols[i];
        continue;
      }
      // The left neighbour may itself have just been made; the right one is still as it was.
      if (kept > 0) {
        const uint32_t before = symbols[kept - 1];
        changes.lose(before, kOtherLeft, count);
        if (symbolLengths_[before] + size < most_) changes.make(before, kOtherLeft, count, word);
      }
      ++i;
      if (i + 1 < length) {
        const uint32_t after = symbols[i + 1];
        changes.lose(after, kOtherRight, count);
        // (made, made) has one name only, so that a list never has a word twice.
        const Side side = after == made ? kOtherLeft : kOtherRight;
        if (symbolLengths_[after] + size < most_) changes.make(after, side, count, word);
      }
      symbols[kept++] = made;
    }
    record[2] = kept;
  }

  // Adds up what the threads made and queues it, each pair with its words.
  void queueMade(uint32_t made, unsigned shares, uint32_t step) {
    waiting_.clear();
    placeOf_.resize(shares);
    for (unsigned share = 0; share < shares; ++share) {
      placeOf_[share].clear();
      for (const MergeChanges::Made& item : changes_[share].made()) {
        const uint64_t key = item.side == kOtherLeft ? pairKey(item.other, made) : pairKey(made, item.other);
        pairs_.at(key) += item.count;
        // With several threads a pair comes more than once.
        uint32_t place = static_cast<uint32_t>(waiting_.size());
        if (shares > 1) place = placeByKey_.try_emplace(key, place).first->second;
        if (place == waiting_.size()) waiting_.push_back({0, key, nullptr, 0, step});
        waiting_[place].wordCount += item.words;
        placeOf_[share].push_back(place);
      }
    }
    placeByKey_.clear();
    filled_.assign(waiting_.size(), nullptr);
    for (size_t i = 0; i < waiting_.size(); ++i) {
      filled_[i] = lists_.take(waiting_[i].wordCount);
      waiting_[i].words = filled_[i];
    }
    for (unsigned share = 0; share < shares; ++share) {
      for (const MergeChanges::Event& event : changes_[share].events()) {
        *filled_[placeOf_[share][event.made]]++ = event.word;
      }
    }
    for (QueuedPair& pair : waiting_) {
      const int64_t count = pairs_.at(pair.key);
      if (count <= 0) continue;
      pair.count = static_cast<uint64_t>(count);
      queue_.push(pair);
    }
  }

  // A pair merges again where its token came about in a second way; its rank is then the later one.
  static std::vector<std::pair<uint32_t, uint32_t>> lastOfEach(
      const std::vector<std::pair<uint32_t, uint32_t>>& merges) {
    std::vector<std::pair<uint32_t, uint32_t>> kept;
    std::unordered_set<uint64_t> seen;
    for (size_t i = merges.size(); i-- > 0;) {
      if (seen.insert(pairKey(merges[i].first, merges[i].second)).second) kept.push_back(merges[i]);
    }
    std::reverse(kept.begin(), kept.end());
    return kept;
  }

  const PairTrainingSettings& settings_;
  const unsigned threads_;
  const Tick& tick_;
  const size_t most_;
  TokenList tokens_;
  TrainingWords words_;
  // Characters of each symbol.
  std::vector<size_t> symbolLengths_;
  PairCounts pairs_;
  MergeQueue queue_;
  WordLists lists_;
  // One for each thread.
  std::vector<MergeChanges> changes_;
  // Pairs made by the merge under way, and where each thread's lie among them.
  std::vector<QueuedPair> waiting_;
  std::vector<std::vector<uint32_t>> placeOf_;
  std::unordered_map<uint64_t, uint32_t> placeByKey_;
  std::vector<uint32_t*> filled_;
};

}  // namespace

TrainedPairs trainPairs(const WordCounts& counts, const PairTrainingSettings& settings, unsigned threads,
                        const Tick& tick) {
  return PairTrainer(counts, settings, threads, tick).run();
}

}  // namespace anneal::text
