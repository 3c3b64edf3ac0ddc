#include "text/regex/code_set.h"

#include <algorithm>
#include <map>

#include "text/unicode/properties.h"
#include "text/unicode/utf8.h"

namespace anneal::text {

namespace {

// Least member of an orbit → all its members, for orbits of two and more.
const std::map<char32_t, std::vector<char32_t>>& orbits() {
  static const std::map<char32_t, std::vector<char32_t>> map = [] {
    std::map<char32_t, std::vector<char32_t>> found;
    for (size_t i = 0; i + 3 < kFoldRunsSize; i += 4) {
      for (int32_t n = 0; n < kFoldRuns[i + 1]; ++n) {
        const auto code = static_cast<char32_t>(kFoldRuns[i] + n * kFoldRuns[i + 2]);
        found[simpleFold(code)].push_back(code);
      }
    }
    for (auto& [least, members] : found) members.push_back(least);
    return found;
  }();
  return map;
}

}  // namespace

void CodeRanges::settle() {
  std::sort(ranges_.begin(), ranges_.end());
  std::vector<std::pair<char32_t, char32_t>> merged;
  for (const auto& range : ranges_) {
    if (!merged.empty() && range.first <= merged.back().second + 1) {
      merged.back().second = std::max(merged.back().second, range.second);
    } else {
      merged.push_back(range);
    }
  }
  ranges_ = std::move(merged);
}

void CodeRanges::add(char32_t first, char32_t last) {
  collect(first, last);
  settle();
}

void CodeRanges::add(const CodeRanges& other) {
  collect(other);
  settle();
}

CodeRanges CodeRanges::complement() const {
  CodeRanges result;
  char32_t next = 0;
  for (const auto& [first, last] : ranges_) {
    if (first > next) result.ranges_.emplace_back(next, first - 1);
    next = last + 1;
  }
  if (next <= 0x10FFFF) result.ranges_.emplace_back(next, 0x10FFFF);
  return result;
}

CodeRanges CodeRanges::intersection(const CodeRanges& other) const {
  CodeRanges result;
  size_t a = 0;
  size_t b = 0;
  while (a < ranges_.size() && b < other.ranges_.size()) {
    const char32_t first = std::max(ranges_[a].first, other.ranges_[b].first);
    const char32_t last = std::min(ranges_[a].second, other.ranges_[b].second);
    if (first <= last) result.ranges_.emplace_back(first, last);
    if (ranges_[a].second < other.ranges_[b].second) {
      ++a;
    } else {
      ++b;
    }
  }
  return result;
}

CodeRanges CodeRanges::folded() const {
  CodeRanges result = *this;
  for (const auto& [least, members] : orbits()) {
    const bool any =
        std::any_of(members.begin(), members.end(), [this](char32_t code) { return contains(code); });
    if (!any) continue;
    for (const char32_t code : members) result.ranges_.emplace_back(code, code);
  }
  result.settle();
  return result;
}

bool CodeRanges::contains(char32_t code) const {
  const auto after =
      std::upper_bound(ranges_.begin(), ranges_.end(), std::pair<char32_t, char32_t>(code, 0x110000));
  return after != ranges_.begin() && std::prev(after)->second >= code;
}

CodeSet::CodeSet(const CodeRanges& ranges) {
  ascii_.fill(false);
  pages_.push_back({});
  pages_.push_back({~0ULL, ~0ULL, ~0ULL, ~0ULL});
  first_.fill(0);
  for (const auto& [first, last] : ranges.ranges()) {
    for (char32_t code = first; code <= last && code < 0x80; ++code) ascii_[code] = true;
    for (char32_t page = first >> 8; page <= last >> 8; ++page) {
      const char32_t begin = std::max<char32_t>(first, page << 8);
      const char32_t end = std::min<char32_t>(last, (page << 8) | 0xFF);
      if (begin == page << 8 && end == ((page << 8) | 0xFF)) {
        first_[page] = 1;
        continue;
      }
      if (first_[page] == 0) {
        first_[page] = static_cast<uint16_t>(pages_.size());
        pages_.push_back({});
      }
      for (char32_t code = begin; code <= end; ++code) {
        pages_[first_[page]][(code >> 6) & 3] |= 1ULL << (code & 63);
      }
    }
  }
}

void CodeSet::addFirstBytes(std::array<bool, 256>& bytes) const {
  for (unsigned byte = 0; byte < 0x80; ++byte) bytes[byte] = bytes[byte] || ascii_[byte];
  for (char32_t page = 0; page < 0x1100; ++page) {
    if (first_[page] == 0) continue;
    for (char32_t code = std::max<char32_t>(page << 8, 0x80); code <= ((page << 8) | 0xFF); code += 64) {
      if (pages_[first_[page]][(code >> 6) & 3] == 0) continue;
      char utf8[4];
      encode(code, utf8);
      bytes[static_cast<unsigned char>(utf8[0])] = true;
    }
  }
}

}  // namespace anneal::text
