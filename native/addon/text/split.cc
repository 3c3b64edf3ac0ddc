// split.cc — a part of a tokenizer.json and a text, to pieces or normalized text; a pattern and a text, to
// matches.
#include "addon/text/split.h"

#include <string>
#include <vector>

#include "addon/environment.h"
#include "addon/job.h"
#include "text/json/parser.h"
#include "text/regex/regex.h"
#include "text/tokenizer/field.h"
#include "text/tokenizer/read.h"
#include "text/unicode/utf8.h"

namespace anneal::addon {
namespace {

using text::Alignment;
using text::Piece;

// Bounds of ranges, one after the other, in UTF-16 units of `in`.
Napi::Uint32Array boundsArray(Napi::Env env, std::string_view in, std::vector<uint32_t>& bounds) {
  text::bytesToUtf16(in, bounds.data(), bounds.size());
  return copied<Napi::Uint32Array>(env, bounds.data(), bounds.size());
}

std::string stringArgument(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsString()) throwCoded(info.Env(), "ERR_NATIVE", "expected a string");
  return info[index].As<Napi::String>().Utf8Value();
}

// preTokenize(json, mapBytes, text): {text, pieces, offsets}, bounds in UTF-16 units.
Napi::Value preTokenize(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return runNow(env, [&]() -> Napi::Value {
    const std::string json = stringArgument(info, 0);
    const std::string name = "pre-tokenizer";
    const text::json::Document document = text::json::parse(json, {.name = name, .code = "ERR_TOKENIZER"});
    const text::PreTokenizerPointer preTokenizer =
        text::readPreTokenizer(text::Field(document.root(), "pre_tokenizer", name), info[1].ToBoolean());
    const std::string original = stringArgument(info, 2);
    text::Section section;
    section.text = original;
    Alignment alignment = text::identityAlignment(original);
    section.alignment = &alignment;
    text::wholeSection(section);
    preTokenizer->apply(section);
    std::vector<uint32_t> pieces;
    std::vector<uint32_t> offsets;
    for (const Piece piece : section.pieces) {
      pieces.insert(pieces.end(), {piece.begin, piece.end});
      offsets.insert(offsets.end(), {alignment[piece.begin].begin, alignment[piece.end - 1].end});
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("text", Napi::String::New(env, section.text));
    result.Set("pieces", boundsArray(env, section.text, pieces));
    result.Set("offsets", boundsArray(env, original, offsets));
    return result;
  });
}

// normalizeText(json, text): {text, offsets}; two bounds in the original for every character of the result.
Napi::Value normalizeText(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return runNow(env, [&]() -> Napi::Value {
    const std::string json = stringArgument(info, 0);
    const std::string name = "normalizer";
    const text::json::Document document = text::json::parse(json, {.name = name, .code = "ERR_TOKENIZER"});
    const text::NormalizerPointer normalizer =
        text::readNormalizer(text::Field(document.root(), "normalizer", name));
    const std::string original = stringArgument(info, 1);
    std::string normalized = original;
    Alignment alignment = text::identityAlignment(original);
    normalizer->apply(normalized, &alignment);
    std::vector<uint32_t> offsets;
    for (size_t at = 0; at < normalized.size();) {
      offsets.insert(offsets.end(), {alignment[at].begin, alignment[at].end});
      at += text::characterLength(static_cast<unsigned char>(normalized[at]));
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("text", Napi::String::New(env, normalized));
    result.Set("offsets", boundsArray(env, original, offsets));
    return result;
  });
}

// matchPattern(pattern, rust, text): bounds of all matches in UTF-16 units.
Napi::Value matchPattern(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return runNow(env, [&]() -> Napi::Value {
    const text::Regex regex(stringArgument(info, 0),
                            info[1].ToBoolean() ? text::Dialect::kRust : text::Dialect::kOniguruma);
    const std::string subject = stringArgument(info, 2);
    std::vector<uint32_t> bounds;
    text::Matches matches(regex, subject);
    for (text::Match match; matches.next(match);) {
      bounds.insert(bounds.end(), {static_cast<uint32_t>(match.begin), static_cast<uint32_t>(match.end)});
    }
    return boundsArray(env, subject, bounds);
  });
}

// tiktokenPieces(pattern, text): bounds of the pieces that tiktoken makes, in UTF-16 units.
Napi::Value tiktokenPieces(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return runNow(env, [&]() -> Napi::Value {
    const text::PreTokenizerPointer split = text::makeTiktokenSplit(stringArgument(info, 0));
    const std::string subject = stringArgument(info, 1);
    std::vector<Piece> pieces;
    split->split(subject, pieces);
    std::vector<uint32_t> bounds;
    for (const Piece piece : pieces) bounds.insert(bounds.end(), {piece.begin, piece.end});
    return boundsArray(env, subject, bounds);
  });
}

}  // namespace

void exportSplit(Napi::Env env, Napi::Object exports) {
  exports.Set("preTokenize", Napi::Function::New(env, preTokenize, "preTokenize"));
  exports.Set("normalizeText", Napi::Function::New(env, normalizeText, "normalizeText"));
  exports.Set("matchPattern", Napi::Function::New(env, matchPattern, "matchPattern"));
  exports.Set("tiktokenPieces", Napi::Function::New(env, tiktokenPieces, "tiktokenPieces"));
}

}  // namespace anneal::addon
