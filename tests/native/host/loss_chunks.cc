// loss_chunks.cc — reads rows of "rows vocab keptBytes requested sharedBytes", writes "chunkRows stride
// threads kept".
#include "cuda/host/loss_chunks.h"

#include <iostream>

int main() {
  using namespace anneal::cuda;
  int64_t rows = 0, vocab = 0, keptBytes = 0, requested = 0, sharedBytes = 0;
  while (std::cin >> rows >> vocab >> keptBytes >> requested >> sharedBytes) {
    const LogitBlock block = logitBlock(vocab, sharedBytes);
    std::cout << lossChunkRows(rows, vocab, keptBytes, requested) << ' ' << logitStride(vocab) << ' '
              << block.threads << ' ' << block.kept << '\n';
  }
}
