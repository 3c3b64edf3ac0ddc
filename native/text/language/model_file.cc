#include "text/language/model_file.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "text/error.h"

namespace anneal::text {
namespace {

[[noreturn]] void cannotRead(const std::string& path, const std::string& reason) {
  throw TextError("ERR_DATA",
                  path + ": the model cannot be read: " + reason + ". Check the path and its permissions.",
                  {{"path", path}});
}

}  // namespace

ModelFile::ModelFile(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "rb")) {
  if (file_ == nullptr) cannotRead(path, std::strerror(errno));
  struct stat info {};
  if (fstat(fileno(file_.get()), &info) != 0) cannotRead(path, std::strerror(errno));
  if (!S_ISREG(info.st_mode)) cannotRead(path, "it is not a file");
  size_ = static_cast<uint64_t>(info.st_size);
  std::setvbuf(file_.get(), nullptr, _IOFBF, size_t{1} << 20);
}

void ModelFile::fail(const std::string& problem) const {
  throw TextError("ERR_FORMAT",
                  path_ + ": " + problem + " (at byte " + std::to_string(position_) + " of " +
                      std::to_string(size_) + "). Get the model again.",
                  {{"path", path_}, {"byte", static_cast<double>(position_)}});
}

void ModelFile::require(uint64_t count, uint64_t size, const char* part) const {
  if (size != 0 && count > remaining() / size) {
    fail(std::string("the file ends in ") + part + ", which needs " + std::to_string(count) + " x " +
         std::to_string(size) + " bytes");
  }
}

void ModelFile::read(void* target, uint64_t bytes, const char* part) {
  if (bytes > remaining()) fail(std::string("the file ends in ") + part);
  if (bytes > std::numeric_limits<size_t>::max()) fail(std::string(part) + " does not fit this system");
  if (std::fread(target, 1, static_cast<size_t>(bytes), file_.get()) != bytes) {
    cannotRead(path_, std::ferror(file_.get()) != 0 ? std::strerror(errno) : "it became shorter meanwhile");
  }
  position_ += bytes;
}

bool ModelFile::flag(const char* part) {
  const auto byte = value<uint8_t>(part);
  if (byte > 1) fail(std::string(part) + " is " + std::to_string(byte) + ", not 0 or 1");
  return byte == 1;
}

void ModelFile::string(std::string* target, size_t limit, const char* part) {
  const size_t begin = target->size();
  for (;;) {
    if (remaining() == 0) fail(std::string("the file ends in ") + part);
    const int byte = std::getc(file_.get());
    if (byte == EOF) cannotRead(path_, "it became shorter meanwhile");
    ++position_;
    if (byte == 0) return;
    if (target->size() - begin == limit) {
      fail(std::string(part) + " has a string of more than " + std::to_string(limit) + " bytes");
    }
    target->push_back(static_cast<char>(byte));
  }
}

}  // namespace anneal::text
