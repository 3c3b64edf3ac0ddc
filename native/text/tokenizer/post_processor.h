// post_processor.h — what is put around encoded texts: begin, end and separator tokens, type ids, and trimmed
// offsets.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/normalize/alignment.h"
#include "text/tokenizer/field.h"

namespace anneal::text {

// A text's tokens with all that is known of each.
struct Encoding {
  std::vector<uint32_t> ids;
  // Bytes of the original text that each token stands for; {0, 0} for tokens that a post-processor put in.
  std::vector<ByteRange> offsets;
  std::vector<uint8_t> typeIds;
  // 1 for tokens that a post-processor put in.
  std::vector<uint8_t> special;
  // Which text of a pair a token belongs to; 0 for tokens that a post-processor put in.
  std::vector<uint8_t> sequence;
  // White space at the beginning and the end of each token, in characters; empty unless offsets are to be
  // trimmed.
  std::vector<std::array<uint32_t, 2>> edges;

  void push(uint32_t id, ByteRange range, uint8_t typeId, bool isSpecial);
  void append(const Encoding& other);
};

// Immutable. A default one leaves texts as they are.
class PostProcessor {
 public:
  PostProcessor() = default;
  // `part` is the file's "post_processor". Throws TextError naming what is unknown or wrong.
  explicit PostProcessor(const Field& part);

  // Whether offsets lose white space, for which Encoding::edges is needed.
  bool trims() const { return trims_; }

  // One or two encoded texts and the originals that their offsets mean; type ids 0 and 1 are set here.
  Encoding process(std::vector<Encoding> texts, const std::vector<std::string_view>& originals,
                   bool addSpecialTokens) const;

  // The ids around a single text: kNoToken stands for the text's own.
  std::vector<uint32_t> frame(bool addSpecialTokens) const;

 private:
  struct TrimOffsets {
    bool addPrefixSpace;
  };
  // BERT's and RoBERTa's fixed templates.
  struct Separated {
    uint32_t cls;
    uint32_t sep;
    // RoBERTa: the second text has a separator before it as well, and all type ids are 0.
    bool roberta;
  };
  struct TemplatePiece {
    // Text 0 or 1, or -1 for special tokens.
    int text;
    uint8_t typeId;
    std::vector<uint32_t> ids;
  };
  struct Template {
    std::vector<TemplatePiece> single;
    std::vector<TemplatePiece> pair;
  };
  using Step = std::variant<TrimOffsets, Separated, Template>;

  void read(const Field& part, int depth);
  static std::vector<TemplatePiece> readTemplate(const Field& pieces, const Field& specials, bool pair);

  static void apply(const TrimOffsets& step, std::vector<Encoding>& parts,
                    const std::vector<std::string_view>& originals);
  static void apply(const Separated& step, std::vector<Encoding>& parts, bool addSpecialTokens);
  static void apply(const Template& step, std::vector<Encoding>& parts, bool addSpecialTokens);

  std::vector<Step> steps_;
  bool trims_ = false;
};

}  // namespace anneal::text
