// read_model.cc — the "model" of a tokenizer.json.
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/model/bpe.h"
#include "text/model/unigram.h"
#include "text/model/words.h"
#include "text/tokenizer/read.h"

namespace anneal::text {
namespace {

// Token → id, with the checks that make a vocabulary.
std::vector<VocabEntry> readVocabulary(const Field& vocab) {
  vocab.object();
  const json::Value value = vocab.value();
  std::vector<VocabEntry> entries;
  entries.reserve(value.size());
  std::unordered_map<int64_t, size_t> seen;
  seen.reserve(value.size());
  for (size_t i = 0; i < value.size(); ++i) {
    const std::string_view token = value.key(i);
    const json::Value id = value.member(i);
    if (!id.is(json::Kind::integer) || id.integer() < 0 || id.integer() >= kNoToken) {
      const std::string got =
          id.is(json::Kind::integer) ? std::to_string(id.integer()) : json::describe(id.kind());
      vocab.fail("token " + quote(token) + " has the id " + got + "; ids are integers from 0");
    }
    const auto [other, fresh] = seen.emplace(id.integer(), i);
    if (!fresh) {
      vocab.fail("tokens " + quote(value.key(other->second)) + " and " + quote(token) + " share the id " +
                 std::to_string(id.integer()));
    }
    entries.push_back({std::string(token), static_cast<uint32_t>(id.integer())});
  }
  return entries;
}

// Pairs of tokens; in files of old versions "left right" in one text.
std::vector<std::pair<std::string, std::string>> readMerges(const Field& merges) {
  const json::Value list = merges.list().value();
  std::vector<std::pair<std::string, std::string>> pairs;
  pairs.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const json::Value merge = list.item(i);
    if (merge.is(json::Kind::string)) {
      const std::string_view text = merge.string();
      const size_t space = text.find(' ');
      if (space != std::string_view::npos && text.find(' ', space + 1) == std::string_view::npos) {
        pairs.emplace_back(text.substr(0, space), text.substr(space + 1));
        continue;
      }
      // Very old files begin with the version of a merges.txt.
      if (i == 0 && text.starts_with("#version")) continue;
    } else if (merge.is(json::Kind::array) && merge.size() == 2 && merge.item(0).is(json::Kind::string) &&
               merge.item(1).is(json::Kind::string)) {
      pairs.emplace_back(merge.item(0).string(), merge.item(1).string());
      continue;
    }
    merges.item(i).refuse("two tokens, as [\"a\", \"b\"] or \"a b\"");
  }
  return pairs;
}

std::unique_ptr<Model> readBpe(const Field& part, bool byteLevel) {
  BpeSettings settings;
  if (part.member("merges").value().isNull()) part.fail("a BPE model needs a \"merges\" list");
  settings.vocab = readVocabulary(part.member("vocab"));
  settings.merges = readMerges(part.member("merges"));
  settings.byteLevel = byteLevel;
  settings.unkToken = part.optionalString("unk_token");
  settings.continuingSubwordPrefix = part.optionalString("continuing_subword_prefix");
  settings.endOfWordSuffix = part.optionalString("end_of_word_suffix");
  settings.fuseUnk = part.has("fuse_unk") && part.boolean("fuse_unk");
  settings.byteFallback = part.has("byte_fallback") && part.boolean("byte_fallback");
  settings.ignoreMerges = part.has("ignore_merges") && part.boolean("ignore_merges");
  // Dropout is for training a model; encoding is deterministic, so it is checked and left out.
  const json::Value dropout = part.member("dropout").value();
  if (!dropout.isNull() && !(dropout.isNumber() && dropout.number() >= 0 && dropout.number() <= 1)) {
    part.member("dropout").refuse("a number from 0 to 1");
  }
  return inPart(part, [&] { return makeBpe(std::move(settings)); });
}

// A list of tokens with their scores.
std::unique_ptr<Model> readUnigram(const Field& part) {
  UnigramSettings settings;
  const Field vocab = part.member("vocab");
  const json::Value list = vocab.list().value();
  for (size_t i = 0; i < list.size(); ++i) {
    const json::Value entry = list.item(i);
    if (!entry.is(json::Kind::array) || entry.size() != 2 || !entry.item(0).is(json::Kind::string) ||
        !entry.item(1).isNumber()) {
      vocab.item(i).refuse("a token and its score, as [\"a\", -3.5]");
    }
    settings.tokens.emplace_back(entry.item(0).string());
    settings.scores.push_back(entry.item(1).number());
  }
  if (part.has("unk_id")) settings.unkId = static_cast<uint32_t>(part.member("unk_id").count());
  settings.byteFallback = part.has("byte_fallback") && part.boolean("byte_fallback");
  return inPart(part, [&] { return makeUnigram(std::move(settings)); });
}

}  // namespace

std::string modelType(const Field& part) {
  if (part.object().has("type")) return part.type();
  if (part.has("merges")) return "BPE";
  if (part.member("vocab").value().is(json::Kind::array)) return "Unigram";
  return part.has("max_input_chars_per_word") ? "WordPiece" : "WordLevel";
}

std::unique_ptr<Model> readModel(const Field& part, bool byteLevel) {
  const std::string type = modelType(part);
  const Field vocab = part.member("vocab");
  if (vocab.value().isNull()) vocab.refuse("a mapping from tokens to ids");
  if (type == "BPE") return readBpe(part, byteLevel);
  if (type == "WordPiece") {
    WordPieceSettings settings;
    settings.vocab = readVocabulary(vocab);
    settings.unkToken = part.string("unk_token");
    settings.continuingSubwordPrefix = part.string("continuing_subword_prefix");
    settings.maxInputCharsPerWord = part.member("max_input_chars_per_word").count();
    return inPart(part, [&] { return makeWordPiece(std::move(settings)); });
  }
  if (type == "WordLevel") {
    WordLevelSettings settings;
    settings.vocab = readVocabulary(vocab);
    settings.unkToken = part.string("unk_token");
    return inPart(part, [&] { return makeWordLevel(std::move(settings)); });
  }
  if (type == "Unigram") return readUnigram(part);
  part.unknown("model", "BPE, WordPiece, WordLevel and Unigram");
}

}  // namespace anneal::text
