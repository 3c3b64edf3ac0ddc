"""Writes native/text/dedup/fold_tables.h: what every character becomes when text is folded for near-duplicate search.

Folding is FineWeb's: lower case, numbers to "0", punctuation to spaces, white space collapsed, canonical decomposition without
nonspacing marks. Letter case, decomposition and marks are those of the Python that runs this; digits and scripts those of the
package `regex`. Usage: python scripts/fold-tables.py > native/text/dedup/fold_tables.h
"""

import platform
import string
import unicodedata

import regex

# What becomes a space beside white space: ASCII punctuation, control characters, and these.
WIDE = [
    0xAB, 0xB4, 0xBB, 0x2013, 0x2014, 0x2019, 0x201C, 0x201D, 0x201E, 0x2026, 0x2236, 0x2501, 0x25BA, 0x3001,
    0x3002, 0x3008, 0x3009, 0x300A, 0x300B, 0x300C, 0x300D, 0x3010, 0x3011, 0xFF01, 0xFF05, 0xFF08, 0xFF09,
    0xFF0C, 0xFF0E, 0xFF11, 0xFF1A, 0xFF1B, 0xFF1F, 0xFF5E,
]
PUNCTUATION = set(string.punctuation) | {chr(c) for c in WIDE}
PUNCTUATION |= {chr(c) for c in range(0xA0) if unicodedata.category(chr(c)) == "Cc" and c not in (9, 10)}

UNSPACED = regex.compile(
    "[" + "".join(rf"\p{{Script={s}}}" for s in
                  ("Han", "Hiragana", "Katakana", "Bopomofo", "Thai", "Lao", "Khmer", "Myanmar", "Yi")) + "\u30FC]"
)
DIGIT = regex.compile(r"\p{Nd}")
HANGUL = range(0xAC00, 0xD7A4)
CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def folded(text):
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


def ranges(codes):
    out = []
    for code in codes:
        if out and out[-1][1] == code - 1:
            out[-1][1] = code
        else:
            out.append([code, code])
    return out


def table(name, comment, rows, per_line, form):
    print(f"// {comment}")
    kind = {"range": "CodeRange", "shift": "CodeShift", "many": "CodeString"}[form]
    print(f"inline constexpr {kind} {name}[] = {{")
    for at in range(0, len(rows), per_line):
        print("    " + " ".join(rows[at:at + per_line]))
    print("};\n")


def range_table(name, comment, codes):
    table(name, comment, [f"{{0x{a:x}, 0x{b:x}}}," for a, b in ranges(codes)], 6, "range")


def main():
    spaces, removed, shifts, strings = [], [], [], []
    for code in CODES:
        char = chr(code)
        if DIGIT.match(char):
            continue
        lower = char.lower()
        if char in PUNCTUATION or char.isspace():
            spaces.append(code)
            continue
        assert not any(c in PUNCTUATION or c.isspace() or DIGIT.match(c) for c in lower), hex(code)
        result = folded(lower)
        if result == char or code in HANGUL:
            continue
        if result == "":
            removed.append(code)
        elif len(result) == 1:
            # Runs of every character, or every second one, that move by the same distance.
            distance = ord(result) - code
            last = shifts[-1] if shifts else None
            if last and last[3] == distance and last[1] < code <= last[1] + 2 and (
                last[0] == last[1] or code - last[1] == last[2]
            ):
                last[2] = code - last[1]
                last[1] = code
            else:
                shifts.append([code, code, 1, distance])
        else:
            strings.append((code, result))
    # Σ at the end of a word becomes ς: what counts as a word there is asked of Python itself.
    cased = [c for c in CODES if (chr(c) + "Σ").lower().endswith("ς")]
    stops = set(cased)
    ignorable = [c for c in CODES if c not in stops and ("A" + chr(c) + "Σ").lower().endswith("ς")]

    print("// fold_tables.h — made by scripts/fold-tables.py; not to be edited. "
          f"Unicode {unicodedata.unidata_version} (Python {platform.python_version()}),\n"
          f"// digits and scripts of regex {regex.__version__}.")
    print("#pragma once\n\n#include <cstdint>\n\nnamespace anneal::text::dedup {\n")
    print("struct CodeRange {\n  uint32_t first, last;\n};\n")
    print("// Every `step`-th character of a range moves by `distance`.")
    print("struct CodeShift {\n  uint32_t first, last, step;\n  int32_t distance;\n};\n")
    print("struct CodeString {\n  uint32_t code;\n  const char* text;\n};\n")
    range_table("kDigits", "\\p{Nd}.", [c for c in CODES if DIGIT.match(chr(c))])
    range_table("kSpaces", "Punctuation and white space: a space.", spaces)
    range_table("kRemoved", "Characters of which nothing is left.", removed)
    range_table("kUnspaced", "Scripts written without spaces: each character may count as a word.",
                [c for c in CODES if UNSPACED.match(chr(c))])
    range_table("kCased", "Cased and not ignorable, for the final sigma.", cased)
    range_table("kCaseIgnorable", "Ignored around a final sigma.", ignorable)
    table("kShifts", "Characters that become one other character.",
          [f"{{0x{a:x}, 0x{b:x}, {s}, {d}}}," for a, b, s, d in shifts], 4, "shift")
    table("kStrings", "Characters that become several.",
          ["{0x%x, \"%s\"}," % (c, "".join(f"\\x{b:02x}" for b in s.encode())) for c, s in strings], 3, "many")
    print("}  // namespace anneal::text::dedup")


main()
