#include "text/dedup/repeats.h"

#include <algorithm>
#include <cstring>

#include "text/dedup/suffix_array.h"
#include "text/parallel.h"

namespace anneal::text::dedup {
namespace {

// In no UTF-8 text; stands between stretches that are not neighbours.
constexpr char kSeparator = '\xFF';
// Bytes of memory for each byte of text under a suffix array: text, array, sort and marks, rounded up.
constexpr size_t kBytesPerByte = 7;
constexpr size_t kLargestPart = size_t{1} << 30;
constexpr size_t kPartText = size_t{4} << 20;
constexpr size_t kSpansAtOnce = size_t{1} << 20;

// Reads the corpus; one for each thread.
class CorpusReader {
 public:
  explicit CorpusReader(const std::vector<CorpusPiece>& pieces) : pieces_(pieces) {}

  void append(uint64_t begin, uint64_t end, std::string& out) {
    while (begin < end) {
      const auto found =
          std::upper_bound(pieces_.begin(), pieces_.end(), begin,
                           [](uint64_t at, const CorpusPiece& piece) { return at < piece.start; });
      const CorpusPiece& piece = found[-1];
      const uint64_t stop = std::min(end, piece.start + piece.length);
      const uint64_t at = begin - piece.start;
      if (piece.path.empty()) {
        out.append(piece.memory + at, stop - begin);
      } else {
        read(piece, at, stop - begin, out);
      }
      begin = stop;
    }
  }

 private:
  void read(const CorpusPiece& piece, uint64_t at, uint64_t count, std::string& out) {
    if (open_ != &piece) {
      file_ = std::ifstream(piece.path, std::ios::binary);
      open_ = &piece;
    }
    const size_t before = out.size();
    out.resize(before + count);
    file_.seekg(static_cast<std::streamoff>(at));
    file_.read(out.data() + before, static_cast<std::streamsize>(count));
    if (!file_) {
      throw TextError("ERR_FORMAT",
                      piece.path + " is missing or too short. Remove the work folder and start again.",
                      {{"path", piece.path}});
    }
  }

  const std::vector<CorpusPiece>& pieces_;
  const CorpusPiece* open_ = nullptr;
  std::ifstream file_;
};

// Stretches of text around anchors, in the order of the corpus, a separator behind each.
class Part {
 public:
  Part(std::vector<uint64_t>& anchors, CorpusReader& reader, const double* documentEnds, size_t documents,
       uint32_t length)
      : length_(length) {
    std::sort(anchors.begin(), anchors.end());
    const uint64_t before = length - grainOf(length);
    size_t document = 0;
    for (const uint64_t anchor : anchors) {
      document = static_cast<size_t>(
          std::upper_bound(documentEnds + document, documentEnds + documents, static_cast<double>(anchor)) -
          documentEnds);
      const uint64_t first = document == 0 ? 0 : static_cast<uint64_t>(documentEnds[document - 1]);
      const uint64_t begin = anchor - std::min(before, anchor - first);
      const uint64_t end = std::min(anchor + length, static_cast<uint64_t>(documentEnds[document]));
      if (!stretches_.empty() && begin <= stretches_.back().end && begin >= first &&
          stretches_.back().begin >= first) {
        stretches_.back().end = std::max(stretches_.back().end, end);
      } else {
        stretches_.push_back({begin, end});
      }
    }
    size_t total = 0;
    for (const Span& stretch : stretches_) total += stretch.end - stretch.begin + 1;
    text_.reserve(total);
    for (const Span& stretch : stretches_) {
      reader.append(stretch.begin, stretch.end, text_);
      text_.push_back(kSeparator);
    }
  }

  size_t size() const { return text_.size(); }

  // Of anchors (in order), those with a window around them that is no repeat. To be asked after find().
  std::vector<uint64_t> fresh(const std::vector<uint64_t>& anchors) const {
    std::vector<uint64_t> out;
    const uint64_t before = length_ - grainOf(length_);
    size_t stretch = 0;
    size_t offset = 0;
    for (const uint64_t anchor : anchors) {
      while (stretches_[stretch].end <= anchor) {
        offset += stretches_[stretch].end - stretches_[stretch].begin + 1;
        ++stretch;
      }
      const Span& own = stretches_[stretch];
      const uint64_t begin = std::max(own.begin, anchor - std::min(anchor, before));
      for (uint64_t at = begin; at <= anchor; ++at) {
        const size_t i = offset + (at - own.begin);
        if (whole_[i] && !repeats_[i]) {
          out.push_back(anchor);
          break;
        }
      }
    }
    return out;
  }

  // Adds the spans of windows that equal an earlier one.
  void find(std::vector<Span>& spans) {
    const auto size = static_cast<int32_t>(text_.size());
    const std::vector<int32_t> order = suffixArray(reinterpret_cast<const uint8_t*>(text_.data()), size);
    std::vector<bool>& whole = whole_;
    whole.assign(text_.size(), false);
    size_t at = 0;
    for (const Span& stretch : stretches_) {
      const size_t count = stretch.end - stretch.begin;
      for (size_t i = 0; i + length_ <= count; ++i) whole[at + i] = true;
      at += count + 1;
    }
    // Suffixes with the same first `length` bytes are neighbours; all but those that overlap the first are
    // repeats.
    std::vector<bool>& repeats = repeats_;
    repeats.assign(text_.size(), false);
    for (int32_t from = 0; from < size;) {
      if (!whole[order[from]]) {
        ++from;
        continue;
      }
      int32_t to = from + 1;
      int32_t first = order[from];
      while (to < size && whole[order[to]] &&
             std::memcmp(text_.data() + order[to - 1], text_.data() + order[to], length_) == 0) {
        first = std::min(first, order[to++]);
      }
      for (int32_t i = from; i < to; ++i) {
        if (order[i] - first >= static_cast<int32_t>(length_)) repeats[order[i]] = true;
      }
      from = to;
    }
    at = 0;
    for (const Span& stretch : stretches_) {
      const size_t count = stretch.end - stretch.begin;
      for (size_t i = 0; i < count; ++i) {
        if (!repeats[at + i]) continue;
        const uint64_t begin = stretch.begin + i;
        if (!spans.empty() && spans.back().end >= begin && spans.back().begin >= stretch.begin) {
          spans.back().end = begin + length_;
        } else {
          spans.push_back({begin, begin + length_});
        }
      }
      at += count + 1;
    }
  }

 private:
  uint32_t length_;
  std::vector<Span> stretches_;
  std::string text_;
  std::vector<bool> whole_;    // a whole window begins here, inside one stretch
  std::vector<bool> repeats_;  // and equals an earlier one
};

// Anchors whose surroundings are looked at together. Where the anchors of one hash are too many for one part,
// those of `group` that are still needed for the next part go to `carried`.
struct Task {
  std::vector<uint64_t> anchors;
  std::vector<uint64_t> group;
  std::vector<uint64_t> carried;
};

// Sorts spans and joins those of one document that touch.
void joinSpans(std::vector<Span>& spans, const double* documentEnds, size_t documents) {
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  size_t count = 0;
  for (const Span& span : spans) {
    if (count > 0 && span.begin <= spans[count - 1].end) {
      // A document may end just where the next one's span begins.
      const bool border =
          span.begin == spans[count - 1].end &&
          std::binary_search(documentEnds, documentEnds + documents, static_cast<double>(span.begin));
      if (!border) {
        spans[count - 1].end = std::max(spans[count - 1].end, span.end);
        continue;
      }
    }
    spans[count++] = span;
  }
  spans.resize(count);
}

}  // namespace

Repeats findRepeats(const std::vector<Run>& runs, const std::vector<CorpusPiece>& corpus,
                    const double* documentEnds, size_t documents, const RepeatSettings& settings,
                    const std::function<void(double)>& tick) {
  const unsigned threads = std::max(1U, settings.threads);
  uint64_t total = 0;
  for (const Run& run : runs) total += run.count;
  // Around an anchor lie less than two windows of text.
  const size_t around = 2 * size_t{settings.length};
  const size_t most = std::max(settings.memory / threads, around * kBytesPerByte) / kBytesPerByte;
  const size_t anchorsOfPart = std::min(most, kLargestPart) / (around + sizeof(uint64_t)) + 4;

  // Small parts share the work among threads and sort faster, though they have more of the same text: with
  // parts of 2.4 MB half again as much was sorted as with a single one of 49 MB, in less time.
  const size_t anchorsBeforeNext = std::min(anchorsOfPart / 2, kPartText / around + 1);

  Repeats result;
  uint64_t seen = 0;
  size_t joined = 0;
  std::vector<Task> tasks(1);
  const auto work = [&] {
    std::vector<std::vector<Span>> spans(tasks.size());
    std::vector<uint64_t> sizes(tasks.size());
    parallelFor(tasks.size(), threads, 1, [&](size_t i, unsigned) {
      if (tasks[i].anchors.empty()) return;
      CorpusReader reader(corpus);
      Part part(tasks[i].anchors, reader, documentEnds, documents, settings.length);
      sizes[i] = part.size();
      part.find(spans[i]);
      tasks[i].carried = part.fresh(tasks[i].group);
    });
    for (size_t i = 0; i < tasks.size(); ++i) {
      result.hotAnchors += tasks[i].anchors.size();
      result.sortedBytes += sizes[i];
      result.spans.insert(result.spans.end(), spans[i].begin(), spans[i].end());
    }
    // Parts find many spans again: joined now and then, so that they take no more than twice their memory.
    if (result.spans.size() > 2 * joined + kSpansAtOnce) {
      joinSpans(result.spans, documentEnds, documents);
      joined = result.spans.size();
    }
    std::vector<uint64_t> carried = std::move(tasks.back().carried);
    tasks.assign(1, {});
    return carried;
  };
  // Goes on with the anchors of a hash that are too many for one part: of those before only the ones with
  // something that has no copy before them matter. Where even these are too many the first ones go on, which
  // have the first copies of what occurs everywhere; copies of what is around the others may stay.
  const auto split = [&](size_t groupBegins) {
    Task& last = tasks.back();
    last.group.assign(last.anchors.begin() + static_cast<ptrdiff_t>(groupBegins), last.anchors.end());
    std::vector<uint64_t> carried = work();
    if (carried.size() > anchorsOfPart / 2) {
      ++result.incomplete;
      carried.resize(anchorsOfPart / 2);
    }
    tasks.back().anchors = std::move(carried);
  };

  const size_t buffer =
      std::clamp(settings.bufferBytes / std::max<size_t>(1, runs.size()), size_t{4096}, size_t{1} << 20) /
      sizeof(Anchor);
  uint64_t hash = 0;
  uint64_t first = 0;
  bool alone = true;
  size_t groupBegins = 0;
  mergeLane<3>(runs, 0, buffer, [&](const Anchor& anchor, bool) {
    const uint64_t key = (uint64_t{anchor.key[0]} << 32) | anchor.key[1];
    const uint64_t place = (uint64_t{anchor.key[2]} << 32) | anchor.document;
    if (seen == 0 || key != hash) {
      if (tasks.back().anchors.size() >= anchorsBeforeNext) {
        if (tasks.size() >= threads)
          work();
        else
          tasks.emplace_back();
      }
      hash = key;
      first = place;
      alone = true;
      groupBegins = tasks.back().anchors.size();
    } else {
      std::vector<uint64_t>& anchors = tasks.back().anchors;
      if (alone) anchors.push_back(first);
      alone = false;
      anchors.push_back(place);
      if (anchors.size() >= anchorsOfPart) {
        split(groupBegins);
        groupBegins = 0;
      }
    }
    if ((++seen & 0xFFFF) == 0) tick(static_cast<double>(seen) / static_cast<double>(total));
  });
  work();
  joinSpans(result.spans, documentEnds, documents);
  return result;
}

}  // namespace anneal::text::dedup
