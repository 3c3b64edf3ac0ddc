// Room tokenizer: from a tokenizer.json (or a rank file) to the whole way from text to ids and back. It puts
// together what the rooms normalize, pretokenize and model do, and adds what goes around them: added tokens,
// templates, offsets, decoders, and the sharing of work between threads. tokenizer.h is its interface.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/batch.h"
#include "text/model/model.h"
#include "text/normalize/normalizer.h"
#include "text/pretokenize/pretokenizer.h"
#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/cuts.h"
#include "text/tokenizer/decoder.h"
#include "text/tokenizer/post_processor.h"

namespace anneal::text {

// Results of a batch: text i has ids[ends[i − 1], ends[i]). `ids` is malloc'ed, so that it can be handed on.
struct EncodedBatch {
  struct Free {
    void operator()(void* memory) const;
  };
  std::unique_ptr<uint32_t[], Free> ids;
  std::vector<uint32_t> ends;
};

struct BatchOptions {
  bool addSpecialTokens = false;
  unsigned threads = 1;
  // Called now and then, on any of the threads, with the bytes done so far; may throw to end the work.
  std::function<void(size_t)> progress;
};

// What a tokenizer is made of.
struct TokenizerParts {
  NormalizerPointer normalizer;
  // For later parts of a long text: without what is put before every text.
  NormalizerPointer laterNormalizer;
  PreTokenizerPointer preTokenizer;
  std::unique_ptr<const Model> model;
  PostProcessor postProcessor;
  std::unique_ptr<const Decoder> decoder;
  std::vector<AddedToken> added;
  // Whether the model never joins U+2581 to what stands before it, and no pre-tokenizer has cut there: then
  // pieces are cut before each such character, which changes nothing but the time.
  bool spaceWords = false;
  // Whether the pre-tokenizer treats the very beginning of a text differently.
  bool mindsFirst = false;
  CutRule cuts;
};

// Immutable apart from the working memory that its threads take and give back; for any number of threads at
// once.
class Tokenizer {
 public:
  explicit Tokenizer(TokenizerParts parts);

  // Reads a tokenizer.json; `file` is its name for messages. Throws TextError (ERR_TOKENIZER) naming what is
  // wrong.
  static std::unique_ptr<Tokenizer> fromJson(std::string_view text, const std::string& file);
  // Reads a rank file (tiktoken) with the pattern that cuts its texts, and special tokens with their ids.
  static std::unique_ptr<Tokenizer> fromRanks(std::string_view text, const std::string& pattern,
                                              std::vector<std::pair<std::string, uint32_t>> specials,
                                              const std::string& file);

  // One more than the largest id.
  uint32_t idEnd() const { return idEnd_; }
  // The id of a token, added ones first; kNoToken where there is none.
  uint32_t idOf(std::string_view token) const;
  // The spelling of an id; false where it has none.
  bool tokenOf(uint32_t id, std::string_view& token) const;
  const AddedToken* addedOf(uint32_t id) const;
  // Whether decoding is by bytes: the text of ids is the UTF-8 of `bytesOf` each, one after the other.
  bool byteLevel() const { return byteLevel_; }
  // Bytes that a token stands for: its own in a byte-level tokenizer, the byte of a fallback token, otherwise
  // its spelling with U+2581 as a space and without the prefix of word pieces, which is nearly its text.
  std::string bytesOf(uint32_t id) const;
  // Whether long texts are shared between threads.
  bool cuttable() const { return parts_.cuts.any(); }
  const Model& model() const { return *parts_.model; }

  // Valid UTF-8 only, below 4 GiB.
  std::vector<uint32_t> encode(std::string_view text, bool addSpecialTokens) const;
  EncodedBatch encodeBatch(const TextBatch& batch, const BatchOptions& options) const;
  // With offsets (in bytes of each text), type ids and the mask of special tokens, for one text or a pair.
  Encoding encodeWithOffsets(std::string_view text, const std::string_view* pair,
                             bool addSpecialTokens) const;

  // Ids without a token stand for no text. Valid UTF-8.
  std::string decode(const uint32_t* ids, size_t count, bool skipSpecialTokens) const;

 private:
  // Working memory of one thread.
  struct Worker {
    std::unique_ptr<Scratch> scratch;
    std::string normalized;
    Section section;
    Alignment alignment;
    std::vector<Piece> pieces;
    std::vector<Stretch> stretches;
    std::vector<Stretch> inner;
    std::vector<uint32_t> ids;
  };
  using WorkerPointer = std::unique_ptr<Worker>;
  struct Unit;

  WorkerPointer take(bool withLengths) const;
  void giveBack(WorkerPointer worker, bool withLengths) const;

  // Appends the ids of a text, or (`later`) of a later part of one.
  void encodeText(std::string_view text, bool later, std::vector<uint32_t>& ids, Worker& worker) const;
  void encodeSection(std::string_view section, bool first, bool later, std::vector<uint32_t>& ids,
                     Worker& worker) const;
  void encodeNormalized(std::string_view text, bool first, std::vector<uint32_t>& ids, Worker& worker) const;
  void encodePiece(std::string_view piece, std::vector<uint32_t>& ids, Scratch& scratch) const;

  Encoding encodeWhole(std::string_view text, Worker& worker) const;
  void encodeAligned(Section& section, Encoding& out, Worker& worker) const;
  std::string_view spellingOf(uint32_t id, std::string_view surface) const;
  std::array<uint32_t, 2> edgesOf(std::string_view token) const;

  std::vector<Unit> unitsOf(const TextBatch& batch) const;

  TokenizerParts parts_;
  // Added tokens that are found in the text as it is, and those found after the normalizer.
  TokenFinder raw_;
  TokenFinder normalized_;
  std::unordered_map<uint32_t, AddedToken> addedById_;
  // What added tokens decode to: those found after the normalizer come out in their normalized form.
  std::unordered_map<uint32_t, std::string> addedTexts_;
  std::unordered_map<std::string, uint32_t> addedIds_;
  std::vector<uint32_t> frame_;
  std::vector<uint32_t> specialFrame_;
  uint32_t idEnd_ = 0;
  bool byteLevel_ = false;
  bool unigram_ = false;
  mutable std::mutex mutex_;
  // Working memory that waits for the next call: without and with lengths.
  mutable std::vector<WorkerPointer> idle_[2];
};

}  // namespace anneal::text
