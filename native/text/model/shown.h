// shown.h — texts and tokens in messages.
#pragma once

#include <string>
#include <string_view>

namespace anneal::text {

// A text in quotes: control characters escaped, the end left out where it is long.
std::string shown(std::string_view text);

}  // namespace anneal::text
