// fasttext.h — supervised fastText models (.bin and quantised .ftz): which labels a text has, with fastText's
// own scores.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "text/batch.h"
#include "text/language/fasttext_dictionary.h"
#include "text/language/huffman_tree.h"
#include "text/language/matrix.h"

namespace anneal::text {

enum class FastTextLoss : int32_t {
  kHierarchicalSoftmax = 1,
  kNegativeSampling = 2,
  kSoftmax = 3,
  kOneVsAll = 4
};

// One label of a text; as in fastText the score may exceed 1 by 1e-5.
struct FastTextPrediction {
  float score = 0;
  int32_t label = 0;
};

class FastTextModel {
 public:
  // Reads a model. Throws ERR_DATA when the file cannot be read and ERR_FORMAT when it is not a whole
  // supervised model. `check` is called between parts and may throw to stop.
  FastTextModel(const std::string& path, const std::function<void()>& check);

  const FastTextSettings& settings() const { return settings_; }
  bool quantised() const { return quantised_; }
  int32_t words() const { return dictionary_.words(); }
  int32_t labels() const { return dictionary_.labels(); }
  std::string_view label(int32_t index) const { return dictionary_.label(index); }
  // Memory that the model takes.
  uint64_t bytes() const;

  // The `k` best labels of every text with a score of at least `threshold`, best first (equal scores in
  // fastText's order): labels[text][k] (-1 where there are fewer) and scores[text][k]. `check` is called from
  // any thread and may throw to stop.
  void predict(const TextBatch& batch, int32_t k, float threshold, unsigned threads, int32_t* labels,
               float* scores, const std::function<void(size_t done)>& check) const;

 private:
  // What one thread needs.
  struct Scratch {
    std::vector<int32_t> rows;
    std::vector<int32_t> hashes;
    std::vector<float> hidden;
    std::vector<float> output;
    std::vector<FastTextPrediction> best;
  };

  FastTextSettings settings_;
  FastTextLoss loss_ = FastTextLoss::kSoftmax;
  bool quantised_ = false;
  FastTextDictionary dictionary_;
  Matrix input_;
  Matrix output_;
  HuffmanTree tree_;
  std::vector<float> sigmoids_;
  std::string path_;

  void predictOne(std::string_view text, int32_t k, float threshold, Scratch* scratch) const;
  void checkFinite(const std::vector<float>& values) const;
  void scoreAll(Scratch* scratch) const;
  void searchTree(int32_t k, float threshold, Scratch* scratch) const;
  float sigmoid(float value) const;
};

}  // namespace anneal::text
