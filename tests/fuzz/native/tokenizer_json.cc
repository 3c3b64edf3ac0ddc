// tokenizer_json.cc — a tokenizer.json from outside: an error of this package, or a tokenizer that encodes
// and decodes.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "text/error.h"
#include "text/tokenizer/tokenizer.h"

namespace {

// Texts with what pre-tokenizers and normalizers treat apart.
constexpr std::string_view kTexts[] = {
    "",
    "Hello wörld's 12345 x_y!\n\n  foo();",
    " \u00e9e\u0301 \u4e2d\u6587 \U0001F469\u200D\U0001F467 [MASK]<s>",
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  try {
    const auto tokenizer = anneal::text::Tokenizer::fromJson(input, "fuzz.json");
    for (const std::string_view text : kTexts) {
      const auto ids = tokenizer->encode(text, true);
      for (const uint32_t id : ids) {
        if (id >= tokenizer->idEnd()) __builtin_trap();
      }
      const auto encoding = tokenizer->encodeWithOffsets(text, nullptr, true);
      if (encoding.ids != ids) __builtin_trap();
      tokenizer->decode(ids.data(), ids.size(), true);
    }
  } catch (const anneal::text::TextError&) {
    // Refused, which is right for most inputs.
  }
  return 0;
}
