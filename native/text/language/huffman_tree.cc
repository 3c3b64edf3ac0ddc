#include "text/language/huffman_tree.h"

#include <cstddef>

namespace anneal::text {
namespace {

// The count of nodes that are still to be made.
constexpr int64_t kUnmade = 1'000'000'000'000'000;

}  // namespace

bool HuffmanTree::build(const std::vector<int64_t>& counts) {
  leaves = static_cast<int32_t>(counts.size());
  int64_t sum = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] < 0 || counts[i] >= kUnmade || (i > 0 && counts[i] > counts[i - 1])) return false;
    sum += counts[i];
    if (sum >= kUnmade) return false;
  }
  const size_t inner = counts.size() - 1;
  left.resize(inner);
  right.resize(inner);
  std::vector<int64_t> total(inner, kUnmade);
  // The least common labels come from the end, inner nodes in the order of their making; ties take the inner
  // node.
  int32_t leaf = leaves - 1;
  size_t node = 0;
  int64_t taken = 0;
  const auto next = [&] {
    if (leaf >= 0 && (node >= inner || counts[leaf] < total[node])) {
      taken += counts[leaf];
      return leaf--;
    }
    taken += total[node];
    return leaves + static_cast<int32_t>(node++);
  };
  for (size_t i = 0; i < inner; ++i) {
    taken = 0;
    left[i] = next();
    right[i] = next();
    total[i] = taken;
  }
  return true;
}

}  // namespace anneal::text
