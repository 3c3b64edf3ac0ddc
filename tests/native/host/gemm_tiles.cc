// gemm_tiles.cc — reads rows of "0 bf16 m n k batch processors scratchBytes largest" and writes "tile tilesM
// tilesN splits splitDepth scratchBytes"; "1 rows n experts processors largest tileRows" gives "tile
// mostTiles"; "2 tilesM tilesN" gives the rows and columns of all positions in order.
#include "cuda/host/gemm_tiles.h"

#include <iostream>

int main() {
  using namespace anneal::cuda;
  int what = 0;
  while (std::cin >> what) {
    if (what == 0) {
      int64_t bf16 = 0, m = 0, n = 0, k = 0, batch = 0, processors = 0, scratch = 0, largest = 0;
      std::cin >> bf16 >> m >> n >> k >> batch >> processors >> scratch >> largest;
      const GemmPlan plan = planGemm(bf16 != 0, m, n, k, batch, processors, static_cast<size_t>(scratch),
                                     static_cast<GemmTile>(largest));
      std::cout << static_cast<int>(plan.tile) << ' ' << plan.tilesM << ' ' << plan.tilesN << ' '
                << plan.splits << ' ' << plan.splitDepth << ' ' << planScratchBytes(plan, m, n, batch)
                << '\n';
    } else if (what == 1) {
      int64_t rows = 0, n = 0, experts = 0, processors = 0, largest = 0, tileRows = 0;
      std::cin >> rows >> n >> experts >> processors >> largest >> tileRows;
      const GemmTile tile = groupedTile(rows, n, experts, processors, static_cast<GemmTile>(largest));
      std::cout << static_cast<int>(tile) << ' ' << groupedTiles(rows, experts, tileRows) << '\n';
    } else {
      int64_t tilesM = 0, tilesN = 0;
      std::cin >> tilesM >> tilesN;
      for (int64_t i = 0; i < tilesM * tilesN; ++i) {
        const TilePosition at = tilePosition(i, tilesM, tilesN);
        std::cout << at.row << ' ' << at.column << ' ';
      }
      std::cout << '\n';
    }
  }
}
