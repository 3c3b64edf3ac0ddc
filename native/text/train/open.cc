#include "text/train/open.h"

#include <string>
#include <utility>

#include "text/json/parser.h"
#include "text/tokenizer/read.h"

namespace anneal::text {

OpenCounts openCounts(std::string_view parts, bool bpe) {
  const std::string name = "the tokenizer to be trained";
  json::ParseOptions options;
  options.name = name;
  options.code = "ERR_TOKENIZER";
  const json::Document document = json::parse(parts, options);
  const Field root(document.root(), "", name);
  const Field preTokenizer = root.member("pre_tokenizer");
  const bool byteLevel = bpe && endsInByteLevel(preTokenizer);
  NormalizerPointer normalize;
  PreTokenizerPointer cut;
  if (root.has("normalizer")) normalize = readNormalizer(root.member("normalizer"));
  if (root.has("pre_tokenizer")) cut = readPreTokenizer(preTokenizer, !byteLevel);
  return {std::make_unique<WordCounts>(std::move(normalize), std::move(cut)), byteLevel};
}

}  // namespace anneal::text
