// Winnowing: anchors of documents.
#include <algorithm>

#include "text/dedup/repeats.h"
#include "text/parallel.h"

namespace anneal::text::dedup {
namespace {

constexpr uint64_t kBase = 0x9E3779B97F4A7C15;

// Spreads a polynomial hash, whose low bits depend on few characters.
uint64_t spread(uint64_t hash) {
  hash = (hash ^ (hash >> 32)) * kPrime2;
  hash = (hash ^ (hash >> 29)) * kPrime3;
  return hash ^ (hash >> 32);
}

Anchor anchorAt(uint64_t hash, uint64_t place) {
  return {
      {static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(hash), static_cast<uint32_t>(place >> 32)},
      static_cast<uint32_t>(place)};
}

// The least hash of every window of grains becomes an anchor once. Of equal ones the anchor under way stays
// as long as it is inside, so that long repetitions of one character do not make every byte an anchor.
void winnowDocument(std::string_view text, uint32_t length, uint64_t start, std::vector<Anchor>& out) {
  if (text.size() < length) return;
  const size_t grain = grainOf(length);
  const size_t window = length - grain + 1;
  const auto byte = [&](size_t at) { return uint64_t{static_cast<unsigned char>(text[at])} + 1; };
  uint64_t leaving = 1;
  for (size_t i = 0; i < grain; ++i) leaving *= kBase;
  uint64_t rolling = 0;
  for (size_t i = 0; i < grain; ++i) rolling = rolling * kBase + byte(i);
  // Hashes of the last `window` grains, in a ring.
  std::vector<uint64_t> ring(window);
  size_t least = 0;
  uint64_t leastHash = ~uint64_t{0};
  const size_t grains = text.size() - grain + 1;
  for (size_t i = 0; i < grains; ++i) {
    if (i > 0) rolling = rolling * kBase + byte(i + grain - 1) - leaving * byte(i - 1);
    const uint64_t hash = spread(rolling);
    ring[i % window] = hash;
    bool fresh = false;
    if (hash < leastHash || i == 0) {
      least = i;
      leastHash = hash;
      fresh = true;
    } else if (i - least >= window) {
      // The anchor has left: of the grains at hand the last one with the least hash stays longest.
      leastHash = ~uint64_t{0};
      for (size_t j = i + 1 - window; j <= i; ++j) {
        if (ring[j % window] <= leastHash) {
          leastHash = ring[j % window];
          least = j;
        }
      }
      fresh = true;
    }
    if (i + 1 < window) continue;
    if (fresh || i + 1 == window) out.push_back(anchorAt(leastHash, start + least));
  }
}

}  // namespace

// A third of the window: anchors are then about a third of the window apart, and grains still long enough to
// be rare.
uint32_t grainOf(uint32_t length) { return std::max<uint32_t>(1, length / 3); }

std::vector<Anchor> winnow(const TextBatch& batch, uint32_t length, uint64_t start, unsigned threads,
                           const std::function<void()>& tick) {
  std::vector<std::vector<Anchor>> found(batch.count);
  parallelFor(batch.count, threads, 1, [&](size_t i, unsigned) {
    tick();
    winnowDocument(batch[i], length, start + (i == 0 ? 0 : batch.ends[i - 1]), found[i]);
  });
  std::vector<Anchor> all;
  size_t count = 0;
  for (const auto& anchors : found) count += anchors.size();
  all.reserve(count);
  for (auto& anchors : found) {
    all.insert(all.end(), anchors.begin(), anchors.end());
    anchors = {};
  }
  return all;
}

}  // namespace anneal::text::dedup
