// pii.cc — mail and IP addresses and telephone numbers, by hand-written scanners that begin at a rare
// character.
#include "text/clean/pii.h"

#include <algorithm>
#include <cstring>

#include "text/unicode/properties.h"
#include "text/unicode/utf8.h"

namespace anneal::text::clean {
namespace {

bool isDigit(char byte) { return byte >= '0' && byte <= '9'; }
bool isAlphanumeric(char byte) {
  return isDigit(byte) || static_cast<unsigned char>((byte | 0x20) - 'a') < 26;
}
bool isHex(char byte) { return isDigit(byte) || static_cast<unsigned char>((byte | 0x20) - 'a') < 6; }
bool isLocal(char byte) {
  return isAlphanumeric(byte) || (byte != '\0' && std::strchr("!#$%&'*+/=?^_`{|}~-", byte) != nullptr);
}

// \w of Python: letters, numbers, underscore.
bool isWordBefore(std::string_view text, size_t at) {
  if (at == 0) return false;
  const char byte = text[at - 1];
  if (static_cast<unsigned char>(byte) < 0x80) return isAlphanumeric(byte) || byte == '_';
  const char* end = text.data() + at;
  return inCategories(decodeBackward(text.data(), end), kLetterMask | kNumberMask);
}

char at(std::string_view text, size_t index) { return index < text.size() ? text[index] : '\0'; }

// End of the number from `begin` on that is at most 255 and has one to three digits; `begin` where there is
// none.
size_t wholeOctet(std::string_view text, size_t begin) {
  size_t end = begin;
  unsigned value = 0;
  while (end < text.size() && end - begin < 3 && isDigit(text[end])) {
    value = value * 10 + static_cast<unsigned>(text[end++] - '0');
  }
  return value > 255 || isDigit(at(text, end)) ? begin : end;
}

// The same for a last number, which may end before further digits.
size_t lastOctet(std::string_view text, size_t begin) {
  size_t end = begin;
  unsigned value = 0;
  while (end < text.size() && end - begin < 3 && isDigit(text[end])) {
    const unsigned longer = value * 10 + static_cast<unsigned>(text[end] - '0');
    if (longer > 255) break;
    value = longer;
    ++end;
  }
  return end;
}

// End of a host name with at least one full stop, or of an address in brackets; `begin` where there is none.
size_t mailHost(std::string_view text, size_t begin) {
  if (at(text, begin) == '[') {
    size_t end = begin + 1;
    for (int part = 0; part < 3; ++part) {
      const size_t next = wholeOctet(text, end);
      if (next == end || at(text, next) != '.') return begin;
      end = next + 1;
    }
    const size_t octet = wholeOctet(text, end);
    if (octet > end && at(text, octet) == ']') return octet + 1;
    size_t tag = end;
    while (isAlphanumeric(at(text, tag)) || at(text, tag) == '-') ++tag;
    return tag > end && text[tag - 1] != '-' && at(text, tag) == ':' && at(text, tag + 1) == ']' ? tag + 2
                                                                                                 : begin;
  }
  size_t end = begin;
  size_t label = begin;
  for (bool first = true; isAlphanumeric(at(text, label)); first = false) {
    size_t run = label;
    while (isAlphanumeric(at(text, run)) || at(text, run) == '-') ++run;
    size_t stop = run;
    while (text[stop - 1] == '-') --stop;
    if (!first) end = stop;
    if (stop != run || at(text, run) != '.') break;
    label = run + 1;
  }
  return end;
}

struct Network {
  uint32_t address;
  unsigned bits;
};
// Not globally reachable.
constexpr Network kSpecial[] = {
    {0x00000000, 8},  {0x0A000000, 8},  {0x64400000, 10}, {0x7F000000, 8},  {0xA9FE0000, 16},
    {0xAC100000, 12}, {0xC0000000, 24}, {0xC0000200, 24}, {0xC0A80000, 16}, {0xC6120000, 15},
    {0xC6336400, 24}, {0xCB007100, 24}, {0xF0000000, 4},
};

}  // namespace

bool isPublicIpv4(uint32_t address) {
  if (address == 0xC0000009 || address == 0xC000000A) return true;
  return std::none_of(std::begin(kSpecial), std::end(kSpecial), [address](const Network& network) {
    return (address ^ network.address) >> (32 - network.bits) == 0;
  });
}

void findEmails(std::string_view text, std::vector<Span>& found) {
  size_t least = 0;
  for (size_t sign = text.find('@'); sign != std::string_view::npos; sign = text.find('@', sign + 1)) {
    if (sign == least || !isLocal(text[sign - 1])) continue;
    const size_t end = mailHost(text, sign + 1);
    if (end == sign + 1) continue;
    // The local part begins as far to the left as it can, where a word begins or ends.
    size_t begin = sign;
    for (size_t from = sign - 1;; --from) {
      const char byte = text[from];
      if (byte == '.') {
        if (text[from + 1] == '.' || from == least || !isLocal(text[from - 1])) break;
      } else if (isLocal(byte)) {
        const bool word = isAlphanumeric(byte) || byte == '_';
        if (isWordBefore(text, from) != word) begin = from;
      } else {
        break;
      }
      if (from == least) break;
    }
    if (begin == sign) continue;
    found.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
    least = end;
    sign = end - 1;
  }
}

void findIpv4(std::string_view text, bool publicOnly, std::vector<Span>& found) {
  size_t least = 0;
  for (size_t dot = text.find('.'); dot != std::string_view::npos; dot = text.find('.', dot + 1)) {
    if (dot == least || !isDigit(text[dot - 1]) || !isDigit(at(text, dot + 1))) continue;
    // The first number begins as far to the left as it can.
    size_t begin = dot;
    for (size_t digits = std::min<size_t>(3, dot - least); digits > 0 && begin == dot; --digits) {
      const size_t from = dot - digits;
      bool all = true;
      for (size_t i = from; i < dot; ++i) all &= isDigit(text[i]);
      if (all && wholeOctet(text, from) == dot) begin = from;
    }
    if (begin == dot) continue;
    size_t end = dot + 1;
    bool valid = true;
    for (int part = 0; valid && part < 2; ++part) {
      const size_t next = wholeOctet(text, end);
      valid = next > end && at(text, next) == '.';
      end = next + 1;
    }
    if (!valid) continue;
    const size_t stop = lastOctet(text, end);
    if (stop == end) continue;
    least = stop;
    uint32_t address = 0;
    bool zeros = false;
    for (size_t from = begin; from < stop;) {
      uint32_t part = 0;
      const size_t first = from;
      while (from < stop && isDigit(text[from])) part = part * 10 + static_cast<uint32_t>(text[from++] - '0');
      zeros |= from - first > 1 && text[first] == '0';
      address = address << 8 | part;
      ++from;
    }
    dot = stop - 1;
    if (zeros || (publicOnly && !isPublicIpv4(address))) continue;
    found.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(stop)});
  }
}

void findIpv6(std::string_view text, bool publicOnly, std::vector<Span>& found) {
  size_t least = 0;
  for (size_t colon = text.find(':'); colon != std::string_view::npos; colon = text.find(':', colon + 1)) {
    if (colon < least) continue;
    size_t begin = colon;
    while (begin > least && isHex(text[begin - 1])) --begin;
    size_t end = colon;
    while (isHex(at(text, end)) || at(text, end) == ':' ||
           (at(text, end) == '.' && isDigit(at(text, end + 1)))) {
      ++end;
    }
    least = end;
    // A colon behind an address is not part of it; two are.
    if (end - begin >= 2 && text[end - 1] == ':' && text[end - 2] != ':') --end;
    if (isWordBefore(text, begin) || isAlphanumeric(at(text, end)) || at(text, end) == '_') continue;
    uint32_t groups[8] = {};
    size_t count = 0;
    size_t gap = 9;
    bool valid = true;
    size_t from = begin;
    while (valid && from < end) {
      if (text[from] == ':') {
        if (at(text, from + 1) != ':' || gap != 9) {
          valid = false;
        } else {
          gap = count;
          from += 2;
        }
        continue;
      }
      size_t stop = from;
      uint32_t value = 0;
      while (stop < end && isHex(text[stop])) {
        const char byte = text[stop++];
        value = value << 4 | static_cast<uint32_t>(isDigit(byte) ? byte - '0' : (byte | 0x20) - 'a' + 10);
      }
      if (stop < end && text[stop] == '.') {
        uint32_t address = 0;
        size_t part = from;
        for (int i = 0; valid && i < 4; ++i) {
          const size_t next = wholeOctet(text, part);
          valid = next > part && (i == 3 ? next == end : at(text, next) == '.');
          for (uint32_t octet = 0; part < next; ++part) {
            octet = octet * 10 + static_cast<uint32_t>(text[part] - '0');
            if (part + 1 == next) address = address << 8 | octet;
          }
          part = next + 1;
        }
        valid &= count <= 6;
        if (!valid) break;
        groups[count++] = address >> 16;
        groups[count++] = address & 0xFFFF;
        from = end;
        continue;
      }
      if (stop - from > 4 || count == 8) {
        valid = false;
        continue;
      }
      groups[count++] = value;
      from = stop;
      if (from == end) continue;
      if (at(text, from + 1) != ':') ++from;
      valid = from < end;
    }
    if (!valid || (gap == 9 ? count != 8 : count > 7)) continue;
    if (gap != 9) {
      std::copy_backward(groups + gap, groups + count, groups + 8);
      std::fill(groups + gap, groups + 8 - (count - gap), 0U);
    }
    // Global unicast is 2000::/3, less the blocks for documentation.
    const bool global = groups[0] >> 13 == 1 && !(groups[0] == 0x2001 && groups[1] == 0xDB8) &&
                        !(groups[0] == 0x3FFF && groups[1] < 0x1000);
    if (publicOnly && !global) continue;
    found.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
  }
}

void findPhones(std::string_view text, std::vector<Span>& found) {
  const auto separator = [](char byte) { return byte == ' ' || byte == '-' || byte == '.' || byte == '/'; };
  for (size_t from = 0; from < text.size();) {
    const char byte = text[from];
    const bool begins = byte == '+' || byte == '(' || isDigit(byte);
    if (!begins || isWordBefore(text, from) ||
        (from > 0 && (text[from - 1] == '.' || text[from - 1] == '-'))) {
      ++from;
      continue;
    }
    // Groups of digits with one separator between them; one group may be in parentheses.
    size_t groups[16];
    size_t count = 0;
    size_t digits = 0;
    size_t end = from + (byte == '+' ? 1 : 0);
    size_t stop = end;
    bool open = false;
    bool parentheses = false;
    while (count < 16) {
      if (at(text, end) == '(' && !parentheses) {
        open = parentheses = true;
        ++end;
      }
      size_t next = end;
      while (isDigit(at(text, next))) ++next;
      if (next == end) break;
      groups[count++] = next - end;
      digits += next - end;
      end = next;
      if (open && at(text, end) == ')') {
        open = false;
        ++end;
        stop = end;
        if (separator(at(text, end))) ++end;
        continue;
      }
      stop = end;
      if (!separator(at(text, end))) break;
      ++end;
    }
    const bool word = isAlphanumeric(at(text, stop)) || at(text, stop) == '_';
    const bool international = byte == '+' && digits >= 8 && digits <= 15;
    const bool american = byte != '+' && count == 3 && groups[0] == 3 && groups[1] == 3 && groups[2] == 4;
    if (!open && !word && (international || american)) {
      found.push_back({static_cast<uint32_t>(from), static_cast<uint32_t>(stop)});
      from = stop;
    } else {
      from = std::max(stop, from + 1);
    }
  }
}

}  // namespace anneal::text::clean
