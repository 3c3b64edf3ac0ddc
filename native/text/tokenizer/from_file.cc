// from_file.cc — tokenizer.json and rank files become tokenizers.
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/error.h"
#include "text/json/parser.h"
#include "text/model/bpe.h"
#include "text/model/byte_alphabet.h"
#include "text/tokenizer/read.h"
#include "text/tokenizer/tokenizer.h"
#include "text/unicode/utf8.h"

namespace anneal::text {
namespace {

constexpr std::string_view kBlock = "\xE2\x96\x81";  // U+2581
// Room above the vocabulary that added tokens' ids may leave empty; beyond it a file is damaged.
constexpr uint32_t kIdGap = 1U << 24;

std::vector<AddedToken> readAdded(const Field& list) {
  std::vector<AddedToken> tokens;
  if (list.value().isNull()) return tokens;
  list.list();
  std::unordered_map<std::string, uint32_t> ids;
  std::unordered_map<uint32_t, std::string> contents;
  for (size_t i = 0; i < list.value().size(); ++i) {
    const Field entry = list.item(i);
    const json::Value value = entry.value();
    if (!value.find("content").is(json::Kind::string) || !value.find("id").is(json::Kind::integer)) {
      entry.fail(entry.place() + ", an added token, lacks its content or id");
    }
    AddedToken token;
    token.content = entry.string("content");
    token.id = static_cast<uint32_t>(entry.member("id").count(kNoToken - 1));
    token.singleWord = entry.boolean("single_word", false);
    token.leftStrip = entry.boolean("lstrip", false);
    token.rightStrip = entry.boolean("rstrip", false);
    token.normalized = entry.boolean("normalized", false);
    token.special = entry.boolean("special", false);
    if (token.content.empty()) continue;
    const auto [id, freshContent] = ids.emplace(token.content, token.id);
    if (!freshContent) {
      if (id->second == token.id) continue;
      entry.fail("the added token " + quote(token.content) + " has the ids " + std::to_string(id->second) +
                 " and " + std::to_string(token.id));
    }
    const auto [content, freshId] = contents.emplace(token.id, token.content);
    if (!freshId) {
      entry.fail("the added tokens " + quote(content->second) + " and " + quote(token.content) +
                 " share the id " + std::to_string(token.id));
    }
    tokens.push_back(std::move(token));
  }
  return tokens;
}

// Added tokens that the vocabulary has as well must have its ids, and others an id of their own.
void checkAdded(const std::vector<AddedToken>& added, const Vocabulary& vocabulary, const Field& list) {
  for (const AddedToken& token : added) {
    const uint32_t known = vocabulary.find(token.content);
    if (known != kNoToken && known != token.id) {
      list.fail("the added token " + quote(token.content) + " has the id " + std::to_string(token.id) +
                ", but " + std::to_string(known) + " in the vocabulary");
    }
    if (known == kNoToken && vocabulary.has(token.id)) {
      list.fail("the added token " + quote(token.content) + " and the vocabulary's " +
                quote(vocabulary.token(token.id)) + " share the id " + std::to_string(token.id));
    }
    if (token.id > vocabulary.idEnd() + kIdGap) {
      list.fail("the added token " + quote(token.content) + " has the id " + std::to_string(token.id) +
                ", far beyond the vocabulary");
    }
  }
}

// The normalizer without the members that put something before every text.
NormalizerPointer withoutPrefix(const Field& part) {
  if (part.type() == "Prepend") return nullptr;
  if (part.type() != "Sequence") return readNormalizer(part);
  std::vector<NormalizerPointer> members;
  const Field list = part.member("normalizers");
  for (size_t i = 0; i < list.value().size(); ++i) {
    NormalizerPointer member = withoutPrefix(list.item(i));
    if (member != nullptr) members.push_back(std::move(member));
  }
  return members.empty() ? nullptr : makeNormalizerSequence(std::move(members));
}

// Whether no token has U+2581 behind anything else, so that merging never crosses the beginning of a word.
bool keepsWordsApart(const Field& model, const Vocabulary& vocabulary) {
  if (modelType(model) != "BPE") return false;
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (model.has(name) && !model.string(name).empty()) return false;
  }
  for (uint32_t id = 0; id < vocabulary.idEnd(); ++id) {
    const std::string_view token = vocabulary.token(id);
    for (size_t at = token.find(kBlock, 1); at != std::string_view::npos; at = token.find(kBlock, at + 1)) {
      if (!token.substr(0, at).ends_with(kBlock)) return false;
    }
  }
  return vocabulary.find(kBlock) != kNoToken;
}

// Whether a model is byte-pair encoding over all 256 bytes, so that their spelling need not be made: every
// byte is known, and nothing is written before or behind the pieces' units.
bool takesRawBytes(const Field& model) {
  if (modelType(model) != "BPE") return false;
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (model.has(name) && !model.string(name).empty()) return false;
  }
  const json::Value vocab = model.member("vocab").value();
  if (!vocab.is(json::Kind::object)) return false;
  size_t bytes = 0;
  for (size_t i = 0; i < vocab.size(); ++i) {
    const std::string_view token = vocab.key(i);
    if (token.empty() || token.size() > 2) continue;
    const auto spelled = bytesOfSpelling(token);
    bytes += spelled && spelled->size() == 1 ? 1 : 0;
  }
  return bytes == 256;
}

bool hasFirstScheme(const Field& part) {
  if (part.value().isNull()) return false;
  const std::string type = part.type();
  if (type == "Metaspace") return readMetaspace(part).scheme == PrependScheme::kFirst;
  if (type != "Sequence") return false;
  const Field list = part.member("pretokenizers");
  for (size_t i = 0; i < list.value().size(); ++i) {
    if (hasFirstScheme(list.item(i))) return true;
  }
  return false;
}

bool leavesPiecesWhole(const Field& preTokenizer) {
  if (preTokenizer.value().isNull()) return true;
  return preTokenizer.type() == "Metaspace" && !readMetaspace(preTokenizer).split &&
         readMetaspace(preTokenizer).replacement == 0x2581;
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::fromJson(std::string_view text, const std::string& file) {
  json::ParseOptions options;
  options.name = file;
  options.code = "ERR_TOKENIZER";
  options.realsAsSerde = true;
  const json::Document document = json::parse(text, options);
  const Field root(document.root(), "", file);
  if (!root.value().is(json::Kind::object)) root.fail("a tokenizer.json must hold a JSON object");
  const Field model = root.member("model");
  if (!model.value().is(json::Kind::object)) {
    root.fail(
        "the file has no \"model\" field, so it is not a tokenizer.json; save the tokenizer with "
        "transformers' "
        "save_pretrained (fast tokenizer) or tokenizers' Tokenizer.save");
  }
  TokenizerParts parts;
  const Field preTokenizer = root.member("pre_tokenizer");
  const bool byteLevel = endsInByteLevel(preTokenizer) && takesRawBytes(model);
  parts.model = readModel(model, byteLevel);
  if (root.has("normalizer")) {
    parts.normalizer = readNormalizer(root.member("normalizer"));
    parts.laterNormalizer = withoutPrefix(root.member("normalizer"));
  }
  if (root.has("pre_tokenizer")) parts.preTokenizer = readPreTokenizer(preTokenizer, !byteLevel);
  if (root.has("post_processor")) parts.postProcessor = PostProcessor(root.member("post_processor"));
  if (root.has("decoder")) parts.decoder = readDecoder(root.member("decoder"));
  parts.added = readAdded(root.member("added_tokens"));
  checkAdded(parts.added, parts.model->vocabulary(), root.member("added_tokens"));
  const bool apart = keepsWordsApart(model, parts.model->vocabulary());
  parts.spaceWords = apart && leavesPiecesWhole(preTokenizer);
  parts.mindsFirst = hasFirstScheme(preTokenizer);
  parts.cuts = cutRule(root, parts.added, parts.spaceWords);
  // Ids that the vocabulary does not have would be looked up in embeddings that are not there.
  const Encoding around = parts.postProcessor.process(std::vector<Encoding>(2), {"", ""}, true);
  std::vector<uint32_t> put = around.ids;
  for (const uint32_t id : parts.postProcessor.frame(true)) {
    if (id != kNoToken) put.push_back(id);
  }
  auto tokenizer = std::make_unique<Tokenizer>(std::move(parts));
  for (const uint32_t id : put) {
    if (id < tokenizer->idEnd()) continue;
    root.fail("its post_processor puts in the id " + std::to_string(id) +
              ", but the largest id of the vocabulary is " +
              std::to_string(static_cast<int64_t>(tokenizer->idEnd()) - 1));
  }
  return tokenizer;
}

std::unique_ptr<Tokenizer> Tokenizer::fromRanks(std::string_view text, const std::string& pattern,
                                                std::vector<std::pair<std::string, uint32_t>> specials,
                                                const std::string& file) {
  TokenizerParts parts;
  try {
    parts.model = makeRankBpe(parseRankFile(text));
  } catch (const TextError& error) {
    throw TextError("ERR_TOKENIZER", file + ": " + error.what(), error.details);
  }
  parts.preTokenizer = makeTiktokenSplit(pattern);
  for (auto& [content, id] : specials) {
    AddedToken token;
    token.content = std::move(content);
    token.id = id;
    token.special = true;
    parts.added.push_back(std::move(token));
  }
  const std::string decoderJson = R"({"type":"ByteLevel"})";
  const json::Document decoder = json::parse(decoderJson);
  parts.decoder = readDecoder(Field(decoder.root(), "decoder", file));
  checkAdded(parts.added, parts.model->vocabulary(), Field(decoder.root(), "special tokens", file));
  parts.cuts = cutRule(pattern, parts.added);
  return std::make_unique<Tokenizer>(std::move(parts));
}

}  // namespace anneal::text
