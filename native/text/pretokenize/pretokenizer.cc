#include "text/pretokenize/pretokenizer.h"

namespace anneal::text {

void PreTokenizer::apply(Section& section) const {
  std::vector<Piece> cut;
  cut.reserve(section.text.size() / 4 + 1);
  for (const Piece piece : section.pieces) split(section.text, piece, cut);
  section.pieces = std::move(cut);
}

}  // namespace anneal::text
