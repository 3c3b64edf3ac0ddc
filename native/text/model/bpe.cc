#include "text/model/bpe.h"

#include <cstdio>

#include "text/error.h"
#include "text/model/byte_alphabet.h"
#include "text/model/merges.h"
#include "text/model/shown.h"
#include "text/model/units.h"

namespace anneal::text {
namespace {

struct BpeScratch : Scratch {
  using Scratch::Scratch;
  MergeBuffer buffer;
};

[[noreturn]] void failMerge(size_t rank, const std::pair<std::string, std::string>& merge,
                            const std::string& missing) {
  throw TextError("ERR_TOKENIZER",
                  "Merge " + std::to_string(rank) + " (" + shown(merge.first) + " + " + shown(merge.second) +
                      ") needs the token " + shown(missing) +
                      ", which is not in the vocabulary. The file is damaged or cut.",
                  {{"merge", static_cast<double>(rank)}, {"token", missing}});
}

// Ranks and results of the merges of a tokenizer.json.
MergeTable mergeTable(const BpeSettings& settings, const Vocabulary& vocabulary) {
  MergeTable table(settings.merges.size());
  const size_t prefix = settings.continuingSubwordPrefix.value_or("").size();
  table.results.reserve(settings.merges.size());
  std::string joined;
  for (size_t rank = 0; rank < settings.merges.size(); ++rank) {
    const auto& [left, right] = settings.merges[rank];
    const uint32_t leftId = vocabulary.find(left);
    if (leftId == kNoToken) failMerge(rank, settings.merges[rank], left);
    const uint32_t rightId = vocabulary.find(right);
    if (rightId == kNoToken) failMerge(rank, settings.merges[rank], right);
    if (right.size() < prefix) {
      throw TextError("ERR_TOKENIZER",
                      "Merge " + std::to_string(rank) + ": the right part " + shown(right) +
                          " is shorter than continuing_subword_prefix " +
                          shown(*settings.continuingSubwordPrefix) + ".",
                      {{"merge", static_cast<double>(rank)}, {"token", right}});
    }
    joined = left;
    joined.append(right, prefix);
    const uint32_t result = vocabulary.find(joined);
    if (result == kNoToken) failMerge(rank, settings.merges[rank], joined);
    table.ranks.set(leftId, rightId, static_cast<uint32_t>(rank));
    table.results.push_back(result);
  }
  return table;
}

// Tokens by the bytes that they stand for; those that are not spelled in the byte alphabet are left out.
Vocabulary byteVocabulary(const Vocabulary& spelled) {
  std::vector<VocabEntry> entries;
  for (uint32_t id = 0; id < spelled.idEnd(); ++id) {
    if (!spelled.has(id)) continue;
    std::optional<std::string> bytes = bytesOfSpelling(spelled.token(id));
    if (bytes) entries.push_back({std::move(*bytes), id});
  }
  return Vocabulary(entries);
}

class Bpe final : public Model {
 public:
  explicit Bpe(const BpeSettings& settings)
      : Model(settings.vocab),
        table_(mergeTable(settings, vocabulary_)),
        units_(vocabulary_, settings.continuingSubwordPrefix.value_or(""),
               settings.endOfWordSuffix.value_or(""), settings.byteLevel),
        hasUnknown_(settings.unkToken.has_value()),
        fuseUnknown_(settings.fuseUnk),
        byteFallback_(settings.byteFallback),
        dropout_(settings.dropout),
        seed_(settings.seed) {
    if (!(dropout_ >= 0 && dropout_ <= 1)) {
      throw TextError("ERR_CONFIG",
                      "BPE dropout must be between 0 and 1, got " + std::to_string(dropout_) + ".",
                      {{"dropout", dropout_}});
    }
    byteLevel_ = settings.byteLevel;
    cacheable_ = dropout_ == 0;
    // As in HF tokenizers, dropout sets ignore_merges aside.
    wholePieces_ = settings.ignoreMerges && dropout_ == 0;
    plainBytes_ = byteLevel_ && settings.continuingSubwordPrefix.value_or("").empty() &&
                  settings.endOfWordSuffix.value_or("").empty();
    if (settings.unkToken) {
      unknownToken_ = *settings.unkToken;
      unknownId_ = vocabulary_.find(unknownToken_);
    }
    if (byteFallback_) {
      for (unsigned byte = 0; byte < 256; ++byte) {
        char name[8];
        std::snprintf(name, sizeof name, "<0x%02X>", byte);
        fallback_.push_back(vocabulary_.find(name));
      }
    }
    if (byteLevel_) {
      for (uint32_t id = 0; id < vocabulary_.idEnd(); ++id) {
        const std::string_view token = vocabulary_.token(id);
        bytes_.add(bytesOfSpelling(token).value_or(std::string(token)));
      }
      if (wholePieces_) pieces_ = byteVocabulary(vocabulary_);
    }
  }

  // A rank file's model; `settings` has its vocabulary only.
  Bpe(const BpeSettings& settings, MergeTable table) : Bpe(settings) { table_ = std::move(table); }

  const char* type() const override { return "BPE"; }

  std::unique_ptr<Scratch> scratch(bool withLengths, size_t cacheBytes) const override {
    return std::make_unique<BpeScratch>(withLengths, cacheBytes);
  }

 protected:
  void encodeAnew(std::string_view piece, std::vector<uint32_t>& ids, Scratch& scratch) const override {
    if (wholePieces_) {
      const uint32_t id = (byteLevel_ ? pieces_ : vocabulary_).find(piece);
      if (id != kNoToken) {
        ids.push_back(id);
        if (scratch.withLengths) scratch.lengths.push_back(static_cast<uint32_t>(piece.size()));
        return;
      }
    }
    MergeBuffer& buffer = static_cast<BpeScratch&>(scratch).buffer;
    collect(piece, buffer);
    if (dropout_ == 0) {
      mergeSymbols(table_, buffer);
    } else {
      mergeSymbolsWithDropout(table_, buffer, {static_cast<float>(dropout_), seed_, &scratch.draws});
    }
    ids.insert(ids.end(), buffer.ids.begin(), buffer.ids.end());
    if (scratch.withLengths) {
      scratch.lengths.insert(scratch.lengths.end(), buffer.lengths.begin(), buffer.lengths.end());
    }
  }

 private:
  // The symbols of a piece before any merge.
  void collect(std::string_view piece, MergeBuffer& buffer) const {
    buffer.ids.resize(piece.size());
    buffer.lengths.assign(piece.size(), 1);
    if (plainBytes_) {
      const uint32_t* byByte = units_.bytes();
      bool known = true;
      for (size_t i = 0; i < piece.size(); ++i) {
        buffer.ids[i] = byByte[static_cast<unsigned char>(piece[i])];
        known &= buffer.ids[i] != kNoToken;
      }
      if (known) return;
    }
    buffer.ids.clear();
    buffer.lengths.clear();
    collectUnits(piece, buffer);
  }

  // Unit by unit, with what becomes of unknown ones: bytes, the unknown token, or nothing. A run of unknown
  // units waits to be fused until the next known unit, whatever bytes come between, as in HF tokenizers.
  void collectUnits(std::string_view piece, MergeBuffer& buffer) const {
    uint32_t waiting = 0;
    const auto add = [&](uint32_t id, size_t length) {
      buffer.ids.push_back(id);
      buffer.lengths.push_back(static_cast<uint32_t>(length));
    };
    const auto release = [&] {
      if (waiting > 0) add(unknownId_, waiting);
      waiting = 0;
    };
    size_t length = 0;
    for (size_t at = 0; at < piece.size(); at += length) {
      length = unitLength(piece.substr(at), byteLevel_);
      const std::string_view unit = piece.substr(at, length);
      const UnitPlace place{at == 0, at + length == piece.size()};
      const uint32_t id = units_.find(unit, place);
      if (id != kNoToken) {
        release();
        add(id, length);
        continue;
      }
      if (byteFallback_ && addBytes(units_.spelled(unit, place), add)) continue;
      if (!hasUnknown_) continue;
      if (unknownId_ == kNoToken) {
        throw TextError("ERR_TOKENIZER",
                        "The text has the unknown character " + shown(units_.spelled(unit, {true, false})) +
                            ", but the unknown token " + shown(unknownToken_) + " is not in the vocabulary.",
                        {{"character", std::string(unit)}, {"token", unknownToken_}});
      }
      if (!fuseUnknown_) release();
      waiting += static_cast<uint32_t>(length);
    }
    release();
  }

  template <typename Add>
  bool addBytes(const std::string& spelled, const Add& add) const {
    for (const char byte : spelled) {
      if (fallback_[static_cast<unsigned char>(byte)] == kNoToken) return false;
    }
    for (const char byte : spelled) add(fallback_[static_cast<unsigned char>(byte)], 1);
    return true;
  }

  MergeTable table_;
  UnitIds units_;
  // Whole pieces by their raw bytes, for ignore_merges in byte-level models.
  Vocabulary pieces_;
  std::string unknownToken_;
  uint32_t unknownId_ = kNoToken;
  // By byte; kNoToken where the vocabulary lacks it.
  std::vector<uint32_t> fallback_;
  bool hasUnknown_;
  bool fuseUnknown_;
  bool byteFallback_;
  bool wholePieces_ = false;
  bool plainBytes_ = false;
  double dropout_;
  uint64_t seed_;
};

}  // namespace

std::unique_ptr<Model> makeBpe(BpeSettings settings) { return std::make_unique<Bpe>(settings); }

std::unique_ptr<Model> makeRankBpe(const std::vector<VocabEntry>& ranks) {
  const Vocabulary byBytes(ranks);
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char single = static_cast<char>(byte);
    if (byBytes.find({&single, 1}) != kNoToken) continue;
    throw TextError(
        "ERR_TOKENIZER",
        "The ranks have no token for the byte " + std::to_string(byte) + "; expected all 256 single bytes.",
        {{"byte", static_cast<double>(byte)}});
  }
  // Every way to cut a token into two tokens is a merge with the token's rank.
  std::vector<std::pair<uint32_t, uint32_t>> cuts;
  std::vector<uint32_t> results;
  for (const VocabEntry& entry : ranks) {
    const std::string_view token = entry.token;
    for (size_t cut = 1; cut < token.size(); ++cut) {
      const uint32_t left = byBytes.find(token.substr(0, cut));
      const uint32_t right = left == kNoToken ? kNoToken : byBytes.find(token.substr(cut));
      if (right == kNoToken) continue;
      cuts.emplace_back(left, right);
      results.push_back(entry.id);
    }
  }
  MergeTable table(cuts.size());
  for (size_t i = 0; i < cuts.size(); ++i) table.ranks.set(cuts[i].first, cuts[i].second, results[i]);
  table.results.resize(byBytes.idEnd());
  for (uint32_t id = 0; id < byBytes.idEnd(); ++id) table.results[id] = id;
  BpeSettings settings;
  settings.byteLevel = true;
  settings.ignoreMerges = true;
  settings.vocab.reserve(ranks.size());
  for (const VocabEntry& entry : ranks) settings.vocab.push_back({spellBytes(entry.token), entry.id});
  return std::make_unique<Bpe>(settings, std::move(table));
}

}  // namespace anneal::text
