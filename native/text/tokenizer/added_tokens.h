// added_tokens.h — the tokens of a tokenizer.json's "added_tokens": they are found in a text before all else
// and never reach the model, as HF tokenizers' AddedVocabulary does it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/model/vocabulary.h"

namespace anneal::text {

struct AddedToken {
  std::string content;
  uint32_t id = 0;
  // Matches only where no word character stands beside it.
  bool singleWord = false;
  // Takes the white space before or after it along.
  bool leftStrip = false;
  bool rightStrip = false;
  // Looked for after the normalizer, in its normalized form.
  bool normalized = false;
  // Left out where decoding skips special tokens.
  bool special = false;
};

// A stretch of a text: an added token, or (id = kNoToken) what lies between two of them.
struct Stretch {
  uint32_t id = kNoToken;
  size_t begin = 0;
  size_t end = 0;
};

// Finds the tokens of one list: at the leftmost place where any begins the longest.
class TokenFinder {
 public:
  // `contents[i]` is looked for as tokens[i]; empty contents never match.
  TokenFinder(std::vector<AddedToken> tokens, const std::vector<std::string>& contents);

  bool empty() const { return tokens_.empty(); }
  // Cuts a text at the tokens in it; the stretches follow one another. Appends to `stretches`.
  void split(std::string_view text, std::vector<Stretch>& stretches) const;

 private:
  // A node of the trie over the contents' bytes. Its children lie next to one another, in the order of their
  // bytes.
  struct Node {
    uint32_t firstChild = 0;
    uint16_t children = 0;
    unsigned char byte = 0;
    // Index of the token that ends here, or -1.
    int32_t token = -1;
  };

  // The end and index of the longest token that begins at `at`; false where none does.
  bool longest(std::string_view text, size_t at, size_t& end, size_t& token) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_;
  // First node for each first byte, or 0.
  std::array<uint32_t, 256> roots_{};
  // The only byte with which a token begins, or -1 where there are several.
  int onlyFirst_ = -1;
};

}  // namespace anneal::text
