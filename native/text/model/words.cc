#include "text/model/words.h"

#include <utility>

#include "text/error.h"
#include "text/model/shown.h"
#include "text/unicode/utf8.h"

namespace anneal::text {
namespace {

// Shared by both models: the unknown token and the ways to append.
class WordModel : public Model {
 protected:
  WordModel(const std::vector<VocabEntry>& vocab, std::string unknown)
      : Model(vocab), unknownToken_(std::move(unknown)), unknownId_(vocabulary_.find(unknownToken_)) {}

  static void add(uint32_t id, size_t length, std::vector<uint32_t>& ids, Scratch& scratch) {
    ids.push_back(id);
    if (scratch.withLengths) scratch.lengths.push_back(static_cast<uint32_t>(length));
  }

  void addUnknown(std::string_view piece, std::vector<uint32_t>& ids, Scratch& scratch) const {
    if (unknownId_ == kNoToken) {
      throw TextError("ERR_TOKENIZER",
                      "The word " + shown(piece) +
                          " is not in the vocabulary, and neither is the unknown token " +
                          shown(unknownToken_) + ".",
                      {{"word", std::string(piece)}, {"token", unknownToken_}});
    }
    add(unknownId_, piece.size(), ids, scratch);
  }

 private:
  std::string unknownToken_;
  uint32_t unknownId_;
};

class WordLevel final : public WordModel {
 public:
  explicit WordLevel(WordLevelSettings settings) : WordModel(settings.vocab, std::move(settings.unkToken)) {}

  const char* type() const override { return "WordLevel"; }

 protected:
  void encodeAnew(std::string_view piece, std::vector<uint32_t>& ids, Scratch& scratch) const override {
    const uint32_t id = vocabulary_.find(piece);
    if (id == kNoToken) {
      addUnknown(piece, ids, scratch);
    } else {
      add(id, piece.size(), ids, scratch);
    }
  }
};

// Greedy longest match (Wu et al. 2016, as BERT applies it).
class WordPiece final : public WordModel {
 public:
  explicit WordPiece(WordPieceSettings settings)
      : WordModel(settings.vocab, std::move(settings.unkToken)),
        prefix_(std::move(settings.continuingSubwordPrefix)),
        most_(settings.maxInputCharsPerWord) {
    for (uint32_t id = 0; id < vocabulary_.idEnd(); ++id) {
      const std::string_view token = vocabulary_.token(id);
      if (token.size() > longest_) longest_ = token.size();
    }
  }

  const char* type() const override { return "WordPiece"; }

 protected:
  void encodeAnew(std::string_view piece, std::vector<uint32_t>& ids, Scratch& scratch) const override {
    if (countCodePoints(piece) > most_) {
      addUnknown(piece, ids, scratch);
      return;
    }
    const size_t firstId = ids.size();
    const size_t firstLength = scratch.lengths.size();
    // The prefix stands once before the rest of the word, so that every candidate is a stretch of `text`.
    std::string text = prefix_;
    text += piece;
    for (size_t start = 0; start < piece.size();) {
      const std::string_view rest = std::string_view(text).substr(prefix_.size() + start);
      // For a later part the prefix is written over what has already been matched.
      const size_t before = start == 0 ? 0 : prefix_.size();
      const size_t begin = prefix_.size() + start - before;
      if (before > 0) text.replace(begin, before, prefix_);
      size_t length = rest.size();
      // No token is longer than the longest; cut at a character's beginning.
      if (before + length > longest_) {
        length = longest_ > before ? longest_ - before : 0;
        while (length > 0 && isContinuation(rest[length])) --length;
      }
      uint32_t id = kNoToken;
      for (; length > 0; --length) {
        if (length < rest.size() && isContinuation(rest[length])) continue;
        id = vocabulary_.find({text.data() + begin, before + length});
        if (id != kNoToken) break;
      }
      if (id == kNoToken) {
        ids.resize(firstId);
        if (scratch.withLengths) scratch.lengths.resize(firstLength);
        addUnknown(piece, ids, scratch);
        return;
      }
      add(id, length, ids, scratch);
      start += length;
    }
  }

 private:
  std::string prefix_;
  size_t most_;
  // Bytes of the longest token.
  size_t longest_ = 0;
};

}  // namespace

std::unique_ptr<Model> makeWordPiece(WordPieceSettings settings) {
  return std::make_unique<WordPiece>(std::move(settings));
}

std::unique_ptr<Model> makeWordLevel(WordLevelSettings settings) {
  return std::make_unique<WordLevel>(std::move(settings));
}

}  // namespace anneal::text
