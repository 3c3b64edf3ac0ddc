// Room json: a strict reader of JSON texts for files that come from outside (tokenizer.json, JSON lines,
// safetensors headers). document.h is the parsed value, parser.h makes it. Whatever the bytes are, the
// outcome is a document or a TextError that says where and why.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace anneal::text::json {

// `integer` is a number written without fraction and exponent that fits 64 bits with sign; all others are
// `real`.
enum class Kind : uint8_t { null, boolean, integer, real, string, array, object };

// For messages: "a string", "an object".
const char* describe(Kind kind);

// One value in 16 bytes. The items of an array are neighbours from `first` on; the members of an object are
// pairs of a key and a value.
struct Node {
  Kind kind = Kind::null;
  // Bytes of a string, items of an array, members of an object.
  uint32_t size = 0;
  union {
    bool boolean;
    int64_t integer;
    double real;
    const char* bytes;
    uint32_t first;
  };
  Node() : integer(0) {}
};

// A value of a document; small, to be passed by value. It points into its document. Reading it as another
// kind than it is gives the zero of that kind: look at `kind()` first.
class Value {
 public:
  Value(const Node* nodes, const Node* node) : nodes_(nodes), node_(node) {}

  Kind kind() const { return node_->kind; }
  bool is(Kind kind) const { return node_->kind == kind; }
  bool isNull() const { return is(Kind::null); }
  bool isNumber() const { return is(Kind::integer) || is(Kind::real); }

  bool boolean() const { return is(Kind::boolean) && node_->boolean; }
  int64_t integer() const { return is(Kind::integer) ? node_->integer : 0; }
  // Any number, as a double.
  double number() const {
    return is(Kind::integer) ? static_cast<double>(node_->integer) : is(Kind::real) ? node_->real : 0.0;
  }
  // UTF-8; may hold U+0000.
  std::string_view string() const {
    return is(Kind::string) ? std::string_view(node_->bytes, node_->size) : std::string_view();
  }

  // Items of an array or members of an object; 0 for all others.
  size_t size() const { return is(Kind::array) || is(Kind::object) ? node_->size : 0; }
  // Item `index` of an array; index < size().
  Value item(size_t index) const { return {nodes_, nodes_ + node_->first + index}; }
  // Key and value of member `index` of an object; index < size().
  std::string_view key(size_t index) const {
    return Value(nodes_, nodes_ + node_->first + 2 * index).string();
  }
  Value member(size_t index) const { return {nodes_, nodes_ + node_->first + 2 * index + 1}; }

  // Whether an object has a member of this name. Linear in the number of members.
  bool has(std::string_view name) const { return search(name) != nullptr; }
  // The member of this name, or null where there is none.
  Value find(std::string_view name) const;

 private:
  const Node* search(std::string_view name) const;

  const Node* nodes_;
  const Node* node_;
};

// Owns the nodes and the strings that had escapes; all other strings lie in the parsed text, which must live
// as long.
class Document {
 public:
  Value root() const { return {nodes_.data(), nodes_.data() + nodes_.size() - 1}; }

 private:
  friend class Parser;
  // The root is the last.
  std::vector<Node> nodes_;
  std::vector<std::unique_ptr<char[]>> chunks_;
};

}  // namespace anneal::text::json
