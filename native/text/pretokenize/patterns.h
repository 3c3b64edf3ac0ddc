// patterns.h — the published patterns that have scanners of their own. A scanner gives exactly what the
// regular expression gives in HF tokenizers; tests/tokenizer/pretokenize.test.ts compares them.
#pragma once

#include <string>

#include "text/pretokenize/pretokenizer.h"
#include "text/regex/regex.h"

namespace anneal::text {

// In what the patterns of GPT-4's family differ.
struct Gpt4Rules {
  uint32_t digits = 3;     // most digits in a piece; 0: all that follow
  bool wholeTail = false;  // whether whitespace at the end of the text is one piece, even if it has line ends
};

// GPT-2: '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
PreTokenizerPointer makeGpt2Scanner();
// GPT-4 (cl100k), Llama 3, Qwen 2, nanochat.
PreTokenizerPointer makeGpt4Scanner(const Gpt4Rules& rules);
// GPT-4o (o200k), gpt-oss, Llama 4.
PreTokenizerPointer makeGpt4oScanner();
// The three Splits of DeepSeek-V3 (R1, V3.1, …) one after the other.
PreTokenizerPointer makeDeepSeekScanner();

// The scanner of a regular expression whose matches follow one another without a gap; null where there is
// none.
PreTokenizerPointer scannerOf(const std::string& pattern, Dialect dialect);

// Whether a pattern is number `index` (0 to 2) of DeepSeek-V3's Splits.
bool isDeepSeekPattern(const std::string& pattern, size_t index);

}  // namespace anneal::text
