#include "text/model/unigram.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "text/error.h"
#include "text/unicode/utf8.h"

namespace anneal::text {
namespace {

// How much less probable than the least probable token an unknown character is (SentencePiece's constant).
constexpr double kUnknownPenalty = 10.0;

// A trie over the tokens' bytes in one array: the child of a state for a byte is next[base + byte], if its
// check is the state.
class Trie {
 public:
  explicit Trie(const std::vector<std::string>& tokens) {
    std::vector<uint32_t> order(tokens.size());
    for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return tokens[a] < tokens[b]; });
    cells_.resize(1024);
    cells_[0].check = 0;
    struct Span {
      size_t begin;
      size_t end;
      size_t depth;
      uint32_t state;
    };
    std::vector<Span> open{{0, order.size(), 0, 0}};
    std::vector<std::pair<unsigned char, std::pair<size_t, size_t>>> children;
    while (!open.empty()) {
      const Span span = open.back();
      open.pop_back();
      size_t i = span.begin;
      for (; i < span.end && tokens[order[i]].size() == span.depth; ++i) cells_[span.state].token = order[i];
      children.clear();
      while (i < span.end) {
        const auto byte = static_cast<unsigned char>(tokens[order[i]][span.depth]);
        size_t end = i;
        while (end < span.end && static_cast<unsigned char>(tokens[order[end]][span.depth]) == byte) ++end;
        children.push_back({byte, {i, end}});
        i = end;
      }
      if (children.empty()) continue;
      const uint32_t base = place(children);
      cells_[span.state].base = base;
      for (const auto& [byte, range] : children) {
        const uint32_t child = base + byte;
        cells_[child].check = span.state;
        open.push_back({range.first, range.second, span.depth + 1, child});
      }
    }
  }

  // The state after a byte, or kNone.
  static constexpr uint32_t kNone = 0xffffffff;
  uint32_t step(uint32_t state, unsigned char byte) const {
    const uint32_t next = cells_[state].base + byte;
    return next < cells_.size() && next != 0 && cells_[next].check == state ? next : kNone;
  }
  uint32_t token(uint32_t state) const { return cells_[state].token; }

 private:
  struct Cell {
    uint32_t base = 0;
    uint32_t check = kNone;
    uint32_t token = kNoToken;
  };

  template <typename Children>
  uint32_t place(const Children& children) {
    while (firstFree_ < cells_.size() && cells_[firstFree_].check != kNone) ++firstFree_;
    const uint32_t first = children.front().first;
    // A base of 0 would make the root its own child.
    for (uint32_t base = firstFree_ > first ? firstFree_ - first : 1;; ++base) {
      if (cells_.size() < base + 256) cells_.resize(2 * cells_.size() + 256);
      const bool fits = std::all_of(children.begin(), children.end(), [&](const auto& child) {
        return cells_[base + child.first].check == kNone;
      });
      if (fits) return base;
    }
  }

  std::vector<Cell> cells_;
  uint32_t firstFree_ = 1;
};

// Where the best way up to a byte begins, and with which token it ends there.
struct Node {
  double score = 0;
  uint32_t begin = kNoToken;
  uint32_t id = 0;
};

struct UnigramScratch final : Scratch {
  using Scratch::Scratch;
  std::vector<Node> nodes;
  std::vector<Node> path;
};

class Unigram final : public Model {
 public:
  Unigram(const UnigramSettings& settings, const std::vector<VocabEntry>& entries)
      : Model(entries), trie_(settings.tokens), scores_(settings.scores), unkId_(settings.unkId) {
    // As the reference: a vocabulary's least score, found from +∞ downwards.
    double least = std::numeric_limits<double>::infinity();
    for (const double score : scores_) least = std::min(least, score);
    unknownScore_ = least - kUnknownPenalty;
    if (settings.byteFallback) {
      constexpr char digits[] = "0123456789ABCDEF";
      for (unsigned byte = 0; byte < 256; ++byte) {
        byteIds_.push_back(idOf(std::string("<0x") + digits[byte >> 4] + digits[byte & 15] + ">"));
      }
    }
  }

  const char* type() const override { return "Unigram"; }
  std::unique_ptr<Scratch> scratch(bool withLengths, size_t cacheBytes) const override {
    return std::make_unique<UnigramScratch>(withLengths, cacheBytes);
  }

 protected:
  void encodeAnew(std::string_view piece, std::vector<uint32_t>& ids, Scratch& scratch) const override {
    auto& own = static_cast<UnigramScratch&>(scratch);
    search(piece, own.nodes);
    own.path.clear();
    for (size_t end = piece.size(); end > 0;) {
      const Node& node = own.nodes[end];
      // Unknown characters next to one another are one unknown token: `score` is not needed any more and the
      // end is where the node after it begins.
      if (!own.path.empty() && unkId_ && node.id == *unkId_ && own.path.back().id == *unkId_) {
        own.path.back().begin = node.begin;
      } else {
        own.path.push_back(node);
      }
      end = node.begin;
    }
    for (size_t i = own.path.size(); i-- > 0;) {
      const size_t end = i == 0 ? piece.size() : own.path[i - 1].begin;
      emit(piece.substr(own.path[i].begin, end - own.path[i].begin), own.path[i].id, ids, scratch);
    }
  }

 private:
  void search(std::string_view piece, std::vector<Node>& nodes) const {
    nodes.assign(piece.size() + 1, Node{});
    for (size_t begin = 0; begin < piece.size();) {
      const double score = nodes[begin].score;
      const size_t character = characterLength(static_cast<unsigned char>(piece[begin]));
      bool single = false;
      const auto offer = [&](size_t end, double candidate, uint32_t id) {
        Node& node = nodes[end];
        if (node.begin == kNoToken || candidate > node.score) {
          node = {candidate, static_cast<uint32_t>(begin), id};
        }
      };
      uint32_t state = 0;
      for (size_t end = begin; end < piece.size();) {
        state = trie_.step(state, static_cast<unsigned char>(piece[end]));
        if (state == Trie::kNone) break;
        ++end;
        const uint32_t id = trie_.token(state);
        if (id == kNoToken) continue;
        offer(end, scores_[id] + score, id);
        single = single || end - begin == character;
      }
      if (!single) {
        if (!unkId_) refuse(piece.substr(begin, character));
        offer(begin + character, unknownScore_ + score, *unkId_);
      }
      begin += character;
    }
  }

  void emit(std::string_view token, uint32_t id, std::vector<uint32_t>& ids, Scratch& scratch) const {
    const auto length = static_cast<uint32_t>(token.size());
    // A run of unknown characters may happen to be a token as a whole.
    const uint32_t known = unkId_ && id == *unkId_ ? idOf(token) : id;
    if (known == kNoToken && !byteIds_.empty()) {
      const bool all = std::all_of(token.begin(), token.end(), [&](char byte) {
        return byteIds_[static_cast<unsigned char>(byte)] != kNoToken;
      });
      if (all) {
        for (size_t i = 0; i < token.size(); ++i) {
          ids.push_back(byteIds_[static_cast<unsigned char>(token[i])]);
          if (scratch.withLengths) scratch.lengths.push_back(i == 0 ? length : kSameBytes);
        }
        return;
      }
    }
    ids.push_back(known == kNoToken ? *unkId_ : known);
    if (scratch.withLengths) scratch.lengths.push_back(length);
  }

  [[noreturn]] static void refuse(std::string_view character) {
    throw TextError(
        "ERR_TOKENIZER",
        "The vocabulary has no \"" + std::string(character) +
            "\" and no unknown token to stand for it. Use a tokenizer that covers the text, for example a "
            "byte-level one.",
        {{"token", std::string(character)}});
  }

  Trie trie_;
  std::vector<double> scores_;
  std::optional<uint32_t> unkId_;
  double unknownScore_ = 0;
  // Ids of the byte tokens; empty without byte fallback.
  std::vector<uint32_t> byteIds_;
};

}  // namespace

std::unique_ptr<Model> makeUnigram(UnigramSettings settings) {
  std::vector<VocabEntry> entries;
  entries.reserve(settings.tokens.size());
  for (size_t i = 0; i < settings.tokens.size(); ++i) {
    if (settings.tokens[i].empty()) {
      throw TextError("ERR_TOKENIZER", "Token " + std::to_string(i) + " of a Unigram vocabulary is empty.");
    }
    entries.push_back({settings.tokens[i], static_cast<uint32_t>(i)});
  }
  if (settings.unkId && *settings.unkId >= settings.tokens.size()) {
    throw TextError("ERR_TOKENIZER", "The unknown token of a Unigram model has the id " +
                                         std::to_string(*settings.unkId) + ", but the vocabulary has " +
                                         std::to_string(settings.tokens.size()) + " tokens.");
  }
  return std::make_unique<Unigram>(settings, entries);
}

}  // namespace anneal::text
