// transform.h — rewrites a text character by character and keeps its alignment, by HF tokenizers' rule: every
// new character either replaces the next old one (and perhaps removes some behind it) or is inserted.
#pragma once

#include <string>

#include "text/normalize/alignment.h"
#include "text/unicode/utf8.h"

namespace anneal::text {

class Transform {
 public:
  Transform(std::string& text, Alignment* alignment) : text_(text), alignment_(alignment) {
    result_.reserve(text.size() + text.size() / 8);
    if (alignment != nullptr) ranges_.reserve(result_.capacity());
  }

  const std::string& text() const { return text_; }

  // `change`: 1 inserts; 0 replaces the next old character; -n replaces it and removes n more.
  void put(char32_t code, int change) {
    char utf8[4];
    const unsigned length = encode(code, utf8);
    result_.append(utf8, length);
    if (alignment_ != nullptr) {
      const ByteRange range = change <= 0    ? (*alignment_)[offset_]
                              : offset_ == 0 ? ByteRange{}
                                             : (*alignment_)[offset_ - 1];
      ranges_.insert(ranges_.end(), length, range);
    }
    for (int i = change; i <= 0; ++i) skip();
  }

  // Old characters up to byte `end` stay as they are.
  void keep(size_t end) {
    result_.append(text_, offset_, end - offset_);
    if (alignment_ != nullptr) {
      ranges_.insert(ranges_.end(), alignment_->begin() + static_cast<ptrdiff_t>(offset_),
                     alignment_->begin() + static_cast<ptrdiff_t>(end));
    }
    offset_ = end;
  }

  // The next old character is removed.
  void skip() { offset_ += characterLength(static_cast<unsigned char>(text_[offset_])); }
  void skipTo(size_t end) { offset_ = end; }

  // Inserts with the range of the old character that ends before byte `behind`.
  void insert(std::string_view bytes, size_t behind) {
    result_ += bytes;
    if (alignment_ != nullptr) {
      ranges_.insert(ranges_.end(), bytes.size(), behind == 0 ? ByteRange{} : (*alignment_)[behind - 1]);
    }
  }

  // Old bytes taken so far.
  size_t offset() const { return offset_; }

  void finish() {
    text_ = std::move(result_);
    if (alignment_ != nullptr) *alignment_ = std::move(ranges_);
  }

 private:
  std::string& text_;
  Alignment* const alignment_;
  std::string result_;
  Alignment ranges_;
  size_t offset_ = 0;
};

}  // namespace anneal::text
