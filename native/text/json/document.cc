#include "text/json/document.h"

namespace anneal::text::json {
namespace {

const Node kNull;

}  // namespace

const char* describe(Kind kind) {
  switch (kind) {
    case Kind::null:
      return "null";
    case Kind::boolean:
      return "a boolean";
    case Kind::integer:
      return "an integer";
    case Kind::real:
      return "a number";
    case Kind::string:
      return "a string";
    case Kind::array:
      return "a list";
    case Kind::object:
      return "an object";
  }
  return "a value";
}

const Node* Value::search(std::string_view name) const {
  if (!is(Kind::object)) return nullptr;
  for (size_t i = 0; i < node_->size; ++i) {
    if (key(i) == name) return nodes_ + node_->first + 2 * i + 1;
  }
  return nullptr;
}

Value Value::find(std::string_view name) const {
  const Node* found = search(name);
  return {nodes_, found == nullptr ? &kNull : found};
}

}  // namespace anneal::text::json
