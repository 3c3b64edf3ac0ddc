// bert.h — parts of BertNormalizer.
#pragma once

#include "text/normalize/normalizer.h"

namespace anneal::text {

// Removes control characters and makes a space of all other whitespace.
NormalizerPointer makeBertCleaner();
// Removes nonspacing marks; the text must be in NFD.
NormalizerPointer makeBertAccentStripper();

}  // namespace anneal::text
