// batch.cc — many texts on many threads. Work is shared out in units of some ten kilobytes: several short
// texts, one text, or, where the tokenizer has places at which every text is cut anyway, a part of a long
// one.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

#include "text/error.h"
#include "text/parallel.h"
#include "text/tokenizer/tokenizer.h"

namespace anneal::text {
namespace {

// Large enough that handing out units costs nothing, small enough that a million characters keep all cores
// busy.
constexpr size_t kUnitBytes = size_t{48} << 10;

}  // namespace

struct Tokenizer::Unit {
  // Texts [first, last); a part of a text has one, of which it is bytes [begin, end).
  size_t first = 0;
  size_t last = 0;
  size_t begin = 0;
  size_t end = 0;
  // Where the part's ids begin among its text's.
  size_t before = 0;
  bool part = false;
  std::vector<uint32_t> ids;
  // Ids after each text.
  std::vector<size_t> ends;
};

std::vector<Tokenizer::Unit> Tokenizer::unitsOf(const TextBatch& batch) const {
  std::vector<Unit> units;
  size_t text = 0;
  while (text < batch.count) {
    Unit unit;
    unit.first = text;
    const std::string_view first = batch[text];
    if (first.size() >= 2 * kUnitBytes && cuttable()) {
      for (size_t begin = 0; begin < first.size();) {
        size_t end = first.size();
        if (end - begin >= 2 * kUnitBytes) end = parts_.cuts.next(first, begin + kUnitBytes);
        Unit part;
        part.first = text;
        part.last = text + 1;
        part.begin = begin;
        part.end = end;
        part.part = true;
        units.push_back(std::move(part));
        begin = end;
      }
      ++text;
      continue;
    }
    size_t bytes = 0;
    while (text < batch.count && bytes < kUnitBytes) {
      const size_t size = batch[text].size();
      if (bytes > 0 && size >= 2 * kUnitBytes) break;
      bytes += size;
      ++text;
    }
    unit.last = text;
    units.push_back(std::move(unit));
  }
  return units;
}

EncodedBatch Tokenizer::encodeBatch(const TextBatch& batch, const BatchOptions& options) const {
  std::vector<Unit> units = unitsOf(batch);
  std::vector<WorkerPointer> workers(options.threads == 0 ? 1 : options.threads);
  std::atomic<size_t> done{0};
  parallelFor(units.size(), static_cast<unsigned>(workers.size()), 1, [&](size_t index, unsigned number) {
    Unit& unit = units[index];
    if (workers[number] == nullptr) workers[number] = take(false);
    Worker& worker = *workers[number];
    size_t bytes = 0;
    worker.ids.clear();
    for (size_t text = unit.first; text < unit.last; ++text) {
      std::string_view whole = batch[text];
      if (unit.part) whole = whole.substr(unit.begin, unit.end - unit.begin);
      try {
        encodeText(whole, unit.part && unit.begin > 0, worker.ids, worker);
      } catch (const TextError& error) {
        auto details = error.details;
        details.emplace_back("text", static_cast<double>(text));
        throw TextError(error.code, error.what(), std::move(details));
      }
      unit.ends.push_back(worker.ids.size());
      bytes += whole.size();
    }
    unit.ids.assign(worker.ids.begin(), worker.ids.end());
    const size_t now = done.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    if (options.progress) options.progress(now);
  });
  for (WorkerPointer& worker : workers) {
    if (worker != nullptr) giveBack(std::move(worker), false);
  }

  // Where each text's ids go, with what the post-processor puts around them.
  const std::vector<uint32_t>& frame = options.addSpecialTokens ? specialFrame_ : frame_;
  size_t copies = 0;
  for (const uint32_t id : frame) copies += id == kNoToken ? 1 : 0;
  EncodedBatch out;
  std::vector<uint32_t> counts(batch.count, 0);
  for (Unit& unit : units) {
    size_t from = 0;
    for (size_t text = unit.first; text < unit.last; ++text) {
      const size_t to = unit.ends[text - unit.first];
      if (unit.part) unit.before = counts[text];
      counts[text] += static_cast<uint32_t>(to - from);
      from = to;
    }
  }
  out.ends.resize(batch.count);
  size_t total = 0;
  for (size_t text = 0; text < batch.count; ++text) {
    total += counts[text] * copies + (frame.size() - copies);
    if (total > std::numeric_limits<uint32_t>::max()) {
      throw TextError("ERR_TOKENIZER", "A batch of texts has 2^32 tokens or more. Use smaller batches.");
    }
    out.ends[text] = static_cast<uint32_t>(total);
  }
  out.ids.reset(static_cast<uint32_t*>(std::malloc((total == 0 ? 1 : total) * sizeof(uint32_t))));
  if (out.ids == nullptr) throw std::bad_alloc();
  parallelFor(units.size(), options.threads, 8, [&](size_t index, unsigned) {
    Unit& unit = units[index];
    size_t from = 0;
    for (size_t text = unit.first; text < unit.last; ++text) {
      const size_t to = unit.ends[text - unit.first];
      uint32_t* target = out.ids.get() + (text == 0 ? 0 : out.ends[text - 1]);
      for (const uint32_t id : frame) {
        if (id != kNoToken) {
          // Of a text in parts the first one writes what stands around it.
          if (unit.begin == 0) *target = id;
          ++target;
        } else {
          if (to > from)
            std::memcpy(target + unit.before, unit.ids.data() + from, (to - from) * sizeof(uint32_t));
          target += counts[text];
        }
      }
      from = to;
    }
    unit.ids = {};
  });
  return out;
}

}  // namespace anneal::text
