#include "text/language/matrix.h"

#include <algorithm>
#include <string>

namespace anneal::text {
namespace {

// No real model comes near; above it products of sizes could overflow.
constexpr int64_t kMaxColumns = 1 << 16;
constexpr int64_t kMaxRows = int64_t{1} << 31;
// Columns of a dense row that are summed together, and rows that are fetched ahead.
constexpr int64_t kBlock = 16;
constexpr size_t kAhead = 12;

}  // namespace

void Quantiser::load(ModelFile& file, const char* part) {
  dimensions = file.value<int32_t>(part);
  parts = file.value<int32_t>(part);
  width = file.value<int32_t>(part);
  lastWidth = file.value<int32_t>(part);
  const bool fits = dimensions > 0 && dimensions <= kMaxColumns && parts > 0 && width > 0 &&
                    width <= dimensions && lastWidth > 0 && lastWidth <= width &&
                    int64_t{parts - 1} * width + lastWidth == dimensions;
  if (!fits) {
    file.fail(std::string(part) + " has a quantiser of " + std::to_string(parts) + " parts of " +
              std::to_string(width) + " (the last of " + std::to_string(lastWidth) + ") for " +
              std::to_string(dimensions) + " dimensions");
  }
  file.require(uint64_t{256} * dimensions, sizeof(float), part);
  centroids.resize(size_t{256} * dimensions);
  file.read(centroids.data(), centroids.size() * sizeof(float), part);
}

void Matrix::load(ModelFile& file, bool quantised, const char* part) {
  quantised_ = quantised;
  norms_ = quantised && file.flag(part);
  rows_ = file.value<int64_t>(part);
  columns_ = file.value<int64_t>(part);
  if (rows_ < 0 || rows_ > kMaxRows || columns_ < 1 || columns_ > kMaxColumns) {
    file.fail(std::string(part) + " is said to have " + std::to_string(rows_) + " x " +
              std::to_string(columns_) + " values");
  }
  if (!quantised) {
    file.require(static_cast<uint64_t>(rows_) * columns_, sizeof(float), part);
    values_.resize(static_cast<size_t>(rows_ * columns_));
    file.read(values_.data(), values_.size() * sizeof(float), part);
    return;
  }
  // A product of sizes that fastText keeps in 32 bits; the true one follows from the quantiser.
  const auto codeBytes = file.value<int32_t>(part);
  if (codeBytes < 0) file.fail(std::string(part) + " has " + std::to_string(codeBytes) + " bytes of codes");
  file.require(codeBytes, 1, part);
  codes_.resize(codeBytes);
  file.read(codes_.data(), codes_.size(), part);
  quantiser_.load(file, part);
  if (quantiser_.dimensions != columns_ || int64_t{quantiser_.parts} * rows_ != codeBytes) {
    file.fail(std::string(part) + " has " + std::to_string(codeBytes) + " codes for " +
              std::to_string(rows_) + " rows of " + std::to_string(quantiser_.parts));
  }
  if (!norms_) return;
  file.require(rows_, 1, part);
  normCodes_.resize(static_cast<size_t>(rows_));
  file.read(normCodes_.data(), normCodes_.size(), part);
  normQuantiser_.load(file, part);
  if (normQuantiser_.dimensions != 1) file.fail(std::string(part) + " has lengths of more than one value");
}

uint64_t Matrix::bytes() const {
  return (values_.size() + quantiser_.centroids.size() + normQuantiser_.centroids.size()) * sizeof(float) +
         codes_.size() + normCodes_.size();
}

void Matrix::sumRows(const int32_t* rows, size_t count, float* target) const {
  std::fill(target, target + columns_, 0.0F);
  if (quantised_) {
    for (size_t i = 0; i < count; ++i) addQuantisedRow(rows[i], target);
    return;
  }
  // Sixteen columns at a time stay in registers while all rows go by; the next rows are called for early,
  // because they lie anywhere in what may be gigabytes.
  int64_t column = 0;
  for (; column + kBlock <= columns_; column += kBlock) {
    const float* values = values_.data() + column;
    float sums[kBlock] = {};
    for (size_t i = 0; i < count; ++i) {
      if (i + kAhead < count) __builtin_prefetch(values + rows[i + kAhead] * columns_);
      const float* row = values + rows[i] * columns_;
      for (int64_t j = 0; j < kBlock; ++j) sums[j] += row[j];
    }
    std::copy(sums, sums + kBlock, target + column);
  }
  if (column == columns_) return;
  for (size_t i = 0; i < count; ++i) {
    const float* row = values_.data() + rows[i] * columns_;
    for (int64_t j = column; j < columns_; ++j) target[j] += row[j];
  }
}

void Matrix::addQuantisedRow(int64_t row, float* target) const {
  const float scale = norm(row);
  const uint8_t* codes = codes_.data() + row * quantiser_.parts;
  for (int32_t part = 0; part < quantiser_.parts; ++part) {
    const float* centroid = quantiser_.centroid(part, codes[part]);
    float* place = target + int64_t{part} * quantiser_.width;
    for (int32_t i = 0; i < quantiser_.widthOf(part); ++i) place[i] += scale * centroid[i];
  }
}

float Matrix::dot(int64_t row, const float* vector) const {
  float sum = 0;
  if (!quantised_) {
    const int64_t step = transposed_ ? rows_ : 1;
    const float* values = values_.data() + (transposed_ ? row : row * columns_);
    for (int64_t i = 0; i < columns_; ++i) sum += values[i * step] * vector[i];
    return sum;
  }
  const uint8_t* codes = codes_.data() + row * quantiser_.parts;
  for (int32_t part = 0; part < quantiser_.parts; ++part) {
    const float* centroid = quantiser_.centroid(part, codes[part]);
    const float* place = vector + int64_t{part} * quantiser_.width;
    for (int32_t i = 0; i < quantiser_.widthOf(part); ++i) sum += place[i] * centroid[i];
  }
  return sum * norm(row);
}

void Matrix::transpose() {
  if (quantised_ || transposed_) return;
  std::vector<float> turned(values_.size());
  for (int64_t row = 0; row < rows_; ++row) {
    for (int64_t column = 0; column < columns_; ++column) {
      turned[column * rows_ + row] = values_[row * columns_ + column];
    }
  }
  values_ = std::move(turned);
  transposed_ = true;
}

void Matrix::multiply(const float* vector, float* products) const {
  if (!transposed_) {
    for (int64_t row = 0; row < rows_; ++row) products[row] = dot(row, vector);
    return;
  }
  std::fill(products, products + rows_, 0.0F);
  for (int64_t column = 0; column < columns_; ++column) {
    const float* values = values_.data() + column * rows_;
    const float factor = vector[column];
    for (int64_t row = 0; row < rows_; ++row) products[row] += values[row] * factor;
  }
}

}  // namespace anneal::text
