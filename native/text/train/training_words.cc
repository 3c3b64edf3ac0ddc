#include "text/train/training_words.h"

#include <algorithm>
#include <limits>

#include "text/error.h"
#include "text/model/byte_alphabet.h"
#include "text/parallel.h"
#include "text/unicode/utf8.h"

namespace anneal::text {
namespace {

// Where a symbol stands in its word, as bits of a number below 4.
constexpr unsigned kInside = 1;
constexpr unsigned kLast = 2;

// Calls body(symbol, place) for the characters of a word, or for its bytes. `symbol` is the character's code
// point (in the byte alphabet).
template <typename Body>
void eachSymbol(std::string_view word, bool byteLevel, const Body& body) {
  const char* at = word.data();
  const char* end = at + word.size();
  while (at < end) {
    const unsigned inside = at == word.data() ? 0 : kInside;
    uint32_t symbol = 0;
    if (byteLevel) {
      symbol = byteAlphabet()[static_cast<unsigned char>(*at++)];
    } else {
      symbol = decode(at);
    }
    body(symbol, inside | (at == end ? kLast : 0));
  }
}

// What one thread learns of the words: how often each character occurs, and at which places.
struct Seen {
  // By symbol, up to the largest one seen and some more.
  std::vector<uint64_t> counts;
  std::vector<uint8_t> places;

  void grow(uint32_t symbol) {
    counts.resize((size_t{symbol} | 0xff) + 1);
    places.resize(counts.size());
  }
};

std::string utf8Of(uint32_t symbol) {
  std::string text;
  append(text, symbol);
  return text;
}

class Speller {
 public:
  Speller(const WordCounts& counts, const PairTrainingSettings& settings, unsigned threads, TokenList& tokens)
      : counts_(counts), settings_(settings), threads_(std::max(1U, threads)), tokens_(tokens) {}

  TrainingWords run() {
    look();
    for (const std::string& token : settings_.specialTokens) tokens_.add(token);
    addAlphabet();
    addPlaced();
    return spell();
  }

 private:
  // Counts the characters of all words.
  void look() {
    std::vector<Seen> seen(threads_);
    parallelFor(WordCounts::kShards, threads_, 1, [&](size_t shard, unsigned worker) {
      Seen& own = seen[worker];
      counts_.each(shard, [&](std::string_view word, uint64_t, uint64_t count) {
        size_t length = 0;
        eachSymbol(word, settings_.byteLevel, [&](uint32_t symbol, unsigned place) {
          if (symbol >= own.counts.size()) own.grow(symbol);
          own.counts[symbol] += count;
          own.places[symbol] |= static_cast<uint8_t>(1U << place);
          ++length;
        });
        sizes_[shard] += length > 1 ? TrainingWords::kHead + length : 0;
      });
    });
    for (const Seen& own : seen) {
      if (own.counts.size() > seen_.counts.size()) seen_.grow(own.counts.size() - 1);
      for (size_t symbol = 0; symbol < own.counts.size(); ++symbol) {
        seen_.counts[symbol] += own.counts[symbol];
        seen_.places[symbol] |= own.places[symbol];
      }
    }
  }

  void addAlphabet() {
    constexpr uint64_t kAlways = std::numeric_limits<uint64_t>::max();
    std::vector<std::pair<uint32_t, uint64_t>> alphabet;
    std::vector<uint32_t> initial;
    for (const std::string& text : settings_.initialAlphabet) {
      const char* at = text.data();
      if (!text.empty()) initial.push_back(decode(at));
    }
    std::sort(initial.begin(), initial.end());
    initial.erase(std::unique(initial.begin(), initial.end()), initial.end());
    for (uint32_t symbol = 0; symbol < seen_.counts.size(); ++symbol) {
      if (seen_.counts[symbol] > 0 && !std::binary_search(initial.begin(), initial.end(), symbol)) {
        alphabet.emplace_back(symbol, seen_.counts[symbol]);
      }
    }
    for (const uint32_t symbol : initial) alphabet.emplace_back(symbol, kAlways);
    if (settings_.limitAlphabet && alphabet.size() > *settings_.limitAlphabet) {
      std::sort(alphabet.begin(), alphabet.end(), [](const auto& a, const auto& b) {
        return a.second != b.second ? a.second > b.second : a.first < b.first;
      });
      alphabet.resize(*settings_.limitAlphabet);
    }
    std::sort(alphabet.begin(), alphabet.end());
    for (const auto& [symbol, count] : alphabet) tokens_.add(utf8Of(symbol));
  }

  std::string placed(uint32_t symbol, unsigned place) const {
    std::string token =
        (place & kInside) != 0 ? settings_.continuingSubwordPrefix.value_or("") : std::string();
    append(token, symbol);
    if ((place & kLast) != 0) token += settings_.endOfWordSuffix.value_or("");
    return token;
  }

  // Gives every symbol at every place where it occurs its id. A character is authorised by being a token
  // itself.
  void addPlaced() {
    std::vector<std::string> fresh;
    const auto eachPlaced = [&](const auto& body) {
      for (uint32_t symbol = 0; symbol < seen_.places.size(); ++symbol) {
        if (seen_.places[symbol] == 0 || !tokens_.has(utf8Of(symbol))) continue;
        for (unsigned place = 0; place < 4; ++place) {
          if ((seen_.places[symbol] >> place & 1) != 0) body(symbol, place, placed(symbol, place));
        }
      }
    };
    eachPlaced([&](uint32_t, unsigned, const std::string& token) {
      if (!tokens_.has(token)) fresh.push_back(token);
    });
    std::sort(fresh.begin(), fresh.end());
    // All characters were looked up before the first of these is added, which could be a character itself.
    ids_.assign(seen_.places.size() * 4, kNoId);
    std::vector<std::pair<size_t, std::string>> slots;
    eachPlaced([&](uint32_t symbol, unsigned place, const std::string& token) {
      slots.emplace_back(size_t{symbol} * 4 + place, token);
    });
    for (const std::string& token : fresh) tokens_.add(token);
    for (const auto& [slot, token] : slots) ids_[slot] = tokens_.add(token);
  }

  TrainingWords spell() {
    TrainingWords words;
    size_t size = 0;
    for (size_t shard = 0; shard < WordCounts::kShards; ++shard) {
      words.stretches.emplace_back(size, size);
      size += sizes_[shard];
    }
    if (size > std::numeric_limits<uint32_t>::max()) {
      throw TextError(
          "ERR_OUT_OF_MEMORY",
          "The distinct words have " + std::to_string(size) +
              " symbols; training takes at most 4,294,967,295. Set a pruning threshold, or train on a "
              "sample of the text.",
          {{"symbols", static_cast<double>(size)}});
    }
    words.records.resize(size);
    parallelFor(WordCounts::kShards, threads_, 1, [&](size_t shard, unsigned) {
      auto& [begin, end] = words.stretches[shard];
      counts_.each(shard, [&](std::string_view word, uint64_t, uint64_t count) {
        uint32_t* record = words.records.data() + end;
        uint32_t length = 0;
        // A word of one symbol has no pair, and no room was counted for it.
        if (settings_.byteLevel ? word.size() < 2 : characterLength(word[0]) >= word.size()) return;
        eachSymbol(word, settings_.byteLevel, [&](uint32_t symbol, unsigned place) {
          const uint32_t id = ids_[size_t{symbol} * 4 + place];
          if (id != kNoId) record[TrainingWords::kHead + length++] = id;
        });
        if (length < 2) return;
        record[0] = static_cast<uint32_t>(count);
        record[1] = static_cast<uint32_t>(count >> 32);
        record[2] = length;
        end += TrainingWords::kHead + length;
      });
    });
    return words;
  }

  static constexpr uint32_t kNoId = 0xffffffff;

  const WordCounts& counts_;
  const PairTrainingSettings& settings_;
  const unsigned threads_;
  TokenList& tokens_;
  Seen seen_;
  // Room for the records of each table's words.
  std::array<size_t, WordCounts::kShards> sizes_{};
  // By symbol · 4 + place.
  std::vector<uint32_t> ids_;
};

}  // namespace

TrainingWords spellWords(const WordCounts& counts, const PairTrainingSettings& settings, unsigned threads,
                         TokenList& tokens) {
  return Speller(counts, settings, threads, tokens).run();
}

}  // namespace anneal::text
