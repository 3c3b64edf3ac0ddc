// loops.cc — reads rows of "ndim lanes srcAddress dstAddress elementBytes" followed by ndim times "shape
// srcStride dstStride"; writes of the copy's plan: ndim, elements, whether one run, whether vectors fit, ways
// to reach those of source and destination, loop that transposes, bytes of a widened element. A row "-1
// number divisor" writes the quotient as a kernel computes it.
#include "cuda/host/loops.h"

#include <iostream>

#include "cuda/host/copy_plan.h"

int main() {
  using namespace anneal;
  using namespace anneal::cuda;
  int64_t ndim = 0;
  while (std::cin >> ndim) {
    if (ndim < 0) {
      int64_t number = 0, divisor = 0;
      std::cin >> number >> divisor;
      std::cout << quotient(number, divisorOf(divisor)) << '\n';
      continue;
    }
    int64_t lanes = 0, src = 0, dst = 0, bytes = 0;
    std::cin >> lanes >> src >> dst >> bytes;
    CopyStridedArgs args{};
    args.ndim = ndim;
    for (int64_t d = 0; d < ndim; ++d) std::cin >> args.shape[d] >> args.srcStride[d] >> args.dstStride[d];
    const void* from = reinterpret_cast<const void*>(src);
    const void* to = reinterpret_cast<const void*>(dst);
    Loops<2> loops = copyLoops(args);
    std::cout << loops.ndim << ' ' << loops.count() << ' ' << isOneRun(loops) << ' '
              << splitsInto(loops, lanes) << ' ' << static_cast<int>(accessOf(loops, 0, from, bytes, lanes))
              << ' ' << static_cast<int>(accessOf(loops, 1, to, bytes, lanes)) << ' ' << transposedLoop(loops)
              << ' ';
    std::cout << widen(loops, from, to, bytes) << '\n';
  }
}
