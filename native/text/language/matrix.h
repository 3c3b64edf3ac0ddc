// matrix.h — the matrices of a fastText model: rows of floats, or rows of product-quantised codes. Sums are
// taken in the order in which fastText takes them, so that scores agree to the last bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "text/language/model_file.h"

namespace anneal::text {

// Centroids of a product quantiser: `parts` stretches of a row (each of `width` values, the last of
// `lastWidth`), 256 centroids each.
struct Quantiser {
  int32_t dimensions = 0;
  int32_t parts = 0;
  int32_t width = 0;
  int32_t lastWidth = 0;
  std::vector<float> centroids;

  void load(ModelFile& file, const char* part);
  int32_t widthOf(int32_t index) const { return index == parts - 1 ? lastWidth : width; }
  const float* centroid(int32_t index, uint8_t code) const {
    const int64_t begin = int64_t{index} * 256 * width;
    return centroids.data() + begin + int64_t{code} * widthOf(index);
  }
};

class Matrix {
 public:
  // Reads a matrix as fastText writes it; `quantised` is what the file said just before it.
  void load(ModelFile& file, bool quantised, const char* part);

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  uint64_t bytes() const;

  // target[columns] = the sum of `count` rows, added in their order
  void sumRows(const int32_t* rows, size_t count, float* target) const;
  // The product of a row with vector[columns].
  float dot(int64_t row, const float* vector) const;
  // products[rows] = matrix · vector[columns]
  void multiply(const float* vector, float* products) const;
  // Prepares `multiply`: keeps dense values by columns, which lets it work on many rows at once.
  void transpose();

 private:
  int64_t rows_ = 0;
  int64_t columns_ = 0;
  bool quantised_ = false;
  bool transposed_ = false;
  std::vector<float> values_;
  // Quantised: codes_[row][part], and a code for the length of each row where `norms` is set.
  std::vector<uint8_t> codes_;
  Quantiser quantiser_;
  bool norms_ = false;
  std::vector<uint8_t> normCodes_;
  Quantiser normQuantiser_;

  void addQuantisedRow(int64_t row, float* target) const;
  float norm(int64_t row) const { return norms_ ? *normQuantiser_.centroid(0, normCodes_[row]) : 1.0F; }
};

}  // namespace anneal::text
