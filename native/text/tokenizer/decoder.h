// decoder.h — from tokens back to text, as the "decoder" of a tokenizer.json says.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/field.h"

namespace anneal::text {

// One step: tokens in, tokens out; the text is the last step's tokens joined. Immutable.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual void apply(std::vector<std::string>& tokens) const = 0;
  // Whether this is the byte-level decoder alone: every token is its bytes, whatever stands beside it.
  virtual bool byteLevel() const { return false; }
};

// Reads a file's "decoder". Throws TextError naming what is unknown or wrong.
std::unique_ptr<const Decoder> readDecoder(const Field& part);

// UTF-8 with U+FFFD for every maximal invalid stretch, as the WHATWG decoder and Rust's from_utf8_lossy have
// it.
std::string replaceInvalid(std::string bytes);

// The byte of a token such as "<0x0A>", or -1.
int fallbackByte(std::string_view token);

}  // namespace anneal::text
