#include "text/tokenizer/added_tokens.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "text/regex/code_set.h"
#include "text/unicode/properties.h"
#include "text/unicode/utf8.h"

namespace anneal::text {
namespace {

// \w as Rust's regular expressions have it, which count joiners.
bool isWordCharacter(char32_t code) { return rustWordSet().contains(code); }

bool endsWithWord(std::string_view text) {
  if (text.empty()) return false;
  const char* at = text.data() + text.size();
  return isWordCharacter(decodeBackward(text.data(), at));
}

bool beginsWithWord(std::string_view text) {
  if (text.empty()) return false;
  const char* at = text.data();
  return isWordCharacter(decode(at));
}

// Bytes of white space at the end and at the beginning.
size_t spaceBefore(std::string_view text) {
  const char* begin = text.data();
  const char* at = begin + text.size();
  while (at > begin) {
    const char* before = at;
    if (!isWhitespace(decodeBackward(begin, before))) break;
    at = before;
  }
  return text.size() - static_cast<size_t>(at - begin);
}

size_t spaceAfter(std::string_view text) {
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    const char* next = at;
    if (!isWhitespace(decode(next))) break;
    at = next;
  }
  return static_cast<size_t>(at - text.data());
}

}  // namespace

TokenFinder::TokenFinder(std::vector<AddedToken> tokens, const std::vector<std::string>& contents)
    : tokens_(std::move(tokens)) {
  // In the order of their bytes, tokens with a common beginning are neighbours: a level of the trie after the
  // other.
  struct Span {
    size_t begin;
    size_t end;
    size_t depth;
    uint32_t node;
  };
  std::vector<size_t> order;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (!contents[i].empty()) order.push_back(i);
  }
  // Where two tokens have the same content (after normalizing) the first counts.
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return contents[a] < contents[b]; });
  nodes_.emplace_back();
  std::vector<Span> open{{0, order.size(), 0, 0}};
  for (size_t next = 0; next < open.size(); ++next) {
    const Span span = open[next];
    size_t i = span.begin;
    for (; i < span.end && contents[order[i]].size() == span.depth; ++i) {
      if (nodes_[span.node].token < 0) nodes_[span.node].token = static_cast<int32_t>(order[i]);
    }
    nodes_[span.node].firstChild = static_cast<uint32_t>(nodes_.size());
    while (i < span.end) {
      const auto byte = static_cast<unsigned char>(contents[order[i]][span.depth]);
      size_t end = i;
      while (end < span.end && static_cast<unsigned char>(contents[order[end]][span.depth]) == byte) ++end;
      open.push_back({i, end, span.depth + 1, static_cast<uint32_t>(nodes_.size())});
      nodes_.emplace_back();
      nodes_.back().byte = byte;
      ++nodes_[span.node].children;
      i = end;
    }
  }
  for (uint32_t child = 0; child < nodes_[0].children; ++child) {
    const uint32_t node = nodes_[0].firstChild + child;
    roots_[nodes_[node].byte] = node;
    onlyFirst_ = nodes_[0].children == 1 ? nodes_[node].byte : -1;
  }
  if (order.empty()) tokens_.clear();
}

bool TokenFinder::longest(std::string_view text, size_t at, size_t& end, size_t& token) const {
  uint32_t node = roots_[static_cast<unsigned char>(text[at])];
  bool found = false;
  for (size_t next = at + 1; node != 0; ++next) {
    if (nodes_[node].token >= 0) {
      found = true;
      end = next;
      token = static_cast<size_t>(nodes_[node].token);
    }
    if (next == text.size()) break;
    const auto byte = static_cast<unsigned char>(text[next]);
    const Node* first = nodes_.data() + nodes_[node].firstChild;
    const Node* last = first + nodes_[node].children;
    const Node* child =
        std::lower_bound(first, last, byte, [](const Node& a, unsigned char b) { return a.byte < b; });
    node = child != last && child->byte == byte ? static_cast<uint32_t>(child - nodes_.data()) : 0;
  }
  return found;
}

void TokenFinder::split(std::string_view text, std::vector<Stretch>& stretches) const {
  // Where the text after the last token begins.
  size_t done = 0;
  size_t at = tokens_.empty() ? text.size() : 0;
  while (at < text.size()) {
    if (onlyFirst_ >= 0) {
      const void* found = std::memchr(text.data() + at, onlyFirst_, text.size() - at);
      if (found == nullptr) break;
      at = static_cast<size_t>(static_cast<const char*>(found) - text.data());
    } else {
      while (at < text.size() && roots_[static_cast<unsigned char>(text[at])] == 0) ++at;
      if (at == text.size()) break;
    }
    size_t end = 0;
    size_t index = 0;
    if (!longest(text, at, end, index)) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[index];
    size_t begin = at;
    at = end;
    if (token.singleWord && (endsWithWord(text.substr(0, begin)) || beginsWithWord(text.substr(end))))
      continue;
    if (token.leftStrip) begin = std::max(begin - spaceBefore(text.substr(0, begin)), done);
    if (token.rightStrip) end += spaceAfter(text.substr(end));
    // The token before it took all of it along.
    if (begin >= end) continue;
    if (done < begin) stretches.push_back({kNoToken, done, begin});
    stretches.push_back({token.id, begin, end});
    done = end;
  }
  if (done < text.size()) stretches.push_back({kNoToken, done, text.size()});
}

}  // namespace anneal::text
