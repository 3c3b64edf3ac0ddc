// cleaner.h — the rules over batches of documents on all threads, and which of them make good examples.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "text/batch.h"
#include "text/clean/document.h"

namespace anneal::text::clean {

// An example with the hash of its document's text as it came, by which examples are chosen: the smallest are
// kept.
struct Example {
  uint64_t hash = 0;
  uint32_t document = 0;
  Excerpt excerpt;
};

struct BatchResult {
  std::vector<DocumentResult> documents;  // without their excerpts
  std::vector<Example> examples;          // by subject, then hash; at most options.examples of each subject
};

// What a batch's work reports while it runs: bytes done. May throw to end it.
using Progress = std::function<void(uint64_t bytes)>;

// The same result for any number of threads.
BatchResult clean(const DocumentRules& rules, const TextBatch& batch, unsigned threads,
                  const Progress& progress);

// Texts that the steps change, by number, in order.
struct RepairedTexts {
  std::vector<uint32_t> indices;
  std::vector<std::string> texts;
};

RepairedTexts repair(const TextBatch& batch, uint32_t steps, unsigned threads, const Progress& progress);

}  // namespace anneal::text::clean
