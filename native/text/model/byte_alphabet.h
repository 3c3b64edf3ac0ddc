// byte_alphabet.h — the 256 printable characters by which byte-level vocabularies spell bytes (GPT-2).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace anneal::text {

// Code point that spells each byte: 33–126, 161–172 and 174–255 spell themselves, the other 68 bytes in
// increasing order are 256, 257, …
const std::array<uint16_t, 256>& byteAlphabet();

// The spelling of bytes, in UTF-8.
std::string spellBytes(std::string_view bytes);

// The bytes of a spelling, or nothing where it has a character outside the alphabet.
std::optional<std::string> bytesOfSpelling(std::string_view spelling);

}  // namespace anneal::text
