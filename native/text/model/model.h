// model.h — room model: from one pre-token to ids. A model knows its vocabulary and nothing of normalizers,
// pre-tokenizers or added tokens; those are text/normalize, text/pretokenize and text/tokenizer. Every model
// is immutable and shared by all threads; what a thread changes is in its own Scratch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/model/piece_cache.h"
#include "text/model/token_bytes.h"
#include "text/model/vocabulary.h"

namespace anneal::text {

// What one thread needs to encode: the cache of pieces and the working memory of the merges. Made for one
// model by Model::scratch and used with that model only.
struct Scratch {
  // `cacheBytes`: bound of the cache of pieces; 0 for none.
  Scratch(bool wantLengths, size_t cacheBytes) : withLengths(wantLengths), cache(cacheBytes) {}
  virtual ~Scratch() = default;

  // Whether `lengths` is filled along with the ids.
  const bool withLengths;
  PieceCache cache;
  // Bytes of the piece that each id stands for, parallel to the ids appended since the caller last cleared
  // it; only with `withLengths`. Offsets inside a piece are their running sums.
  std::vector<uint32_t> lengths;
  // Draws of dropout so far: the counter of its random numbers. Set it to begin a text at a known state.
  uint64_t draws = 0;
};

class Model {
 public:
  virtual ~Model() = default;

  // Appends the ids of one pre-token to `ids` (and their byte lengths to scratch.lengths, if it wants them).
  // An empty piece gives nothing. Throws TextError (ERR_TOKENIZER) where the unknown token is needed and is
  // not in the vocabulary.
  void encode(std::string_view piece, std::vector<uint32_t>& ids, Scratch& scratch) const {
    if (piece.empty()) return;
    if (!cacheable_ || !scratch.cache.accepts(piece.size())) {
      encodeAnew(piece, ids, scratch);
      return;
    }
    const uint64_t hash = PieceCache::hash(piece);
    if (scratch.cache.find(piece, hash, ids, scratch.withLengths ? &scratch.lengths : nullptr)) return;
    const size_t firstId = ids.size();
    const size_t firstLength = scratch.lengths.size();
    encodeAnew(piece, ids, scratch);
    scratch.cache.insert(piece, hash, ids.data() + firstId, ids.size() - firstId,
                         scratch.withLengths ? scratch.lengths.data() + firstLength : nullptr);
  }

  // Working memory for one thread. About 8 MiB of cache by default.
  virtual std::unique_ptr<Scratch> scratch(bool withLengths = false,
                                           size_t cacheBytes = PieceCache::kDefaultBytes) const {
    return std::make_unique<Scratch>(withLengths, cacheBytes);
  }

  // "BPE", "WordPiece" or "WordLevel", as in tokenizer.json.
  virtual const char* type() const = 0;

  // Tokens spelled as in tokenizer.json (byte-level models: in the printable byte alphabet).
  const Vocabulary& vocabulary() const { return vocabulary_; }
  uint32_t idOf(std::string_view token) const { return vocabulary_.find(token); }
  std::string_view tokenOf(uint32_t id) const { return vocabulary_.token(id); }

  // Whether pieces are raw bytes whose spelling in the byte alphabet is never made: the caller leaves out the
  // mapping of a ByteLevel pre-tokenizer.
  bool byteLevel() const { return byteLevel_; }
  // The bytes that a token stands for in a byte-level model. A token with a character that is not of the byte
  // alphabet gives its own UTF-8 bytes, as the ByteLevel decoder does.
  std::string_view bytesOf(uint32_t id) const {
    return byteLevel_ ? bytes_.token(id) : vocabulary_.token(id);
  }

 protected:
  explicit Model(const std::vector<VocabEntry>& vocab) : vocabulary_(vocab) {}
  // The ids of a piece that is not empty and not in the cache.
  virtual void encodeAnew(std::string_view piece, std::vector<uint32_t>& ids, Scratch& scratch) const = 0;

  Vocabulary vocabulary_;
  // Ids to raw bytes, for byte-level models. Not for searching by bytes: see Bpe.
  TokenBytes bytes_;
  bool byteLevel_ = false;
  // False where the same piece may give different ids (dropout).
  bool cacheable_ = true;
};

}  // namespace anneal::text
