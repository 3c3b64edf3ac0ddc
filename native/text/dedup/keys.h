// keys.h — keys of a batch of documents, written as records: one for each bucket of a MinHash signature, or
// one for the whole text.
#pragma once

#include <functional>

#include "text/batch.h"
#include "text/dedup/minhash.h"

namespace anneal::text::dedup {

// Lanes of equally many records. `stride` is in bytes; `used` records of each lane are taken.
struct RecordTable {
  char* bytes = nullptr;
  uint64_t stride = 0;
  uint64_t used = 0;
};

// Appends 16-byte records (96-bit keys) for the documents of the batch that have a shingle; gives their
// number. Document i has the number `first + i`. `signatures`, if not null, receives the low halves of all
// values for every document (zeros for one without shingles): settings.functions() words each. `tick` is
// called between documents by any thread and may throw.
uint64_t addMinHashKeys(const TextBatch& batch, const MinHashSettings& settings, uint32_t first,
                        unsigned threads, RecordTable table, uint32_t* signatures,
                        const std::function<void()>& tick);

// What of a text decides whether two are equal.
enum class Sameness {
  kBytes,      // every byte
  kCanonical,  // NFC; runs of white space are one space, none at the ends
  kFolded,     // the words that MinHash sees
};

// Appends a 20-byte record (128-bit key) for every document.
void addExactKeys(const TextBatch& batch, Sameness sameness, uint32_t first, unsigned threads,
                  RecordTable table, const std::function<void()>& tick);

}  // namespace anneal::text::dedup
