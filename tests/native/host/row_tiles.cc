// row_tiles.cc — reads rows of "rows items threads", writes "across down columnBlocks blocks".
#include "cuda/host/row_tiles.h"

#include <iostream>

int main() {
  using namespace anneal::cuda;
  int64_t rows = 0, items = 0;
  unsigned threads = 0;
  while (std::cin >> rows >> items >> threads) {
    const RowTiles tiles = rowTiles(rows, items, threads);
    std::cout << (1u << tiles.acrossLog) << ' ' << tiles.down << ' ' << tiles.columnBlocks << ' '
              << tiles.blocks << '\n';
  }
}
