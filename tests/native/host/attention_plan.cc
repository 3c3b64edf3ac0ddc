// attention_plan.cc — reads rows of a function's number and its arguments, writes its result: 0 headTile, 1
// attentionSlots and the slots of segments with the boundaries that follow, 2 attentionBand, 3 keySplits, 4
// planDecode (rows, keys, stages, bytes), 5 sharedPassHeads, 6 attentionPitch.
#include "cuda/host/attention_plan.h"

#include <iostream>

int main() {
  using namespace anneal::cuda;
  int64_t what = 0;
  const auto next = [] {
    int64_t number = 0;
    std::cin >> number;
    return number;
  };
  while (std::cin >> what) {
    int64_t a[8] = {};
    const int counts[] = {2, 4, 8, 3, 5, 3, 1};
    for (int i = 0; i < counts[what]; ++i) a[i] = next();
    switch (what) {
      case 0:
        std::cout << static_cast<int>(headTile(a[0], a[1]));
        break;
      case 1:
        std::cout << attentionSlots(a[0], a[1], a[2], a[3]);
        for (int64_t i = 0; i <= a[1] + 1; ++i) std::cout << ' ' << firstSlot(next(), i, a[2], a[3]);
        break;
      case 2:
        std::cout << attentionBand(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
        break;
      case 3:
        std::cout << keySplits(a[0], a[1], a[2]);
        break;
      case 4: {
        const DecodePlan plan = planDecode(a[0], a[1], a[2] != 0, a[3], a[4]);
        std::cout << plan.rows << ' ' << plan.keys << ' ' << plan.stages << ' ' << plan.sharedBytes;
        break;
      }
      case 5:
        std::cout << sharedPassHeads(a[0], a[1], a[2]);
        break;
      default:
        std::cout << attentionPitch(a[0]);
    }
    std::cout << '\n';
  }
}
