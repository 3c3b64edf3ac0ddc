// pii.h — finds what names a person or a computer: mail addresses, public IP addresses, telephone numbers.
#pragma once

#include <string_view>
#include <vector>

#include "text/clean/pieces.h"
#include "text/clean/rules.h"

namespace anneal::text::clean {

// Each appends what it finds, in order and without overlaps.

// local part, at sign, host name with at least one full stop or an IPv4 address in brackets; as datatrove's
// pattern.
void findEmails(std::string_view text, std::vector<Span>& found);
// Four numbers up to 255 with full stops between them, not looking at what stands around them, as datatrove's
// pattern; without leading zeros, and where `publicOnly` only addresses that are reachable from everywhere.
void findIpv4(std::string_view text, bool publicOnly, std::vector<Span>& found);
// Any form of RFC 4291 that stands by itself; where `publicOnly` only global unicast addresses.
void findIpv6(std::string_view text, bool publicOnly, std::vector<Span>& found);
// International numbers (+ and 8 to 15 digits) and North American ones (ten digits in groups of 3, 3 and 4).
void findPhones(std::string_view text, std::vector<Span>& found);

// Whether an IPv4 address is reachable from everywhere (IANA's registry of special-purpose addresses).
bool isPublicIpv4(uint32_t address);

}  // namespace anneal::text::clean
