// affixes.cc — what the word splitter takes off the ends of a chunk, and where it cuts the middle.
#include <algorithm>

#include "text/clean/words.h"

namespace anneal::text::clean {
namespace {

bool isDigit(char byte) { return byte >= '0' && byte <= '9'; }

// Units that split off after a digit.
constexpr std::string_view kUnits[] = {
    "km",  "km²", "km³", "m",    "m²",  "m³",   "dm",   "dm²", "dm³",  "cm",  "cm²", "cm³",  "mm",
    "mm²", "mm³", "ha",  "µm",   "nm",  "yd",   "in",   "ft",  "kg",   "g",   "mg",  "µg",   "t",
    "lb",  "oz",  "m/s", "km/h", "kmh", "mph",  "hPa",  "Pa",  "mbar", "mb",  "MB",  "kb",   "KB",
    "gb",  "GB",  "tb",  "TB",   "T",   "G",    "M",    "K",   "%",    "км",  "км²", "км³",  "м",
    "м²",  "м³",  "дм",  "дм²",  "дм³", "см",   "см²",  "см³", "мм",   "мм²", "мм³", "нм",   "кг",
    "г",   "мг",  "м/с", "км/ч", "кПа", "Па",   "мбар", "Кб",  "КБ",   "кб",  "Мб",  "МБ",   "мб",
    "Гб",  "ГБ",  "гб",  "Тб",   "ТБ",  "тбكم", "كم²",  "كم³", "م",    "م²",  "م³",  "سم",   "سم²",
    "سم³", "مم",  "مم²", "مم³",  "كم",  "غرام", "جرام", "جم",  "كغ",   "ملغ", "كوب", "اكواب"};
constexpr std::string_view kCurrencies[] = {"US$", "C$", "A$"};

bool endsWith(const char* begin, const char* end, std::string_view ending) {
  return static_cast<size_t>(end - begin) >= ending.size() &&
         std::string_view(end - ending.size(), ending.size()) == ending;
}

bool isUnit(std::string_view text) {
  return std::find(std::begin(kUnits), std::end(kUnits), text) != std::end(kUnits);
}

}  // namespace

// Bytes that split off the beginning.
size_t WordSplitter::prefix(const char* begin, const char* end) const {
  const char* at = begin;
  const uint16_t classes = table_.next(at);
  if ((classes & (kPunctuation | kQuote | kCurrency | kIcon)) != 0) return static_cast<size_t>(at - begin);
  const std::string_view first(begin, static_cast<size_t>(at - begin));
  if (first.size() == 1) {
    switch (first[0]) {
      case '%':
      case '=':
        return 1;
      case '+':
        return at < end && isDigit(*at) ? 0 : 1;
      case '.': {
        while (at < end && *at == '.') ++at;
        const auto dots = static_cast<size_t>(at - begin);
        return dots > 1 ? dots : 0;
      }
      case 'U':
      case 'C':
      case 'A':
        for (const std::string_view currency : kCurrencies) {
          if (std::string_view(begin, static_cast<size_t>(end - begin)).starts_with(currency)) {
            return currency.size();
          }
        }
        return 0;
      default:
        return 0;
    }
  }
  return first == "§" || first == "—" || first == "–" ? first.size() : 0;
}

// Bytes that split off the end: of all that could, the longest.
size_t WordSplitter::suffix(const char* begin, const char* end) const {
  if (begin == end) return 0;
  const char* at = end;
  const auto lastByte = static_cast<unsigned char>(end[-1]);
  const uint16_t classes = table_.previous(begin, at);
  size_t best = 0;
  if ((classes & (kPunctuation | kQuote | kIcon)) != 0) best = static_cast<size_t>(end - at);
  const std::string_view last(at, static_cast<size_t>(end - at));
  if (last == "…" && endsWith(begin, at, "…")) best = 2 * last.size();
  if (last == "—" || last == "–") best = last.size();
  if (lastByte == 's' || lastByte == 'S') {
    if (endsWith(begin, at, "'")) best = 2;
    if (endsWith(begin, at, "’")) best = 4;
  }
  if (lastByte == '.') {
    const char* dots = at;
    while (dots > begin && dots[-1] == '.') --dots;
    const auto run = static_cast<size_t>(end - dots);
    if (run > 1) {
      best = run;
    } else if (at > begin) {
      const char* before = at;
      const uint16_t left = table_.previous(begin, before);
      const std::string_view one(before, static_cast<size_t>(at - before));
      bool ends =
          (left & (kLower | kPunctuation | kQuote)) != 0 ||
          (one.size() == 1 && (isDigit(one[0]) || one == "%" || one == "-" || one == "+" || one == "|")) ||
          one == "²";
      if (!ends && before > begin) {
        const char* further = before;
        const uint16_t second = table_.previous(begin, further);
        ends = ((left & kUpper) != 0 && (second & kUpper) != 0) ||
               (std::string_view("FfCcKk").find(one) != std::string_view::npos && one.size() == 1 &&
                std::string_view(further, static_cast<size_t>(before - further)) == "°");
      }
      if (ends) best = 1;
    }
  }
  // What needs a digit before it.
  if ((classes & kCurrency) != 0) {
    if (best == 0 && at > begin && isDigit(at[-1])) best = static_cast<size_t>(end - at);
    for (const std::string_view currency : kCurrencies) {
      if (endsWith(begin, end, currency) && end - begin > static_cast<ptrdiff_t>(currency.size()) &&
          isDigit(end[-static_cast<ptrdiff_t>(currency.size()) - 1])) {
        best = std::max(best, currency.size());
      }
    }
  }
  if (lastByte == '+' && at > begin && isDigit(at[-1])) best = std::max<size_t>(best, 1);
  // A unit is all that follows the last digit; none has more than eight bytes.
  const char* digit = end;
  while (digit > begin && end - digit < 9 && !isDigit(digit[-1])) --digit;
  const auto length = static_cast<size_t>(end - digit);
  if (length > best && digit > begin && isDigit(digit[-1]) && isUnit({digit, length})) best = length;
  return best;
}

// Bytes of the hyphen at `at` that a letter follows; of several readings the first that fits.
size_t WordSplitter::hyphen(const char* at, const char* end) const {
  for (const std::string_view mark : {"-", "–", "—", "--", "---", "——", "~"}) {
    if (!std::string_view(at, static_cast<size_t>(end - at)).starts_with(mark)) continue;
    const char* next = at + mark.size();
    if (next < end && (table_.next(next) & kAlpha) != 0) return mark.size();
  }
  return 0;
}

// Bytes that split off at `at`, inside of a chunk.
size_t WordSplitter::infix(const char* begin, const char* at, const char* end) const {
  const char* next = at;
  const uint16_t classes = table_.next(next);
  const auto length = static_cast<size_t>(next - at);
  if ((classes & kIcon) != 0) return length;
  const char first = *at;
  if (first == '.' && next < end && *next == '.') {
    while (next < end && *next == '.') ++next;
    return static_cast<size_t>(next - at);
  }
  if (length == 3 && std::string_view(at, 3) == "…") return 3;
  if (at == begin) return 0;
  const char* before = at;
  const uint16_t left = table_.previous(begin, before);
  if (first == '+' || first == '-' || first == '*' || first == '^') {
    if (isDigit(at[-1]) && next < end && (isDigit(*next) || *next == '-')) return 1;
  }
  if (next >= end) return 0;
  const char* after = next;
  const uint16_t right = table_.next(after);
  if (first == '.') return (left & (kLower | kQuote)) != 0 && (right & (kUpper | kQuote)) != 0 ? 1 : 0;
  if (first == ',') return (left & right & kAlpha) != 0 ? 1 : 0;
  const bool letterOrDigit = (left & kAlpha) != 0 || isDigit(at[-1]);
  if (first == ':' || first == '<' || first == '>' || first == '=' || first == '/') {
    return letterOrDigit && (right & kAlpha) != 0 ? 1 : 0;
  }
  if (options_.english ? letterOrDigit : (left & kAlpha) != 0) return hyphen(at, end);
  return 0;
}

}  // namespace anneal::text::clean
