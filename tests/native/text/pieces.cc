// pieces.cc — encodes pieces with a small byte-pair model. Reads rows of a number and its arguments, writes a
// row each:
//   0 dropout in thousandths, seed, rounds → ids of "abab" in each round
//   1 bytes of the cache, distinct pieces, rounds → 1 where all ids are those without a cache, else 0
#include <iostream>

#include "text/model/bpe.h"

using namespace anneal::text;

namespace {

std::unique_ptr<Model> model(double dropout, uint64_t seed) {
  BpeSettings settings;
  settings.vocab = {{"a", 0}, {"b", 1}, {"ab", 2}, {"abab", 3}};
  settings.merges = {{"a", "b"}, {"ab", "ab"}};
  settings.dropout = dropout;
  settings.seed = seed;
  return makeBpe(settings);
}

// A piece of its own for each number.
std::string piece(uint64_t number) {
  std::string text;
  for (; number > 0 || text.empty(); number /= 2) text += number % 2 == 0 ? 'a' : 'b';
  return text;
}

bool cacheTellsTheTruth(size_t bytes, uint64_t distinct, uint64_t rounds) {
  const auto plain = model(0, 0);
  const auto with = plain->scratch(true, bytes);
  const auto without = plain->scratch(true, 0);
  for (uint64_t i = 0; i < rounds; ++i) {
    const std::string text = piece(i * i % distinct);
    std::vector<uint32_t> ids;
    std::vector<uint32_t> expected;
    with->lengths.clear();
    without->lengths.clear();
    plain->encode(text, ids, *with);
    plain->encode(text, expected, *without);
    if (ids != expected || with->lengths != without->lengths) return false;
  }
  return true;
}

}  // namespace

int main() {
  uint64_t what = 0;
  uint64_t a = 0;
  uint64_t b = 0;
  uint64_t c = 0;
  while (std::cin >> what >> a >> b >> c) {
    if (what == 1) {
      std::cout << cacheTellsTheTruth(a, b, c) << '\n';
      continue;
    }
    const auto dropping = model(static_cast<double>(a) / 1000, b);
    const auto scratch = dropping->scratch();
    for (uint64_t round = 0; round < c; ++round) {
      std::vector<uint32_t> ids;
      dropping->encode("abab", ids, *scratch);
      // Rounds are told apart by the number 9.
      for (const uint32_t id : ids) std::cout << id << ' ';
      std::cout << "9 ";
    }
    std::cout << '\n';
  }
}
