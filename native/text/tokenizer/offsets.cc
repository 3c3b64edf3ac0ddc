// offsets.cc — encoding with all that is known of each token: where in the text it came from, its type, and
// whether a post-processor put it in.
#include <algorithm>
#include <array>
#include <utility>

#include "text/model/unigram.h"
#include "text/tokenizer/tokenizer.h"
#include "text/unicode/properties.h"
#include "text/unicode/utf8.h"

namespace anneal::text {
namespace {

// The original of text [begin, end).
ByteRange originalOf(const Alignment& alignment, size_t begin, size_t end) {
  if (begin >= alignment.size()) {
    const uint32_t at = alignment.empty() ? 0 : alignment.back().end;
    return {at, at};
  }
  if (end <= begin) return {alignment[begin].begin, alignment[begin].begin};
  if (end > alignment.size()) end = alignment.size();
  return {alignment[begin].begin, alignment[end - 1].end};
}

}  // namespace

// Spaces, as themselves and as the byte alphabet spells them (U+0120), at both ends of a token, in
// characters.
std::array<uint32_t, 2> Tokenizer::edgesOf(std::string_view token) const {
  if (!parts_.postProcessor.trims()) return {0, 0};
  const auto blank = [](char32_t code) { return code == 0x120 || isWhitespace(code); };
  std::array<uint32_t, 2> edges{0, 0};
  const char* begin = token.data();
  const char* end = begin + token.size();
  for (const char* at = begin; at < end && blank(text::decode(at));) ++edges[0];
  for (const char* at = end; at > begin && blank(decodeBackward(begin, at));) ++edges[1];
  return edges;
}

// How the reference spells a token that stands for `surface`: as the vocabulary does, but a Unigram model's
// unknown token as the text itself.
std::string_view Tokenizer::spellingOf(uint32_t id, std::string_view surface) const {
  const std::string_view token = parts_.model->tokenOf(id);
  return unigram_ && fallbackByte(token) < 0 ? surface : token;
}

void Tokenizer::encodeAligned(Section& section, Encoding& out, Worker& worker) const {
  if (section.text.empty()) return;
  wholeSection(section);
  if (parts_.preTokenizer != nullptr) parts_.preTokenizer->apply(section);
  const std::string_view text = section.text;
  Scratch& scratch = *worker.scratch;
  for (const Piece& piece : section.pieces) {
    worker.ids.clear();
    scratch.lengths.clear();
    encodePiece(text.substr(piece.begin, piece.end - piece.begin), worker.ids, scratch);
    size_t begin = piece.begin;
    size_t end = piece.begin;
    for (size_t i = 0; i < worker.ids.size(); ++i) {
      // Several tokens for one byte: all but the first stand for no more of it.
      if (scratch.lengths[i] != kSameBytes && (scratch.lengths[i] != 0 || i == 0)) {
        begin = end;
        // Bytes of a suffix that is no part of the text count as none.
        end = std::min<size_t>(end + scratch.lengths[i], piece.end);
      }
      out.push(worker.ids[i], originalOf(*section.alignment, begin, end), 0, false);
      out.edges.back() = edgesOf(spellingOf(worker.ids[i], text.substr(begin, end - begin)));
    }
  }
}

Encoding Tokenizer::encodeWhole(std::string_view text, Worker& worker) const {
  Encoding out;
  std::vector<Stretch> stretches;
  raw_.split(text, stretches);
  for (const Stretch& stretch : stretches) {
    const std::string_view section = text.substr(stretch.begin, stretch.end - stretch.begin);
    if (stretch.id != kNoToken) {
      out.push(stretch.id, {static_cast<uint32_t>(stretch.begin), static_cast<uint32_t>(stretch.end)}, 0,
               false);
      out.edges.back() = edgesOf(section);
      continue;
    }
    std::string normalized(section);
    Alignment alignment = identityAlignment(section);
    if (parts_.normalizer != nullptr) parts_.normalizer->apply(normalized, &alignment);
    for (ByteRange& range : alignment) {
      range.begin += static_cast<uint32_t>(stretch.begin);
      range.end += static_cast<uint32_t>(stretch.begin);
    }
    std::vector<Stretch> inner;
    normalized_.split(normalized, inner);
    for (const Stretch& part : inner) {
      const std::string_view found = std::string_view(normalized).substr(part.begin, part.end - part.begin);
      if (part.id != kNoToken) {
        out.push(part.id, originalOf(alignment, part.begin, part.end), 0, false);
        out.edges.back() = edgesOf(found);
        continue;
      }
      Section piece;
      piece.text.assign(found);
      Alignment own(alignment.begin() + static_cast<ptrdiff_t>(part.begin),
                    alignment.begin() + static_cast<ptrdiff_t>(part.end));
      piece.alignment = &own;
      piece.first = !own.empty() && own[0].begin == 0;
      encodeAligned(piece, out, worker);
    }
  }
  return out;
}

Encoding Tokenizer::encodeWithOffsets(std::string_view text, const std::string_view* pair,
                                      bool addSpecialTokens) const {
  WorkerPointer worker = take(true);
  std::vector<Encoding> texts;
  std::vector<std::string_view> originals{text};
  texts.push_back(encodeWhole(text, *worker));
  if (pair != nullptr) {
    texts.push_back(encodeWhole(*pair, *worker));
    originals.push_back(*pair);
  }
  giveBack(std::move(worker), true);
  return parts_.postProcessor.process(std::move(texts), originals, addSpecialTokens);
}

}  // namespace anneal::text
