#include "text/tokenizer/tokenizer.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "text/error.h"
#include "text/model/byte_alphabet.h"
#include "text/unicode/utf8.h"

namespace anneal::text {
namespace {

constexpr std::string_view kBlock = "\xE2\x96\x81";  // U+2581

TokenFinder finderOf(const std::vector<AddedToken>& added, bool normalized, const Normalizer* normalizer) {
  std::vector<AddedToken> tokens;
  std::vector<std::string> contents;
  for (const AddedToken& token : added) {
    if (token.normalized != normalized) continue;
    tokens.push_back(token);
    contents.push_back(token.content);
    if (normalized && normalizer != nullptr) normalizer->apply(contents.back(), nullptr);
  }
  return TokenFinder(std::move(tokens), contents);
}

}  // namespace

void EncodedBatch::Free::operator()(void* memory) const { std::free(memory); }

Tokenizer::Tokenizer(TokenizerParts parts)
    : parts_(std::move(parts)),
      raw_(finderOf(parts_.added, false, nullptr)),
      normalized_(finderOf(parts_.added, true, parts_.normalizer.get())),
      frame_(parts_.postProcessor.frame(false)),
      specialFrame_(parts_.postProcessor.frame(true)) {
  idEnd_ = parts_.model->vocabulary().idEnd();
  for (const AddedToken& token : parts_.added) {
    idEnd_ = std::max(idEnd_, token.id + 1);
    addedById_.emplace(token.id, token);
    std::string& text = addedTexts_[token.id] = token.content;
    if (token.normalized && parts_.normalizer != nullptr) parts_.normalizer->apply(text, nullptr);
    addedIds_.emplace(token.content, token.id);
  }
  unigram_ = parts_.model->type() == std::string_view("Unigram");
  byteLevel_ = parts_.decoder != nullptr && parts_.decoder->byteLevel();
}

uint32_t Tokenizer::idOf(std::string_view token) const {
  const auto added = addedIds_.find(std::string(token));
  return added != addedIds_.end() ? added->second : parts_.model->idOf(token);
}

bool Tokenizer::tokenOf(uint32_t id, std::string_view& token) const {
  const AddedToken* added = addedOf(id);
  if (added == nullptr && !parts_.model->vocabulary().has(id)) return false;
  token = added != nullptr ? std::string_view(added->content) : parts_.model->tokenOf(id);
  return true;
}

const AddedToken* Tokenizer::addedOf(uint32_t id) const {
  const auto found = addedById_.find(id);
  return found == addedById_.end() ? nullptr : &found->second;
}

Tokenizer::WorkerPointer Tokenizer::take(bool withLengths) const {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto& idle = idle_[withLengths ? 1 : 0];
    if (!idle.empty()) {
      WorkerPointer worker = std::move(idle.back());
      idle.pop_back();
      return worker;
    }
  }
  auto worker = std::make_unique<Worker>();
  worker->scratch = parts_.model->scratch(withLengths);
  return worker;
}

void Tokenizer::giveBack(WorkerPointer worker, bool withLengths) const {
  worker->scratch->lengths.clear();
  const std::lock_guard<std::mutex> lock(mutex_);
  idle_[withLengths ? 1 : 0].push_back(std::move(worker));
}

void Tokenizer::encodePiece(std::string_view piece, std::vector<uint32_t>& ids, Scratch& scratch) const {
  if (!parts_.spaceWords) {
    parts_.model->encode(piece, ids, scratch);
    return;
  }
  // A word goes up to the next U+2581 that follows something else.
  size_t begin = 0;
  for (size_t at = piece.find(kBlock, 1); at != std::string_view::npos;
       at = piece.find(kBlock, at + kBlock.size())) {
    if (piece.substr(0, at).ends_with(kBlock)) continue;
    parts_.model->encode(piece.substr(begin, at - begin), ids, scratch);
    begin = at;
  }
  parts_.model->encode(piece.substr(begin), ids, scratch);
}

void Tokenizer::encodeNormalized(std::string_view text, bool first, std::vector<uint32_t>& ids,
                                 Worker& worker) const {
  if (text.empty()) return;
  const PreTokenizer* cutter = parts_.preTokenizer.get();
  if (cutter == nullptr) {
    encodePiece(text, ids, *worker.scratch);
    return;
  }
  if (!cutter->rewrites()) {
    cutter->split(text, worker.pieces);
    for (const Piece& piece : worker.pieces) {
      encodePiece(text.substr(piece.begin, piece.end - piece.begin), ids, *worker.scratch);
    }
    return;
  }
  Section& section = worker.section;
  section.text.assign(text);
  section.alignment = nullptr;
  section.first = first;
  wholeSection(section);
  cutter->apply(section);
  const std::string_view rewritten = section.text;
  for (const Piece& piece : section.pieces) {
    encodePiece(rewritten.substr(piece.begin, piece.end - piece.begin), ids, *worker.scratch);
  }
}

void Tokenizer::encodeSection(std::string_view section, bool first, bool later, std::vector<uint32_t>& ids,
                              Worker& worker) const {
  std::string_view text = section;
  const Normalizer* normalizer = (later ? parts_.laterNormalizer : parts_.normalizer).get();
  if (normalizer != nullptr && !normalizer->leaves(section)) {
    worker.normalized.assign(section);
    if (first && parts_.mindsFirst) {
      // What follows a beginning that the normalizer took away is not the first of its text.
      worker.alignment = identityAlignment(section);
      normalizer->apply(worker.normalized, &worker.alignment);
      first = !worker.alignment.empty() && worker.alignment[0].begin == 0;
    } else {
      normalizer->apply(worker.normalized, nullptr);
    }
    text = worker.normalized;
  }
  if (normalized_.empty()) {
    encodeNormalized(text, first, ids, worker);
    return;
  }
  worker.inner.clear();
  normalized_.split(text, worker.inner);
  for (const Stretch& stretch : worker.inner) {
    if (stretch.id != kNoToken) {
      ids.push_back(stretch.id);
    } else {
      encodeNormalized(text.substr(stretch.begin, stretch.end - stretch.begin), first && stretch.begin == 0,
                       ids, worker);
    }
  }
}

void Tokenizer::encodeText(std::string_view text, bool later, std::vector<uint32_t>& ids,
                           Worker& worker) const {
  if (text.empty()) return;
  if (raw_.empty()) {
    encodeSection(text, !later, later, ids, worker);
    return;
  }
  worker.stretches.clear();
  raw_.split(text, worker.stretches);
  for (const Stretch& stretch : worker.stretches) {
    if (stretch.id != kNoToken) {
      ids.push_back(stretch.id);
    } else {
      // A section after an added token begins anew, whatever part of the text it is in.
      const bool continued = later && stretch.begin == 0;
      encodeSection(text.substr(stretch.begin, stretch.end - stretch.begin), !later && stretch.begin == 0,
                    continued, ids, worker);
    }
  }
}

std::vector<uint32_t> Tokenizer::encode(std::string_view text, bool addSpecialTokens) const {
  WorkerPointer worker = take(false);
  std::vector<uint32_t>& own = worker->ids;
  own.clear();
  encodeText(text, false, own, *worker);
  std::vector<uint32_t> ids;
  for (const uint32_t id : addSpecialTokens ? specialFrame_ : frame_) {
    if (id == kNoToken) {
      ids.insert(ids.end(), own.begin(), own.end());
    } else {
      ids.push_back(id);
    }
  }
  giveBack(std::move(worker), false);
  return ids;
}

std::string Tokenizer::bytesOf(uint32_t id) const {
  const AddedToken* added = addedOf(id);
  if (added == nullptr) {
    if (!parts_.model->vocabulary().has(id)) return {};
    if (byteLevel_ && parts_.model->byteLevel()) return std::string(parts_.model->bytesOf(id));
  }
  const std::string token(added != nullptr ? std::string_view(addedTexts_.at(id))
                                           : parts_.model->tokenOf(id));
  if (byteLevel_) return bytesOfSpelling(token).value_or(token);
  if (added != nullptr) return token;
  const int byte = fallbackByte(token);
  if (byte >= 0) return std::string(1, static_cast<char>(byte));
  std::string out;
  for (size_t at = token.starts_with("##") ? 2 : 0; at < token.size();) {
    const bool block = token.compare(at, kBlock.size(), kBlock) == 0;
    if (block) {
      out += ' ';
    } else {
      out += token[at];
    }
    at += block ? kBlock.size() : 1;
  }
  return out;
}

std::string Tokenizer::decode(const uint32_t* ids, size_t count, bool skipSpecialTokens) const {
  const bool fast = byteLevel_ && parts_.model->byteLevel();
  std::string bytes;
  std::vector<std::string> tokens;
  for (size_t i = 0; i < count; ++i) {
    const AddedToken* added = addedById_.empty() ? nullptr : addedOf(ids[i]);
    if (added != nullptr && added->special && skipSpecialTokens) continue;
    if (byteLevel_) {
      if (fast && added == nullptr) {
        bytes += parts_.model->bytesOf(ids[i]);
      } else {
        bytes += bytesOf(ids[i]);
      }
      continue;
    }
    if (added != nullptr) {
      tokens.push_back(addedTexts_.at(ids[i]));
    } else if (parts_.model->vocabulary().has(ids[i])) {
      tokens.emplace_back(parts_.model->tokenOf(ids[i]));
    }
  }
  if (byteLevel_) return replaceInvalid(std::move(bytes));
  if (parts_.decoder != nullptr && !tokens.empty()) parts_.decoder->apply(tokens);
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0 && parts_.decoder == nullptr) bytes += ' ';
    bytes += tokens[i];
  }
  return replaceInvalid(std::move(bytes));
}

}  // namespace anneal::text
