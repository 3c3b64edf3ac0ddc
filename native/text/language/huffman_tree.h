// huffman_tree.h — the tree over the labels of a model with hierarchical softmax, built from their counts as
// fastText builds it: nodes 0 … leaves-1 are the labels, the rest are inner nodes, the last is the root.
#pragma once

#include <cstdint>
#include <vector>

namespace anneal::text {

struct HuffmanTree {
  // Children of inner node leaves + i.
  std::vector<int32_t> left;
  std::vector<int32_t> right;
  int32_t leaves = 0;

  int32_t root() const { return 2 * leaves - 2; }

  // `counts` never increase. False when they are out of order, negative or too large to be counts.
  bool build(const std::vector<int64_t>& counts);
};

}  // namespace anneal::text
