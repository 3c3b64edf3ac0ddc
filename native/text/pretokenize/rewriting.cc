// rewriting.cc — pre-tokenizers that change text: ByteLevel and Metaspace.
#include "text/error.h"
#include "text/model/byte_alphabet.h"
#include "text/pretokenize/folder.h"
#include "text/pretokenize/patterns.h"
#include "text/unicode/utf8.h"

namespace anneal::text {

namespace {

// A section's new text while it is written, together with where it comes from.
class Rewriter {
 public:
  explicit Rewriter(Section& section) : section_(section) {
    text_.reserve(section.text.size() + section.text.size() / 4);
    if (section.alignment != nullptr) alignment_.reserve(text_.capacity());
  }

  uint32_t size() const { return static_cast<uint32_t>(text_.size()); }
  const std::string& text() const { return text_; }

  void copy(uint32_t begin, uint32_t end) {
    text_.append(section_.text, begin, end - begin);
    if (section_.alignment != nullptr) {
      alignment_.insert(alignment_.end(), section_.alignment->begin() + begin,
                        section_.alignment->begin() + end);
    }
  }

  // Writes `bytes` in place of what stands at `at`.
  void write(std::string_view bytes, uint32_t at) {
    text_ += bytes;
    if (section_.alignment != nullptr)
      alignment_.insert(alignment_.end(), bytes.size(), (*section_.alignment)[at]);
  }

  void finish(std::vector<Piece> pieces) {
    if (text_.size() > UINT32_MAX) {
      throw TextError("ERR_TOKENIZER", "A text grew beyond 4 GiB in its pre-tokenizer. Use shorter texts.");
    }
    section_.text = std::move(text_);
    section_.pieces = std::move(pieces);
    if (section_.alignment != nullptr) *section_.alignment = std::move(alignment_);
  }

 private:
  Section& section_;
  std::string text_;
  Alignment alignment_;
};

class ByteLevel final : public PreTokenizer {
 public:
  ByteLevel(bool addPrefixSpace, bool useRegex, bool mapBytes)
      : addPrefixSpace_(addPrefixSpace),
        mapBytes_(mapBytes),
        scanner_(useRegex ? makeGpt2Scanner() : nullptr) {}

  bool rewrites() const override { return addPrefixSpace_ || mapBytes_; }
  bool covers() const override { return true; }
  bool idle() const override { return !rewrites() && !scanner_; }

  using PreTokenizer::split;
  void split(std::string_view text, Piece whole, std::vector<Piece>& out) const override {
    if (scanner_) {
      scanner_->split(text, whole, out);
    } else {
      out.push_back(whole);
    }
  }

  void apply(Section& section) const override {
    if (addPrefixSpace_) addSpaces(section);
    if (scanner_) PreTokenizer::apply(section);
    if (mapBytes_) map(section);
  }

 private:
  static void addSpaces(Section& section) {
    Rewriter rewriter(section);
    std::vector<Piece> pieces;
    pieces.reserve(section.pieces.size());
    for (const Piece piece : section.pieces) {
      const uint32_t begin = rewriter.size();
      if (section.text[piece.begin] != ' ') rewriter.write(" ", piece.begin);
      rewriter.copy(piece.begin, piece.end);
      pieces.push_back({begin, rewriter.size()});
    }
    rewriter.finish(std::move(pieces));
  }

  static void map(Section& section) {
    Rewriter rewriter(section);
    std::vector<Piece> pieces;
    pieces.reserve(section.pieces.size());
    for (const Piece piece : section.pieces) {
      const uint32_t begin = rewriter.size();
      for (uint32_t at = piece.begin; at < piece.end; ++at) {
        char utf8[4];
        const char32_t symbol = byteAlphabet()[static_cast<unsigned char>(section.text[at])];
        rewriter.write({utf8, encode(symbol, utf8)}, at);
      }
      pieces.push_back({begin, rewriter.size()});
    }
    rewriter.finish(std::move(pieces));
  }

  const bool addPrefixSpace_;
  const bool mapBytes_;
  const PreTokenizerPointer scanner_;
};

class Metaspace final : public PreTokenizer {
 public:
  Metaspace(char32_t replacement, PrependScheme scheme, bool split)
      : code_(replacement), scheme_(scheme), split_(split) {
    append(replacement_, replacement);
  }

  bool rewrites() const override { return true; }
  bool covers() const override { return true; }

  using PreTokenizer::split;
  void split(std::string_view text, Piece whole, std::vector<Piece>& out) const override {
    if (!split_) {
      out.push_back(whole);
      return;
    }
    const auto isReplacement = [this](char32_t code) { return code == code_; };
    cutAtCharacters(text, whole, SplitBehavior::kMergedWithNext, isReplacement, out);
  }

  void apply(Section& section) const override {
    Rewriter rewriter(section);
    std::vector<Piece> pieces;
    for (const Piece piece : section.pieces) {
      const uint32_t begin = rewriter.size();
      const std::string_view text =
          std::string_view(section.text).substr(piece.begin, piece.end - piece.begin);
      const bool marked = text[0] == ' ' || text.starts_with(replacement_);
      const bool first = section.first && piece.begin == 0;
      if (!marked && (scheme_ == PrependScheme::kAlways || (scheme_ == PrependScheme::kFirst && first))) {
        rewriter.write(replacement_, piece.begin);
      }
      for (uint32_t at = piece.begin; at < piece.end;) {
        const size_t space = section.text.find(' ', at);
        const uint32_t stop = space < piece.end ? static_cast<uint32_t>(space) : piece.end;
        rewriter.copy(at, stop);
        if (stop < piece.end) rewriter.write(replacement_, stop);
        at = stop + 1;
      }
      pieces.push_back({begin, rewriter.size()});
    }
    rewriter.finish(std::move(pieces));
    PreTokenizer::apply(section);
  }

 private:
  const char32_t code_;
  std::string replacement_;
  const PrependScheme scheme_;
  const bool split_;
};

}  // namespace

PreTokenizerPointer makeByteLevel(bool addPrefixSpace, bool useRegex, bool mapBytes) {
  return std::make_shared<ByteLevel>(addPrefixSpace, useRegex, mapBytes);
}

PreTokenizerPointer makeMetaspace(char32_t replacement, PrependScheme scheme, bool split) {
  return std::make_shared<Metaspace>(replacement, scheme, split);
}

}  // namespace anneal::text
