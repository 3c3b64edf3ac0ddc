// axis_plans.cc — reads rows of "kind a b c d", writes one plan each: 0 rows "outer n vec", 1 columns "outer
// n inner vec", 2 lines "lines n", 3 softmax "accesses held accessBytes computeCapability" (shared memory of
// 232448 bytes), 4 sort "n keys", 5 sample "vocab", 6 scatter "outer n m inner".
#include <iostream>

#include "cuda/host/rows.h"
#include "cuda/host/sample.h"
#include "cuda/host/scatter.h"
#include "cuda/host/softmax.h"
#include "cuda/host/sort.h"

int main() {
  using namespace anneal::cuda;
  int64_t kind = 0, a = 0, b = 0, c = 0, d = 0;
  while (std::cin >> kind >> a >> b >> c >> d) {
    if (kind == 0) {
      const RowPlan plan = planRows(a, b, c);
      std::cout << plan.lanes << ' ' << plan.rows << ' ' << plan.splits << ' ' << plan.chunk << '\n';
    } else if (kind == 1) {
      const ColumnPlan plan = planColumns(a, b, c, d);
      std::cout << plan.across << ' ' << plan.along << ' ' << plan.tiles << ' ' << plan.splits << ' '
                << plan.chunk << '\n';
    } else if (kind == 2) {
      const LinePlan plan = planLines(a, b);
      std::cout << plan.splits << ' ' << plan.chunk << '\n';
    } else if (kind == 3) {
      const SoftmaxPlan plan = planSoftmax(a, b, c, 232448, d);
      std::cout << plan.lanes << ' ' << plan.threads << ' ' << plan.registers << ' ' << plan.cluster << ' '
                << plan.part << ' ' << plan.kept << '\n';
    } else if (kind == 4) {
      const SortPlan plan = planSort(a, b);
      std::cout << plan.passes << ' ' << plan.digitBits << ' ' << plan.tile << ' ' << plan.blocks << '\n';
    } else if (kind == 5) {
      std::cout << sampleThreads(a) << ' ' << sampleShared(sampleThreads(a), true) << '\n';
    } else {
      std::cout << scatterSorts(a, b, c, d) << '\n';
    }
  }
}
