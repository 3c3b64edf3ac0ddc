// characters.cc — normalizers that look at one character at a time.
#include "text/model/byte_alphabet.h"
#include "text/normalize/bert.h"
#include "text/normalize/normalizer.h"
#include "text/normalize/transform.h"
#include "text/unicode/properties.h"

namespace anneal::text {

namespace {

constexpr char32_t kRemove = 0xFFFFFFFF;

// Replaces or removes single characters by `image(code)`, which gives the code itself where nothing is to be
// done. Stretches that stay are copied whole.
template <typename Image>
void mapCharacters(std::string& text, Alignment* alignment, const Image& image) {
  Transform out(text, alignment);
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  for (const char* at = begin; at < end;) {
    const char* from = at;
    const char32_t code = decode(at);
    const char32_t mapped = image(code);
    if (mapped == code) continue;
    out.keep(static_cast<size_t>(from - begin));
    if (mapped == kRemove) {
      out.skip();
    } else {
      out.put(mapped, 0);
    }
  }
  out.keep(text.size());
  out.finish();
}

template <typename Image>
bool allStay(std::string_view text, const Image& image) {
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    const char32_t code = decode(at);
    if (image(code) != code) return false;
  }
  return true;
}

template <typename Image>
class CharacterNormalizer final : public Normalizer {
 public:
  explicit CharacterNormalizer(Image image) : image_(image) {}
  bool leaves(std::string_view text) const override { return allStay(text, image_); }
  void apply(std::string& text, Alignment* alignment) const override {
    if (!leaves(text)) mapCharacters(text, alignment, image_);
  }

 private:
  const Image image_;
};

template <typename Image>
NormalizerPointer characterNormalizer(Image image) {
  return std::make_shared<CharacterNormalizer<Image>>(image);
}

class Lowercase final : public Normalizer {
 public:
  bool leaves(std::string_view text) const override {
    const char* const end = text.data() + text.size();
    for (const char* at = text.data(); at < end;) {
      if (static_cast<unsigned char>(*at) < 0x80) {
        if (*at >= 'A' && *at <= 'Z') return false;
        ++at;
        continue;
      }
      const char32_t code = decode(at);
      char32_t second = 0;
      if (lowercase(code, second) != code) return false;
    }
    return true;
  }

  void apply(std::string& text, Alignment* alignment) const override {
    // ASCII letters stay where they are; only others can change in length.
    bool ascii = true;
    for (char& byte : text) {
      if (byte >= 'A' && byte <= 'Z') byte = static_cast<char>(byte + 32);
      ascii = ascii && static_cast<unsigned char>(byte) < 0x80;
    }
    if (ascii || leaves(text)) return;
    Transform out(text, alignment);
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    for (const char* at = begin; at < end;) {
      if (static_cast<unsigned char>(*at) < 0x80) {
        ++at;
        continue;
      }
      const char* from = at;
      const char32_t code = decode(at);
      char32_t second = 0;
      const char32_t lower = lowercase(code, second);
      if (lower == code) continue;
      out.keep(static_cast<size_t>(from - begin));
      out.put(lower, 0);
      if (second != 0) out.put(second, 1);
    }
    out.keep(text.size());
    out.finish();
  }
};

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}

  bool leaves(std::string_view text) const override {
    size_t begin = 0;
    size_t end = text.size();
    bounds(text, begin, end);
    return begin == 0 && end == text.size();
  }

  void apply(std::string& text, Alignment* alignment) const override {
    size_t begin = 0;
    size_t end = text.size();
    bounds(text, begin, end);
    text.resize(end);
    text.erase(0, begin);
    if (alignment == nullptr) return;
    alignment->resize(end);
    alignment->erase(alignment->begin(), alignment->begin() + static_cast<ptrdiff_t>(begin));
  }

 private:
  void bounds(std::string_view text, size_t& begin, size_t& end) const {
    const char* const first = text.data();
    for (const char* at = first; left_ && begin < end; begin = static_cast<size_t>(at - first)) {
      if (!isWhitespace(decode(at))) break;
    }
    for (const char* at = first + end; right_ && end > begin; end = static_cast<size_t>(at - first)) {
      if (!isWhitespace(decodeBackward(first, at))) break;
    }
  }

  const bool left_;
  const bool right_;
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(const std::string& prefix) : prefix_(prefix) {}
  bool leaves(std::string_view text) const override { return text.empty() || prefix_.empty(); }
  void apply(std::string& text, Alignment* alignment) const override {
    if (leaves(text)) return;
    text.insert(0, prefix_);
    if (alignment != nullptr)
      alignment->insert(alignment->begin(), prefix_.size(), ByteRange((*alignment)[0]));
  }

 private:
  const std::string prefix_;
};

class ByteLevelNormalizer final : public Normalizer {
 public:
  bool leaves(std::string_view text) const override {
    for (const char byte : text) {
      if (byte <= ' ' || byte == 0x7F) return false;  // negative for bytes above 0x7F
    }
    return true;
  }
  void apply(std::string& text, Alignment* alignment) const override {
    if (leaves(text)) return;
    std::string mapped;
    mapped.reserve(text.size() + text.size() / 2);
    Alignment ranges;
    for (size_t i = 0; i < text.size(); ++i) {
      append(mapped, byteAlphabet()[static_cast<unsigned char>(text[i])]);
      if (alignment != nullptr) ranges.resize(mapped.size(), (*alignment)[i]);
    }
    text = std::move(mapped);
    if (alignment != nullptr) *alignment = std::move(ranges);
  }
};

}  // namespace

NormalizerPointer makeLowercase() { return std::make_shared<Lowercase>(); }
NormalizerPointer makeStrip(bool left, bool right) { return std::make_shared<Strip>(left, right); }
NormalizerPointer makePrepend(const std::string& prefix) { return std::make_shared<Prepend>(prefix); }
NormalizerPointer makeByteLevelNormalizer() { return std::make_shared<ByteLevelNormalizer>(); }

NormalizerPointer makeStripAccents() {
  return characterNormalizer(
      [](char32_t code) { return (frontEndTable[code] & kFrontMark) != 0 ? kRemove : code; });
}

NormalizerPointer makeNmt() {
  return characterNormalizer([](char32_t code) -> char32_t {
    if ((code >= 0x01 && code <= 0x08) || code == 0x0B || (code >= 0x0E && code <= 0x1F) || code == 0x7F ||
        code == 0x8F || code == 0x9F) {
      return kRemove;
    }
    const bool space = code == '\t' || code == '\n' || code == '\f' || code == '\r' || code == 0x1680 ||
                       (code >= 0x200B && code <= 0x200F) || code == 0x2028 || code == 0x2029 ||
                       code == 0x2581 || code == 0xFEFF || code == 0xFFFD;
    return space ? U' ' : code;
  });
}

NormalizerPointer makeBertCleaner() {
  return characterNormalizer([](char32_t code) -> char32_t {
    const uint8_t bits = frontEndTable[code];
    if ((bits & kFrontControl) != 0) return kRemove;
    return (bits & kFrontWhite) != 0 ? U' ' : code;
  });
}

NormalizerPointer makeBertAccentStripper() {
  return characterNormalizer(
      [](char32_t code) { return (frontEndTable[code] & kFrontNonspacing) != 0 ? kRemove : code; });
}

}  // namespace anneal::text
