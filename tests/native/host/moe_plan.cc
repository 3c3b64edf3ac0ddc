// moe_plan.cc — reads rows of "kind a b c": 0 experts, groups and shared limit of the router, writes held
// numbers, bytes of a warp with and without groups, warps; 1 tokens of a sequence and sequences, writes the
// chunk; 2 rows, experts and shared limit of the sort, writes warps, bits, tile, blocks, shared bytes; 3
// units, in flight and most threads of a row, writes the threads.
#include "cuda/host/moe_plan.h"

#include <iostream>

int main() {
  using namespace anneal::cuda;
  int64_t kind = 0, a = 0, b = 0, c = 0;
  while (std::cin >> kind >> a >> b >> c) {
    if (kind == 0) {
      const size_t limited = routerBytes(a, b, true);
      std::cout << heldExperts(a) << ' ' << limited << ' ' << routerBytes(a, b, false) << ' '
                << warpsOf(limited, c) << '\n';
    } else if (kind == 1) {
      std::cout << balanceChunk(a, b) << '\n';
    } else if (kind == 2) {
      const MoeSortPlan plan = planMoeSort(a, b, c);
      std::cout << plan.warps << ' ' << plan.bits << ' ' << plan.tile << ' ' << plan.blocks << ' '
                << plan.shared << '\n';
    } else {
      std::cout << moeLanes(a, b, static_cast<unsigned>(c)) << '\n';
    }
  }
}
