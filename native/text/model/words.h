// words.h — the two models that look words up: WordPiece (greedy longest match) and WordLevel (whole words).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "text/model/model.h"

namespace anneal::text {

// The fields of a tokenizer.json's model of type WordPiece.
struct WordPieceSettings {
  std::vector<VocabEntry> vocab;
  std::string unkToken = "[UNK]";
  std::string continuingSubwordPrefix = "##";
  // Longer words (in characters) are unknown as a whole.
  size_t maxInputCharsPerWord = 100;
};

std::unique_ptr<Model> makeWordPiece(WordPieceSettings settings);

// The fields of a tokenizer.json's model of type WordLevel.
struct WordLevelSettings {
  std::vector<VocabEntry> vocab;
  std::string unkToken = "<unk>";
};

std::unique_ptr<Model> makeWordLevel(WordLevelSettings settings);

}  // namespace anneal::text
