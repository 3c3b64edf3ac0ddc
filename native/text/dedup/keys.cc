#include "text/dedup/keys.h"

#include <algorithm>
#include <memory>

#include "text/dedup/records.h"
#include "text/normalize/normalizer.h"
#include "text/parallel.h"
#include "text/unicode/properties.h"
#include "text/unicode/utf8.h"

namespace anneal::text::dedup {
namespace {

// Another seed gives bits that have nothing to do with those of seed 0.
constexpr uint64_t kSecondSeed = 0x9E3779B97F4A7C15;

std::string_view bytesOf(const uint64_t* values, size_t count) {
  return {reinterpret_cast<const char*>(values), count * sizeof *values};
}

// NFC with single spaces.
void makeCanonical(std::string& text, const Normalizer& nfc) {
  if (!nfc.leaves(text)) nfc.apply(text, nullptr);
  size_t size = 0;
  bool space = false;
  for (const char* at = text.data(); at < text.data() + text.size();) {
    const char* after = at;
    if (isWhitespace(decode(after))) {
      space = size > 0;
    } else {
      if (space) text[size++] = ' ';
      space = false;
      // What is written never overtakes what is read: the space stands for at least one byte.
      while (at < after) text[size++] = *at++;
    }
    at = after;
  }
  text.resize(size);
}

}  // namespace

uint64_t addMinHashKeys(const TextBatch& batch, const MinHashSettings& settings, uint32_t first,
                        unsigned threads, RecordTable table, uint32_t* signatures,
                        const std::function<void()>& tick) {
  using Item = Record<3>;
  const auto lane = [&](size_t bucket) {
    return reinterpret_cast<Item*>(table.bytes + bucket * table.stride) + table.used;
  };
  const size_t functions = settings.functions();
  std::vector<std::unique_ptr<Signer>> signers(std::max(1U, threads));
  std::vector<char> signedOnes(batch.count, 0);
  parallelFor(batch.count, threads, 1, [&](size_t i, unsigned worker) {
    tick();
    if (signers[worker] == nullptr) signers[worker] = std::make_unique<Signer>(settings);
    const uint64_t* values = signers[worker]->sign(batch[i]);
    if (signatures != nullptr) {
      for (size_t j = 0; j < functions; ++j) {
        signatures[i * functions + j] = values == nullptr ? 0 : static_cast<uint32_t>(values[j]);
      }
    }
    if (values == nullptr) return;
    signedOnes[i] = 1;
    for (size_t bucket = 0; bucket < settings.buckets; ++bucket) {
      const std::string_view row = bytesOf(values + bucket * settings.rows, settings.rows);
      const uint64_t high = xxhash64(row);
      const uint64_t low = xxhash64(row, kSecondSeed);
      lane(bucket)[i] = {
          {static_cast<uint32_t>(high >> 32), static_cast<uint32_t>(high), static_cast<uint32_t>(low >> 32)},
          static_cast<uint32_t>(first + i)};
    }
  });
  // Places of documents without shingles are closed.
  uint64_t count = 0;
  for (size_t bucket = 0; bucket < settings.buckets; ++bucket) {
    Item* const records = lane(bucket);
    count = 0;
    for (size_t i = 0; i < batch.count; ++i) {
      if (signedOnes[i] != 0) records[count++] = records[i];
    }
  }
  return count;
}

void addExactKeys(const TextBatch& batch, Sameness sameness, uint32_t first, unsigned threads,
                  RecordTable table, const std::function<void()>& tick) {
  auto* const records = reinterpret_cast<Record<4>*>(table.bytes) + table.used;
  const NormalizerPointer nfc = makeUnicodeNormalizer(NormalForm::kNfc);
  struct Scratch {
    std::string text;
    FoldedText folded;
  };
  std::vector<Scratch> scratches(std::max(1U, threads));
  parallelFor(batch.count, threads, 1, [&](size_t i, unsigned worker) {
    tick();
    Scratch& scratch = scratches[worker];
    std::string_view text = batch[i];
    if (sameness == Sameness::kCanonical) {
      scratch.text.assign(text);
      makeCanonical(scratch.text, *nfc);
      text = scratch.text;
    } else if (sameness == Sameness::kFolded) {
      fold(text, Words::kScripts, false, scratch.folded);
      text = scratch.folded.text;
    }
    const uint64_t high = xxhash64(text);
    const uint64_t low = xxhash64(text, kSecondSeed);
    records[i] = {{static_cast<uint32_t>(high >> 32), static_cast<uint32_t>(high),
                   static_cast<uint32_t>(low >> 32), static_cast<uint32_t>(low)},
                  static_cast<uint32_t>(first + i)};
  });
}

}  // namespace anneal::text::dedup
