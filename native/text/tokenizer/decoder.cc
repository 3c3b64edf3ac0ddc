#include "text/tokenizer/decoder.h"

#include <array>
#include <optional>
#include <utility>

#include "text/model/byte_alphabet.h"
#include "text/normalize/normalizer.h"
#include "text/tokenizer/read.h"
#include "text/unicode/utf8.h"

namespace anneal::text {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr int kDeepest = 16;

void replaceAll(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty()) return;
  size_t at = text.find(from);
  if (at == std::string::npos) return;
  std::string out;
  size_t done = 0;
  for (; at != std::string::npos; at = text.find(from, done)) {
    out.append(text, done, at - done);
    out += to;
    done = at + from.size();
  }
  out.append(text, done);
  text = std::move(out);
}

// English spacing and contractions, as the WordPiece decoder tidies them.
void cleanUp(std::string& text) {
  constexpr std::array<std::array<std::string_view, 2>, 11> rules{{{" .", "."},
                                                                   {" ?", "?"},
                                                                   {" !", "!"},
                                                                   {" ,", ","},
                                                                   {" ' ", "'"},
                                                                   {" n't", "n't"},
                                                                   {" 'm", "'m"},
                                                                   {" do not", " don't"},
                                                                   {" 's", "'s"},
                                                                   {" 've", "'ve"},
                                                                   {" 're", "'re"}}};
  for (const auto& [from, to] : rules) replaceAll(text, from, to);
}

class ByteLevelDecoder final : public Decoder {
 public:
  bool byteLevel() const override { return true; }
  void apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) {
      const std::optional<std::string> own = bytesOfSpelling(token);
      bytes += own ? *own : token;
    }
    tokens.assign(1, replaceInvalid(std::move(bytes)));
  }
};

class WordPieceDecoder final : public Decoder {
 public:
  WordPieceDecoder(std::string prefix, bool cleanup) : prefix_(std::move(prefix)), cleanup_(cleanup) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      std::string& token = tokens[i];
      if (i > 0) {
        if (token.starts_with(prefix_)) {
          token.erase(0, prefix_.size());
        } else {
          token.insert(0, " ");
        }
      }
      if (cleanup_) cleanUp(token);
    }
  }

 private:
  std::string prefix_;
  bool cleanup_;
};

class BpeDecoder final : public Decoder {
 public:
  explicit BpeDecoder(std::string suffix) : suffix_(std::move(suffix)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i)
      replaceAll(tokens[i], suffix_, i + 1 == tokens.size() ? "" : " ");
  }

 private:
  std::string suffix_;
};

class MetaspaceDecoder final : public Decoder {
 public:
  MetaspaceDecoder(char32_t replacement, bool prepends) : prepends_(prepends) {
    append(replacement_, replacement);
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i)
      replaceAll(tokens[i], replacement_, i == 0 && prepends_ ? "" : " ");
  }

 private:
  std::string replacement_;
  bool prepends_;
};

class ByteFallbackDecoder final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (firstInvalid(bytes) == bytes.size()) {
        out.push_back(bytes);
      } else {
        out.insert(out.end(), bytes.size(), std::string(kReplacement));
      }
      bytes.clear();
    };
    for (std::string& token : tokens) {
      const int byte = fallbackByte(token);
      if (byte >= 0) {
        bytes.push_back(static_cast<char>(byte));
      } else {
        flush();
        out.push_back(std::move(token));
      }
    }
    flush();
    tokens = std::move(out);
  }
};

class FuseDecoder final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string whole;
    for (const std::string& token : tokens) whole += token;
    tokens.assign(1, std::move(whole));
  }
};

class StripDecoder final : public Decoder {
 public:
  StripDecoder(char32_t content, size_t start, size_t stop) : start_(start), stop_(stop) {
    append(content_, content);
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      size_t begin = 0;
      for (size_t i = 0; i < start_ && token.compare(begin, content_.size(), content_) == 0; ++i) {
        begin += content_.size();
      }
      size_t end = token.size();
      for (size_t i = 0; i < stop_ && end - begin >= content_.size(); ++i) {
        if (token.compare(end - content_.size(), content_.size(), content_) != 0) break;
        end -= content_.size();
      }
      token = token.substr(begin, end - begin);
    }
  }

 private:
  std::string content_;
  size_t start_;
  size_t stop_;
};

class ReplaceDecoder final : public Decoder {
 public:
  explicit ReplaceDecoder(NormalizerPointer replace) : replace_(std::move(replace)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) replace_->apply(token, nullptr);
  }

 private:
  NormalizerPointer replace_;
};

class CtcDecoder final : public Decoder {
 public:
  CtcDecoder(std::string pad, std::string delimiter, bool cleanup)
      : pad_(std::move(pad)), delimiter_(std::move(delimiter)), cleanup_(cleanup) {}
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (i > 0 && tokens[i] == tokens[i - 1]) continue;
      std::string token = tokens[i];
      replaceAll(token, pad_, "");
      if (cleanup_) {
        cleanUp(token);
        replaceAll(token, delimiter_, " ");
      }
      if (!token.empty()) out.push_back(std::move(token));
    }
    tokens = std::move(out);
  }

 private:
  std::string pad_;
  std::string delimiter_;
  bool cleanup_;
};

class DecoderSequence final : public Decoder {
 public:
  explicit DecoderSequence(std::vector<std::unique_ptr<const Decoder>> members)
      : members_(std::move(members)) {}
  bool byteLevel() const override { return members_.size() == 1 && members_[0]->byteLevel(); }
  void apply(std::vector<std::string>& tokens) const override {
    for (const auto& member : members_) member->apply(tokens);
  }

 private:
  std::vector<std::unique_ptr<const Decoder>> members_;
};

std::unique_ptr<const Decoder> read(const Field& part, int depth) {
  if (depth > kDeepest) part.fail("decoders are nested deeper than 16 levels");
  const std::string type = part.type();
  if (type == "ByteLevel") return std::make_unique<ByteLevelDecoder>();
  if (type == "WordPiece") {
    return std::make_unique<WordPieceDecoder>(part.string("prefix"), part.boolean("cleanup"));
  }
  if (type == "BPEDecoder") return std::make_unique<BpeDecoder>(part.string("suffix"));
  if (type == "Metaspace") {
    const MetaspaceFields fields = readMetaspace(part);
    return std::make_unique<MetaspaceDecoder>(fields.replacement, fields.scheme != PrependScheme::kNever);
  }
  if (type == "ByteFallback") return std::make_unique<ByteFallbackDecoder>();
  if (type == "Fuse") return std::make_unique<FuseDecoder>();
  if (type == "Strip") {
    return std::make_unique<StripDecoder>(part.member("content").character(), part.member("start").count(),
                                          part.member("stop").count());
  }
  if (type == "Replace") return std::make_unique<ReplaceDecoder>(readReplace(part));
  if (type == "CTC") {
    return std::make_unique<CtcDecoder>(part.string("pad_token"), part.string("word_delimiter_token"),
                                        part.boolean("cleanup"));
  }
  if (type == "Sequence") {
    std::vector<std::unique_ptr<const Decoder>> members;
    const Field list = part.member("decoders");
    for (size_t i = 0; i < list.list().value().size(); ++i) members.push_back(read(list.item(i), depth + 1));
    return std::make_unique<DecoderSequence>(std::move(members));
  }
  part.unknown(
      "decoder",
      "ByteLevel, WordPiece, BPEDecoder, Metaspace, ByteFallback, Fuse, Strip, Replace, CTC and Sequence");
}

}  // namespace

std::unique_ptr<const Decoder> readDecoder(const Field& part) { return read(part, 0); }

std::string replaceInvalid(std::string bytes) {
  size_t at = firstInvalid(bytes);
  if (at == bytes.size()) return bytes;
  std::string out(bytes, 0, at);
  while (at < bytes.size()) {
    // One replacement for the longest beginning of a valid sequence, at least one byte.
    const auto byte = [&](size_t i) {
      return at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0U;
    };
    const unsigned lead = byte(0);
    size_t length = 1;
    if (lead >= 0xE0 && lead <= 0xF4) {
      const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
      const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
      if (byte(1) >= low && byte(1) <= high) {
        length = 2;
        if (lead >= 0xF0 && (byte(2) & 0xC0) == 0x80) length = 3;
      }
    }
    out += kReplacement;
    at += length;
    const std::string_view rest = std::string_view(bytes).substr(at);
    const size_t valid = firstInvalid(rest);
    out += rest.substr(0, valid);
    at += valid;
  }
  return out;
}

int fallbackByte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int value = 0;
  for (const char digit : token.substr(3, 2)) {
    if (digit >= '0' && digit <= '9') {
      value = value * 16 + (digit - '0');
    } else if (digit >= 'A' && digit <= 'F') {
      value = value * 16 + (digit - 'A' + 10);
    } else if (digit >= 'a' && digit <= 'f') {
      value = value * 16 + (digit - 'a' + 10);
    } else {
      return -1;
    }
  }
  return value;
}

}  // namespace anneal::text
