// precompiled.h — the normalizers that SentencePiece compiles into its models: a table from character
// sequences to what replaces them.
#pragma once

#include <string_view>

#include "text/normalize/normalizer.h"

namespace anneal::text {

// `charsmap` is the table in base64, as a tokenizer.json has it. Throws TextError where it is damaged.
NormalizerPointer makePrecompiled(std::string_view charsmap);

}  // namespace anneal::text
