#include "text/tokenizer/post_processor.h"

#include <algorithm>
#include <utility>

#include "text/error.h"
#include "text/model/vocabulary.h"
#include "text/unicode/utf8.h"

namespace anneal::text {
namespace {

constexpr int kDeepest = 16;

// A token and its id, as ["[SEP]", 102].
uint32_t tokenId(const Field& pair) {
  if (pair.list().value().size() != 2) pair.refuse("a token and its id");
  pair.item(0).string();
  return static_cast<uint32_t>(pair.item(1).count());
}

// Moves an offset over up to `characters` characters of the original, but not past `limit`.
uint32_t forward(std::string_view original, uint32_t from, uint32_t characters, uint32_t limit) {
  const char* at = original.data() + from;
  for (; characters > 0 && at < original.data() + limit; --characters) decode(at);
  return static_cast<uint32_t>(at - original.data());
}

uint32_t backward(std::string_view original, uint32_t from, uint32_t characters, uint32_t limit) {
  const char* at = original.data() + from;
  for (; characters > 0 && at > original.data() + limit; --characters) decodeBackward(original.data(), at);
  return static_cast<uint32_t>(at - original.data());
}

}  // namespace

void Encoding::push(uint32_t id, ByteRange range, uint8_t typeId, bool isSpecial) {
  ids.push_back(id);
  offsets.push_back(range);
  typeIds.push_back(typeId);
  special.push_back(isSpecial ? 1 : 0);
  sequence.push_back(0);
  edges.push_back({0, 0});
}

void Encoding::append(const Encoding& other) {
  const auto join = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  join(ids, other.ids);
  join(offsets, other.offsets);
  join(typeIds, other.typeIds);
  join(special, other.special);
  join(sequence, other.sequence);
  join(edges, other.edges);
}

PostProcessor::PostProcessor(const Field& part) { read(part, 0); }

void PostProcessor::read(const Field& part, int depth) {
  if (depth > kDeepest) part.fail("post-processors are nested deeper than 16 levels");
  const std::string type = part.type();
  if (type == "Sequence") {
    const Field members = part.member("processors");
    for (size_t i = 0; i < members.list().value().size(); ++i) read(members.item(i), depth + 1);
  } else if (type == "ByteLevel") {
    const bool addPrefixSpace = part.boolean("add_prefix_space");
    part.boolean("use_regex", true);
    if (part.boolean("trim_offsets")) {
      steps_.push_back(TrimOffsets{addPrefixSpace});
      trims_ = true;
    }
  } else if (type == "RobertaProcessing" || type == "BertProcessing") {
    const bool roberta = type == "RobertaProcessing";
    const Separated separated{tokenId(part.member("cls")), tokenId(part.member("sep")), roberta};
    if (roberta) {
      const bool addPrefixSpace = part.boolean("add_prefix_space", true);
      if (part.boolean("trim_offsets", true)) {
        steps_.push_back(TrimOffsets{addPrefixSpace});
        trims_ = true;
      }
    }
    steps_.push_back(separated);
  } else if (type == "TemplateProcessing") {
    const Field specials = part.member("special_tokens");
    specials.object();
    steps_.push_back(Template{readTemplate(part.member("single"), specials, false),
                              readTemplate(part.member("pair"), specials, true)});
  } else {
    part.unknown("post-processor",
                 "TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel and Sequence");
  }
}

std::vector<PostProcessor::TemplatePiece> PostProcessor::readTemplate(const Field& pieces,
                                                                      const Field& specials, bool pair) {
  std::vector<TemplatePiece> out;
  for (size_t i = 0; i < pieces.list().value().size(); ++i) {
    const Field piece = pieces.item(i);
    piece.object();
    const bool sequence = piece.has("Sequence");
    if (sequence == piece.has("SpecialToken")) piece.refuse("a \"Sequence\" or a \"SpecialToken\"");
    const Field part = piece.member(sequence ? "Sequence" : "SpecialToken");
    const std::string id = part.string("id");
    TemplatePiece read{-1, static_cast<uint8_t>(part.member("type_id").count(255)), {}};
    if (sequence) {
      if (id != "A" && id != "B") part.member("id").refuse("\"A\" or \"B\"");
      if (id == "B" && !pair) part.member("id").refuse("\"A\" in a template for one text");
      read.text = id == "A" ? 0 : 1;
    } else {
      if (!specials.has(id))
        part.fail(specials.place() + " has no " + quote(id) + ", which the template names");
      const Field ids = specials.member(id).member("ids");
      for (size_t j = 0; j < ids.list().value().size(); ++j) {
        read.ids.push_back(static_cast<uint32_t>(ids.item(j).count(kNoToken - 1)));
      }
    }
    out.push_back(std::move(read));
  }
  return out;
}

void PostProcessor::apply(const TrimOffsets& step, std::vector<Encoding>& parts,
                          const std::vector<std::string_view>& originals) {
  for (Encoding& part : parts) {
    for (size_t i = 0; i < part.ids.size(); ++i) {
      if (part.special[i] != 0) continue;
      auto [leading, trailing] = part.edges[i];
      ByteRange& range = part.offsets[i];
      const std::string_view original = originals[part.sequence[i]];
      if (leading > 0) {
        // One space at the very beginning is the prefix space; it takes nothing off the original.
        if (step.addPrefixSpace && leading == 1 && (i == 0 || range.begin == 0)) leading = 0;
        range.begin = forward(original, range.begin, leading, range.end);
      }
      if (trailing > 0) range.end = backward(original, range.end, trailing, range.begin);
    }
  }
}

void PostProcessor::apply(const Separated& step, std::vector<Encoding>& parts, bool addSpecialTokens) {
  if (step.roberta) {
    for (Encoding& part : parts) std::fill(part.typeIds.begin(), part.typeIds.end(), uint8_t{0});
  }
  if (!addSpecialTokens) return;
  for (size_t i = 0; i < parts.size(); ++i) {
    Encoding whole;
    const uint8_t typeId = i > 0 && !step.roberta ? 1 : 0;
    if (i == 0 || step.roberta) whole.push(i == 0 ? step.cls : step.sep, {}, typeId, true);
    whole.append(parts[i]);
    whole.push(step.sep, {}, typeId, true);
    parts[i] = std::move(whole);
  }
}

void PostProcessor::apply(const Template& step, std::vector<Encoding>& parts, bool addSpecialTokens) {
  if (parts.empty() || parts.size() > 2) {
    throw TextError("ERR_TOKENIZER", "A TemplateProcessing post-processor gets " +
                                         std::to_string(parts.size()) +
                                         " texts from the post-processor before it; it takes one or two.");
  }
  std::vector<Encoding> out;
  for (const TemplatePiece& piece : parts.size() == 2 ? step.pair : step.single) {
    if (piece.text >= 0) {
      out.push_back(parts[static_cast<size_t>(piece.text)]);
      std::fill(out.back().typeIds.begin(), out.back().typeIds.end(), piece.typeId);
    } else if (addSpecialTokens) {
      Encoding special;
      for (const uint32_t id : piece.ids) special.push(id, {}, piece.typeId, true);
      out.push_back(std::move(special));
    }
  }
  parts = std::move(out);
}

Encoding PostProcessor::process(std::vector<Encoding> texts, const std::vector<std::string_view>& originals,
                                bool addSpecialTokens) const {
  for (size_t i = 0; i < texts.size(); ++i) {
    texts[i].typeIds.assign(texts[i].ids.size(), static_cast<uint8_t>(i));
    texts[i].sequence.assign(texts[i].ids.size(), static_cast<uint8_t>(i));
    texts[i].edges.resize(texts[i].ids.size(), {0, 0});
  }
  for (const Step& step : steps_) {
    if (const auto* trim = std::get_if<TrimOffsets>(&step)) {
      apply(*trim, texts, originals);
    } else if (const auto* separated = std::get_if<Separated>(&step)) {
      apply(*separated, texts, addSpecialTokens);
    } else {
      apply(std::get<Template>(step), texts, addSpecialTokens);
    }
  }
  Encoding whole;
  for (const Encoding& text : texts) whole.append(text);
  return whole;
}

std::vector<uint32_t> PostProcessor::frame(bool addSpecialTokens) const {
  Encoding text;
  text.push(kNoToken, {}, 0, false);
  return process({text}, {std::string_view()}, addSpecialTokens).ids;
}

}  // namespace anneal::text
