#include "text/model/byte_alphabet.h"

namespace anneal::text {
namespace {

constexpr unsigned kFirstShifted = 256;
constexpr unsigned kLastPoint = 256 + 67;

struct Alphabet {
  std::array<uint16_t, 256> points{};
  // Byte of each code point up to kLastPoint; −1 for the others.
  std::array<int16_t, kLastPoint + 1> bytes{};

  Alphabet() {
    bytes.fill(-1);
    unsigned next = kFirstShifted;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const bool kept =
          (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
      points[byte] = static_cast<uint16_t>(kept ? byte : next++);
      bytes[points[byte]] = static_cast<int16_t>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

const std::array<uint16_t, 256>& byteAlphabet() { return alphabet().points; }

std::string spellBytes(std::string_view bytes) {
  std::string spelling;
  spelling.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    const unsigned point = alphabet().points[static_cast<unsigned char>(byte)];
    if (point < 0x80) {
      spelling.push_back(static_cast<char>(point));
    } else {
      spelling.push_back(static_cast<char>(0xc0 | point >> 6));
      spelling.push_back(static_cast<char>(0x80 | (point & 0x3f)));
    }
  }
  return spelling;
}

std::optional<std::string> bytesOfSpelling(std::string_view spelling) {
  std::string bytes;
  bytes.reserve(spelling.size());
  for (size_t at = 0; at < spelling.size(); ++at) {
    unsigned point = static_cast<unsigned char>(spelling[at]);
    if (point >= 0x80) {
      // All characters of the alphabet have at most two bytes.
      if ((point & 0xe0) != 0xc0 || at + 1 == spelling.size()) return std::nullopt;
      ++at;
      point = (point & 0x1f) << 6 | (static_cast<unsigned char>(spelling[at]) & 0x3f);
    }
    if (point > kLastPoint || alphabet().bytes[point] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(alphabet().bytes[point]));
  }
  return bytes;
}

}  // namespace anneal::text
