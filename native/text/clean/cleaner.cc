// cleaner.cc — batches.
#include "text/clean/cleaner.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "text/clean/repair.h"
#include "text/parallel.h"

namespace anneal::text::clean {
namespace {

// Documents that a thread takes at a time.
constexpr size_t kGrain = 4;

}  // namespace

BatchResult clean(const DocumentRules& rules, const TextBatch& batch, unsigned threads,
                  const Progress& progress) {
  BatchResult result;
  result.documents.resize(batch.count);
  std::vector<Scratch> scratch(std::max(1U, threads));
  std::mutex reporting;
  uint64_t done = 0;
  parallelFor(batch.count, threads, kGrain, [&](size_t index, unsigned worker) {
    result.documents[index] = rules.check(batch[index], scratch[worker]);
    const std::lock_guard<std::mutex> lock(reporting);
    progress(done += batch[index].size());
  });
  std::vector<std::vector<Example>> bySubject(kSubjectCount);
  for (size_t index = 0; index < batch.count; ++index) {
    std::vector<Excerpt>& excerpts = result.documents[index].excerpts;
    if (excerpts.empty()) continue;
    const uint64_t hash = hashBytes(batch[index].data(), batch[index].size());
    for (Excerpt& excerpt : excerpts) {
      auto& chosen = bySubject[static_cast<size_t>(excerpt.subject)];
      const auto place =
          std::lower_bound(chosen.begin(), chosen.end(), hash,
                           [](const Example& example, uint64_t key) { return example.hash < key; });
      if (place != chosen.end() && place->hash == hash) continue;
      if (chosen.size() >= rules.options().examples && place == chosen.end()) continue;
      chosen.insert(place, Example{hash, static_cast<uint32_t>(index), std::move(excerpt)});
      if (chosen.size() > rules.options().examples) chosen.pop_back();
    }
    excerpts.clear();
    excerpts.shrink_to_fit();
  }
  for (auto& chosen : bySubject) {
    for (Example& example : chosen) result.examples.push_back(std::move(example));
  }
  return result;
}

RepairedTexts repair(const TextBatch& batch, uint32_t steps, unsigned threads, const Progress& progress) {
  std::vector<std::string> texts(batch.count);
  std::vector<uint8_t> changed(batch.count);
  std::mutex reporting;
  uint64_t done = 0;
  parallelFor(batch.count, threads, kGrain, [&](size_t index, unsigned) {
    changed[index] = repair(batch[index], steps, texts[index]) ? 1 : 0;
    const std::lock_guard<std::mutex> lock(reporting);
    progress(done += batch[index].size());
  });
  RepairedTexts repaired;
  for (size_t index = 0; index < batch.count; ++index) {
    if (changed[index] == 0) continue;
    repaired.indices.push_back(static_cast<uint32_t>(index));
    repaired.texts.push_back(std::move(texts[index]));
  }
  return repaired;
}

}  // namespace anneal::text::clean
