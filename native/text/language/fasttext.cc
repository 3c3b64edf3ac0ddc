#include "text/language/fasttext.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "text/error.h"
#include "text/parallel.h"

namespace anneal::text {
namespace {

constexpr int32_t kMagic = 793712314;
constexpr int32_t kNewestVersion = 12;
// Version 11 wrote models that do not use character n-grams, whatever their settings say.
constexpr int32_t kVersionWithoutCharacters = 11;
constexpr int32_t kSupervised = 3;
// fastText reads the sigmoid from a table.
constexpr int32_t kSigmoidPlaces = 512;
constexpr int32_t kSigmoidReach = 8;
constexpr size_t kTextsPerCheck = 64;

// Scores are compared and kept as logarithms of slightly more than the probability.
float scoreLog(float probability) {
  return static_cast<float>(std::log(static_cast<double>(probability) + 1e-5));
}

bool isBetter(const FastTextPrediction& a, const FastTextPrediction& b) { return a.score > b.score; }

// Keeps the k best of what is offered; the worst of them is in front. Which of equal scores stay follows from
// the order of these steps, which is fastText's.
void offer(std::vector<FastTextPrediction>* best, size_t k, FastTextPrediction candidate) {
  if (best->size() == k && candidate.score < best->front().score) return;
  best->push_back(candidate);
  std::push_heap(best->begin(), best->end(), isBetter);
  if (best->size() > k) {
    std::pop_heap(best->begin(), best->end(), isBetter);
    best->pop_back();
  }
}

FastTextSettings readSettings(ModelFile& file) {
  if (file.remaining() < 8 || file.value<int32_t>("the header") != kMagic) {
    file.fail("this is not a fastText model (.bin or .ftz)");
  }
  const auto version = file.value<int32_t>("the header");
  if (version < kVersionWithoutCharacters || version > kNewestVersion) {
    file.fail("fastText files of version " + std::to_string(version) +
              " cannot be read; versions 11 and 12 can");
  }
  const char* part = "the settings";
  FastTextSettings settings;
  settings.dimensions = file.value<int32_t>(part);
  for (int skipped = 0; skipped < 4; ++skipped)
    file.value<int32_t>(part);  // window, epochs, least count, negatives
  settings.wordNgrams = file.value<int32_t>(part);
  settings.loss = file.value<int32_t>(part);
  const auto model = file.value<int32_t>(part);
  settings.buckets = file.value<int32_t>(part);
  settings.minCharacters = file.value<int32_t>(part);
  settings.maxCharacters = file.value<int32_t>(part);
  file.value<int32_t>(part);  // updates of the learning rate
  file.value<double>(part);   // sampling threshold
  if (model != kSupervised) {
    file.fail("this fastText model holds word vectors, not labels: a supervised model is needed");
  }
  if (version == kVersionWithoutCharacters) settings.maxCharacters = 0;
  if (settings.loss < 1 || settings.loss > 4) {
    file.fail("the loss has the number " + std::to_string(settings.loss) + ", not 1 to 4");
  }
  if (settings.buckets < 0 ||
      (settings.buckets == 0 && (settings.maxCharacters > 0 || settings.wordNgrams > 1))) {
    file.fail("the model uses n-grams with " + std::to_string(settings.buckets) + " buckets");
  }
  return settings;
}

}  // namespace

FastTextModel::FastTextModel(const std::string& path, const std::function<void()>& check) : path_(path) {
  ModelFile file(path);
  settings_ = readSettings(file);
  loss_ = static_cast<FastTextLoss>(settings_.loss);
  dictionary_.load(file, settings_);
  check();
  quantised_ = file.flag("the input matrix");
  input_.load(file, quantised_, "the input matrix");
  check();
  const bool quantisedOutput = file.flag("the output matrix");
  output_.load(file, quantised_ && quantisedOutput, "the output matrix");
  if (dictionary_.pruned() && !quantised_) {
    file.fail("n-grams are pruned but the matrix is not quantised: the model is of an early, faulty version");
  }
  if (input_.columns() != settings_.dimensions || output_.columns() != settings_.dimensions) {
    file.fail("the matrices have " + std::to_string(input_.columns()) + " and " +
              std::to_string(output_.columns()) + " columns for " + std::to_string(settings_.dimensions) +
              " dimensions");
  }
  if (input_.rows() < dictionary_.rowsNeeded()) {
    file.fail("the input matrix has " + std::to_string(input_.rows()) + " rows, the dictionary needs " +
              std::to_string(dictionary_.rowsNeeded()));
  }
  if (output_.rows() != dictionary_.labels()) {
    file.fail("the output matrix has " + std::to_string(output_.rows()) + " rows for " +
              std::to_string(dictionary_.labels()) + " labels");
  }
  if (file.remaining() != 0) file.fail(std::to_string(file.remaining()) + " bytes follow the model");
  if (loss_ == FastTextLoss::kHierarchicalSoftmax) {
    if (!tree_.build(dictionary_.labelCounts())) file.fail("the counts of the labels make no tree");
  } else {
    output_.transpose();
  }
  if (loss_ == FastTextLoss::kNegativeSampling || loss_ == FastTextLoss::kOneVsAll) {
    sigmoids_.reserve(kSigmoidPlaces + 1);
    for (int32_t i = 0; i <= kSigmoidPlaces; ++i) {
      const float x = static_cast<float>(i * 2 * kSigmoidReach) / kSigmoidPlaces - kSigmoidReach;
      sigmoids_.push_back(static_cast<float>(1.0 / (1.0 + static_cast<double>(std::exp(-x)))));
    }
  }
}

uint64_t FastTextModel::bytes() const { return dictionary_.bytes() + input_.bytes() + output_.bytes(); }

float FastTextModel::sigmoid(float value) const {
  if (value < -kSigmoidReach) return 0;
  if (value > kSigmoidReach) return 1;
  return sigmoids_[static_cast<size_t>((value + kSigmoidReach) * kSigmoidPlaces / kSigmoidReach / 2)];
}

// Sums of a sound model are finite; what follows relies on it.
void FastTextModel::checkFinite(const std::vector<float>& values) const {
  for (const float value : values) {
    if (!std::isfinite(value)) {
      throw TextError("ERR_FORMAT",
                      path_ + ": the model holds values that are not finite. Get the model again.",
                      {{"path", path_}});
    }
  }
}

// output[labels] = probabilities from hidden[dimensions]
void FastTextModel::scoreAll(Scratch* scratch) const {
  std::vector<float>& output = scratch->output;
  output_.multiply(scratch->hidden.data(), output.data());
  checkFinite(output);
  if (loss_ != FastTextLoss::kSoftmax) {
    for (float& value : output) value = sigmoid(value);
    return;
  }
  const float most = *std::max_element(output.begin(), output.end());
  float sum = 0;
  for (float& value : output) {
    value = static_cast<float>(std::exp(static_cast<double>(value - most)));
    sum += value;
  }
  for (float& value : output) value /= sum;
}

// Goes down the tree, leaving out branches that can no longer be among the k best.
void FastTextModel::searchTree(int32_t k, float threshold, Scratch* scratch) const {
  struct Branch {
    int32_t node;
    float score;
  };
  const auto least = scoreLog(threshold);
  std::vector<Branch> open{{tree_.root(), 0.0F}};
  while (!open.empty()) {
    const auto [node, score] = open.back();
    open.pop_back();
    if (score < least) continue;
    if (scratch->best.size() == static_cast<size_t>(k) && score < scratch->best.front().score) continue;
    if (node < tree_.leaves) {
      offer(&scratch->best, k, {score, node});
      continue;
    }
    const int32_t inner = node - tree_.leaves;
    float chance = output_.dot(inner, scratch->hidden.data());
    if (!std::isfinite(chance)) checkFinite({chance});
    chance = static_cast<float>(1. / (1 + std::exp(-chance)));
    open.push_back({tree_.right[inner], score + scoreLog(chance)});
    open.push_back({tree_.left[inner], score + scoreLog(static_cast<float>(1.0 - chance))});
  }
}

void FastTextModel::predictOne(std::string_view text, int32_t k, float threshold, Scratch* scratch) const {
  scratch->best.clear();
  dictionary_.rows(text, &scratch->rows, &scratch->hashes);
  if (scratch->rows.empty()) return;
  std::vector<float>& hidden = scratch->hidden;
  input_.sumRows(scratch->rows.data(), scratch->rows.size(), hidden.data());
  const auto share = static_cast<float>(1.0 / static_cast<double>(scratch->rows.size()));
  for (float& value : hidden) value *= share;
  checkFinite(hidden);
  if (loss_ == FastTextLoss::kHierarchicalSoftmax) {
    searchTree(k, threshold, scratch);
  } else {
    scoreAll(scratch);
    for (size_t label = 0; label < scratch->output.size(); ++label) {
      const float probability = scratch->output[label];
      if (probability < threshold) continue;
      offer(&scratch->best, k, {scoreLog(probability), static_cast<int32_t>(label)});
    }
  }
  std::sort_heap(scratch->best.begin(), scratch->best.end(), isBetter);
  for (FastTextPrediction& prediction : scratch->best) prediction.score = std::exp(prediction.score);
}

void FastTextModel::predict(const TextBatch& batch, int32_t k, float threshold, unsigned threads,
                            int32_t* labels, float* scores,
                            const std::function<void(size_t done)>& check) const {
  std::vector<Scratch> scratches(std::max(threads, 1U));
  std::atomic<size_t> done{0};
  parallelFor(batch.count, threads, 16, [&](size_t index, unsigned worker) {
    Scratch& scratch = scratches[worker];
    scratch.hidden.resize(settings_.dimensions);
    scratch.output.resize(this->labels());
    predictOne(batch[index], k, threshold, &scratch);
    for (int32_t i = 0; i < k; ++i) {
      const bool present = static_cast<size_t>(i) < scratch.best.size();
      labels[index * k + i] = present ? scratch.best[i].label : -1;
      scores[index * k + i] = present ? scratch.best[i].score : 0;
    }
    const size_t finished = done.fetch_add(1, std::memory_order_relaxed) + 1;
    if (finished % kTextsPerCheck == 0) check(finished);
  });
}

}  // namespace anneal::text
