// model_file.h — reading a binary model file with every length checked against the file: what is missing, cut
// short or absurd becomes an error that names the file, the part and the byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <type_traits>

namespace anneal::text {

class ModelFile {
 public:
  // Throws ERR_DATA when the file cannot be read.
  explicit ModelFile(const std::string& path);

  const std::string& path() const { return path_; }
  uint64_t position() const { return position_; }
  uint64_t remaining() const { return size_ - position_; }

  // Fills `target`; `part` names what is read, for the error when the file ends too early.
  void read(void* target, uint64_t bytes, const char* part);

  template <typename T>
  T value(const char* part) {
    static_assert(std::is_trivially_copyable_v<T>);
    T result;
    read(&result, sizeof(T), part);
    return result;
  }

  // A byte that is 0 or 1.
  bool flag(const char* part);

  // Appends bytes up to a NUL (not included) to `target`; at most `limit` of them.
  void string(std::string* target, size_t limit, const char* part);

  // Throws ERR_FORMAT unless the file still holds `count` values of `size` bytes: to be asked before memory
  // is taken for them.
  void require(uint64_t count, uint64_t size, const char* part) const;

  // Throws ERR_FORMAT with the file, the problem and the byte.
  [[noreturn]] void fail(const std::string& problem) const;

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  uint64_t size_ = 0;
  uint64_t position_ = 0;
};

}  // namespace anneal::text
