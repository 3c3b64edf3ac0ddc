// norm_plan.cc — reads rows of "rows width lanes kept mostThreads processors", writes "group threads groups
// columns blocks".
#include "cuda/host/norm_plan.h"

#include <iostream>

int main() {
  using namespace anneal::cuda;
  int64_t rows = 0, width = 0, processors = 0;
  int lanes = 0, kept = 0;
  unsigned most = 0;
  while (std::cin >> rows >> width >> lanes >> kept >> most >> processors) {
    const NormPlan plan = normPlan(width, lanes, kept, most);
    std::cout << plan.group << ' ' << plan.threads << ' ' << plan.groups << ' ' << normKept(plan, lanes, kept)
              << ' ' << normBackwardBlocks(plan, rows, processors) << '\n';
  }
}
