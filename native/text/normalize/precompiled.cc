#include "text/normalize/precompiled.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "text/error.h"
#include "text/normalize/transform.h"
#include "text/unicode/properties.h"

namespace anneal::text {
namespace {

// Clusters of this many bytes and more are looked up character by character.
constexpr size_t kClusterBytes = 6;

[[noreturn]] void damaged(const std::string& what) {
  throw TextError("ERR_TOKENIZER", "The precompiled character map is damaged: " + what + ".");
}

std::string fromBase64(std::string_view text) {
  std::array<int, 256> values;
  values.fill(-1);
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < alphabet.size(); ++i)
    values[static_cast<unsigned char>(alphabet[i])] = static_cast<int>(i);
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  std::string bytes;
  uint32_t bits = 0;
  unsigned held = 0;
  for (const char c : text) {
    const int value = values[static_cast<unsigned char>(c)];
    if (value < 0) damaged("it is not base64");
    bits = bits << 6 | static_cast<uint32_t>(value);
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes.push_back(static_cast<char>(bits >> held & 0xFF));
    }
  }
  return bytes;
}

// Grapheme_Cluster_Break, as far as clusters of less than kClusterBytes can tell: which characters belong to
// the one before them, and which draw the one behind them in (UAX 29, GB9, GB9a and GB9b).
bool extends(char32_t code) {
  if (code < 0x300) return false;
  if (code == 0x200C || code == 0x200D || code == 0xE33 || code == 0xEB3 || code == 0xFF9E || code == 0xFF9F)
    return true;
  if ((code >= 0x1F3FB && code <= 0x1F3FF) || (code >= 0xE0020 && code <= 0xE007F)) return true;
  if (!inCategories(code, kMarkMask)) return false;
  // Spacing marks that stand alone (Myanmar, Tai Tham, Ahom).
  constexpr std::array<std::pair<char32_t, char32_t>, 13> alone{{{0x102B, 0x102C},
                                                                 {0x1038, 0x1038},
                                                                 {0x1062, 0x1064},
                                                                 {0x1067, 0x106D},
                                                                 {0x1083, 0x1083},
                                                                 {0x1087, 0x108C},
                                                                 {0x108F, 0x108F},
                                                                 {0x109A, 0x109C},
                                                                 {0x1A61, 0x1A61},
                                                                 {0x1A63, 0x1A64},
                                                                 {0xAA7B, 0xAA7B},
                                                                 {0xAA7D, 0xAA7D},
                                                                 {0x11720, 0x11721}}};
  return std::none_of(alone.begin(), alone.end(),
                      [code](const auto& range) { return code >= range.first && code <= range.second; });
}

bool prepends(char32_t code) {
  return (code >= 0x600 && code <= 0x605) || code == 0x6DD || code == 0x70F || code == 0x890 ||
         code == 0x891 || code == 0x8E2 || code == 0xD4E || code == 0x110BD || code == 0x110CD ||
         code == 0x111C2 || code == 0x111C3 || code == 0x1193F || code == 0x11941 ||
         (code >= 0x11A84 && code <= 0x11A89) || code == 0x11D46 || code == 0x11F02;
}

bool breaks(char32_t code) {
  if (code < 0x20 || (code >= 0x7F && code < 0xA0)) return true;
  if (code == 0x200C || code == 0x200D || (code >= 0xE0020 && code <= 0xE007F) || prepends(code))
    return false;
  return inCategories(code,
                      categoryBit(Category::kCf) | categoryBit(Category::kZl) | categoryBit(Category::kZp));
}

// Where the cluster at the beginning of a text ends. Regional indicators, emoji and Hangul syllables that
// stick together are not looked at: together they have kClusterBytes and more, and so has what begins with
// one of them.
size_t clusterEnd(std::string_view text) {
  const char* at = text.data();
  const char* end = at + text.size();
  char32_t before = decode(at);
  while (at < end) {
    const char* next = at;
    const char32_t code = decode(next);
    const bool joined = (before == '\r' && code == '\n') ||
                        (!breaks(before) && (extends(code) || (prepends(before) && !breaks(code))));
    if (!joined) break;
    before = code;
    at = next;
  }
  return static_cast<size_t>(at - text.data());
}

// SentencePiece's table: a Darts double array from byte sequences to places in a text of replacements, each
// of which ends with a zero byte.
class Precompiled final : public Normalizer {
 public:
  explicit Precompiled(std::string_view charsmap) {
    const std::string bytes = fromBase64(charsmap);
    uint32_t size = 0;
    if (bytes.size() < 4) damaged("it has no size");
    std::memcpy(&size, bytes.data(), 4);
    if (size > bytes.size() - 4 || size % 4 != 0) damaged("its table is longer than the map");
    units_.resize(size / 4);
    if (size > 0) std::memcpy(units_.data(), bytes.data() + 4, size);
    replacements_ = bytes.substr(4 + size);
    if (firstInvalid(replacements_) != replacements_.size()) damaged("its replacements are not UTF-8");
  }

  bool leaves(std::string_view text) const override {
    while (!text.empty()) {
      const size_t cluster = clusterEnd(text);
      std::string_view found;
      if (cluster < kClusterBytes && replacement(text.substr(0, cluster), found)) return false;
      for (size_t i = 0; i < cluster;) {
        const size_t length = characterLength(static_cast<unsigned char>(text[i]));
        if (replacement(text.substr(i, length), found)) return false;
        i += length;
      }
      text.remove_prefix(cluster);
    }
    return true;
  }

  void apply(std::string& text, Alignment* alignment) const override {
    if (leaves(text)) return;
    std::vector<Change> changes;
    const std::string_view old = text;
    for (size_t at = 0; at < old.size();) {
      const size_t cluster = clusterEnd(old.substr(at));
      std::string_view found;
      if (cluster < kClusterBytes && replacement(old.substr(at, cluster), found)) {
        replace(changes, old.substr(at, cluster), found);
      } else {
        for (size_t i = at; i < at + cluster;) {
          const size_t length = characterLength(static_cast<unsigned char>(old[i]));
          const std::string_view character = old.substr(i, length);
          replace(changes, character, replacement(character, found) ? found : character);
          i += length;
        }
      }
      at += cluster;
    }
    Transform out(text, alignment);
    for (const Change& change : changes) out.put(change.code, change.change);
    out.finish();
  }

 private:
  // A new character, and how it stands to the old ones (Transform::put).
  struct Change {
    char32_t code;
    int change;
  };

  // As the reference counts: new characters take the places of old ones, what is too much is inserted at the
  // end, and what is too little goes with the last new character, or with the one before where there is none.
  static void replace(std::vector<Change>& changes, std::string_view old, std::string_view found) {
    const auto difference = static_cast<int>(countCodePoints(found)) - static_cast<int>(countCodePoints(old));
    for (const char* at = found.data(); at < found.data() + found.size();) changes.push_back({decode(at), 0});
    for (int i = 0; i < difference; ++i) changes[changes.size() - 1 - static_cast<size_t>(i)].change = 1;
    if (difference < 0 && !changes.empty()) changes.back().change += difference;
  }

  // What replaces the shortest entry that `chunk` begins with; false where there is none.
  bool replacement(std::string_view chunk, std::string_view& found) const {
    if (units_.empty()) return false;
    size_t node = offsetOf(units_[0]);
    for (const char c : chunk) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte == 0) return false;
      node ^= byte;
      if (node >= units_.size()) return false;
      const uint32_t unit = units_[node];
      if ((unit & (1U << 31 | 0xFF)) != byte) return false;
      node ^= offsetOf(unit);
      if ((unit >> 8 & 1) != 0) {
        if (node >= units_.size()) return false;
        const size_t begin = units_[node] & ((1U << 31) - 1);
        if (begin > replacements_.size()) return false;
        found = std::string_view(replacements_).substr(begin);
        found = found.substr(0, found.find('\0'));
        return true;
      }
    }
    return false;
  }

  static size_t offsetOf(uint32_t unit) {
    return static_cast<size_t>(unit >> 10) << ((unit & (1U << 9)) >> 6);
  }

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace

NormalizerPointer makePrecompiled(std::string_view charsmap) {
  return std::make_shared<Precompiled>(charsmap);
}

}  // namespace anneal::text
