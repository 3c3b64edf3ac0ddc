// cuts.h — where a long text may be cut so that its parts, encoded apart, give the ids of the whole. Only
// tokenizers for which that is certain by their construction have such places.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/field.h"

namespace anneal::text {

// Places at which every text is cut anyway; all false for tokenizers that are not known to have any.
struct CutRule {
  bool space = false;    // between a letter and U+0020
  bool newline = false;  // between an ASCII letter and U+000A
  bool stop = false;     // between a Chinese character (U+4E00–9FA5) and U+3002

  bool any() const { return space || newline || stop; }

  // The first place at or after `from`, or text.size() where there is none.
  size_t next(std::string_view text, size_t from) const;
};

// The rule of a tokenizer.json whose parts are known to be sound. `spaceWords`: whether the model never joins
// U+2581 to what stands before it.
CutRule cutRule(const Field& root, const std::vector<AddedToken>& added, bool spaceWords);

// The same for texts that one pattern cuts, with its matches as the pieces.
CutRule cutRule(std::string_view pattern, const std::vector<AddedToken>& added);

}  // namespace anneal::text
