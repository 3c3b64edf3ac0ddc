"""Writes native/text/unicode/*_data.cc: what every character is to HF tokenizers.

Needs: pip install tokenizers==0.23.2
Run:   python scripts/unicode-tables.py

The library is made of parts that each carry their own Unicode version, so no version of the Unicode database alone gives
its results. This script asks the library itself, for every code point: Split patterns for Oniguruma's classes, letter
case and scripts; normalizers for decompositions, combining classes, compositions and lowercase; pre-tokenizers for the
rest. It prints what it found about each part's version, and checks what it derives.
"""

import pathlib
import unicodedata

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

ROOM = pathlib.Path(__file__).resolve().parent.parent / "native" / "text" / "unicode"
CODES = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co Cn".split()

# Scripts that patterns name; the rest of Unicode's list has no use in tokenizers.
SCRIPTS = (
    "Adlam Arabic Armenian Balinese Bengali Bopomofo Braille Buginese Canadian_Aboriginal Cherokee Common Coptic "
    "Cyrillic Devanagari Ethiopic Georgian Gothic Greek Gujarati Gurmukhi Han Hangul Hebrew Hiragana Inherited Javanese "
    "Kannada Katakana Khmer Lao Latin Malayalam Mongolian Myanmar Nko Ogham Oriya Runic Sinhala Sundanese Syriac "
    "Tai_Tham Tamil Telugu Thaana Thai Tibetan Tifinagh Vai Yi"
).split()


def matching(pattern, text):
    """The characters of `text` that a regular expression for one character matches."""
    split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    return {ord(char) for piece, _ in split.pre_tokenize_str(text) for char in piece}


def kept(pre_tokenizer, text):
    return {ord(char) for piece, _ in pre_tokenizer.pre_tokenize_str(text) for char in piece}


def runs(value_of, codes=range(0x110000)):
    """(first code, value) wherever the value changes."""
    found, last = [], None
    for code in codes:
        value = value_of(code)
        if value != last:
            found.append((code, value))
            last = value
    return found


def array(kind, name, values, comment):
    lines, line = [], " "
    for value in values:
        word = f" {value:#x}," if value > 9 or value < -9 else f" {value},"
        if len(line) + len(word) > 108:
            lines.append(line)
            line = " "
        line += word
    lines.append(line)
    note = "\n".join(f"// {part}" for part in comment.split("\n"))
    return f"{note}\nconst {kind} {name}[] = {{\n" + "\n".join(lines) + f"\n}};\nconst size_t {name}Size = {len(values)};\n"


def write(name, subject, arrays):
    (ROOM / name).write_text(
        f"// {name} — {subject}\n"
        f"// Written by scripts/unicode-tables.py with tokenizers {tokenizers.__version__}; not edited by hand.\n"
        "// clang-format off\n"
        '#include "text/unicode/tables.h"\n\n#include <cstddef>\n#include <cstdint>\n\nnamespace anneal::text {\n\n'
        + "\n".join(arrays) + "\n}  // namespace anneal::text\n"
    )


def mapping_runs(pairs):
    """Pairs (code, image) as stretches (first, count, step, delta): image = code + delta for every step-th code."""
    stretches = []
    for code, image in sorted(pairs):
        delta = image - code
        if stretches:
            first, count, step, known = stretches[-1]
            last = first + (count - 1) * step
            if known == delta and code - last <= 2 and (count == 1 or code - last == step):
                stretches[-1] = (first, count + 1, code - last, delta)
                continue
        stretches.append((code, 1, 1, delta))
    return [part for stretch in stretches for part in stretch]


def characters():
    text = "".join(map(chr, CODES))
    category = {}
    for index, name in enumerate(CATEGORIES):
        if name == "Cs":
            continue
        for code in matching(r"\p{%s}" % name, text):
            assert code not in category
            category[code] = index
    for code in range(0xD800, 0xE000):
        category[code] = CATEGORIES.index("Cs")
    assert len(category) == 0x110000
    # Unassigned characters have no other property, and the private ones are all alike.
    assigned = "".join(chr(code) for code in CODES if CATEGORIES[category[code]] not in ("Cn", "Co"))
    space = matching(r"\s", text)
    word = matching(r"[[:word:]]", text)
    alphabetic = matching(r"\p{Alphabetic}", assigned)
    quirk = matching(r"\w", text) - word
    assert sorted(quirk) == [0xB2, 0xB3, 0xB9, 0xBC, 0xBD, 0xBE], quirk
    names = {code: CATEGORIES[value] for code, value in category.items()}
    derived = {code for code in CODES if code in alphabetic or names[code][0] == "M" or names[code] in ("Nd", "Pc")}
    assert derived == word
    assert matching(r"[[:punct:]]", assigned) == {code for code, name in names.items() if name[0] in "PS"}

    def value(code):
        return (category[code] | (code in space) << 5 | (code in word) << 6 | (code in alphabetic) << 7)

    flat = [(code << 8) | bits for code, bits in runs(value)]
    upper = matching(r"\p{Uppercase}", assigned) - {code for code, name in names.items() if name == "Lu"}
    lower = matching(r"\p{Lowercase}", assigned) - {code for code, name in names.items() if name == "Ll"}

    def ranges(members):
        return [bound for code, inside in runs(lambda code: code in members) if code or inside for bound in [code]]

    newest = [c for c in (0x1C89, 0x1FAE9, 0x2EBF0, 0x10D40, 0x1E5D0, 0x16D40, 0xA7F1, 0x20C1) if names[c] != "Cn"]
    print("oniguruma:", len(assigned), "assigned; newest characters known:", [hex(code) for code in newest])

    pieces = []
    scripts = []
    common = "".join(char for char in assigned)
    for index, name in enumerate(SCRIPTS):
        found = matching(r"\p{%s}" % name, common)
        bounds = ranges(found)
        scripts += [len(bounds), *bounds]
    pieces.append(array("uint32_t", "kCharacterRuns", flat,
                        "code << 8 | bits at every change. Bits 0-4: general category (properties.h); 5: White_Space;\n"
                        "6: Oniguruma's word characters; 7: Alphabetic."))
    pieces.append(array("uint32_t", "kOtherUppercase", ranges(upper), "Uppercase without Lu: first, behind the last, …"))
    pieces.append(array("uint32_t", "kOtherLowercase", ranges(lower), "Lowercase without Ll."))
    write("character_data.cc", "categories and properties of characters, as Oniguruma has them.", pieces)
    write("script_data.cc", "scripts of characters, as Oniguruma has them.", [
        array("uint32_t", "kScriptRanges", scripts,
              "For each name, in order: how many bounds follow; then first, behind the last, …"),
        "const char* const kScriptNames[] = {\n" + "\n".join(f'    "{name}",' for name in SCRIPTS)
        + f"\n}};\nconst size_t kScriptNamesSize = {len(SCRIPTS)};\n"])
    return names, assigned, text


def letter_case(names, assigned):
    lowercase = normalizers.Lowercase()
    pairs = []
    for code in CODES:
        image = lowercase.normalize_str(chr(code))
        if image == chr(code):
            continue
        if len(image) > 1:
            assert (code, image) == (0x130, "i\u0307"), (code, image)
            continue
        pairs.append((code, ord(image)))
    # Σ at the end of a word: no rule that looks at neighbours.
    assert lowercase.normalize_str("ΟΔΟΣ") == "οδοσ"
    cased = [code for code, name in names.items() if name in ("Lu", "Ll", "Lt", "Lm", "Mn", "Nl", "So")]
    haystack = "\n".join(map(chr, cased))
    images = dict(pairs)
    sought = {code for code in cased if names[code] in ("Lu", "Ll", "Lt")} | set(images) | set(images.values()) | {0x345}
    fold = {}
    for code in sorted(sought):
        orbit = sorted(matching("(?i:[%s])" % chr(code), haystack) - {0x0A})
        orbit = [member for member in orbit if member in sought]
        if len(orbit) > 1:
            known = fold.get(orbit[0], orbit)
            assert known == orbit, (hex(code), known, orbit)
            for member in orbit:
                fold[member] = orbit
    folds = [(code, orbit[0]) for code, orbit in fold.items() if code != orbit[0]]
    write("case_data.cc", "letter case.", [
        array("int32_t", "kLowercaseRuns", mapping_runs(pairs),
              "Rust's char::to_lowercase as stretches (first, count, step, delta); U+0130 → U+0069 U+0307 is not in it."),
        array("int32_t", "kFoldRuns", mapping_runs(folds),
              "Characters that (?i) takes for the same → the least of them, as stretches. Single characters only.")])
    print("lowercase:", len(pairs), "pairs; (?i):", len(folds), "folds")


def segmentation_scripts(names):
    """The classes of UnicodeScripts: 0 for those that go with any neighbour, else which characters stay together."""
    splitter = pre_tokenizers.UnicodeScripts()

    def together(a, b):
        return len(splitter.pre_tokenize_str(a + b)) == 1

    examples, classes, last = [], {}, 0
    for code in CODES:
        char = chr(code)
        if names[code] in ("Cn", "Co"):
            known = together("a", char) and together("\u4e2d", char)
            assert known or names[code] == "Cn"
            if known:
                continue
        if together("a", char) and together("\u4e2d", char):
            continue
        if last and together(examples[last - 1], char):
            classes[code] = last
            continue
        found = [index for index, example in enumerate(examples) if together(example, char)]
        if not found:
            examples.append(char)
            found = [len(examples) - 1]
        last = classes[code] = found[0] + 1
    flat = [(code << 8) | value for code, value in runs(lambda code: classes.get(code, 0))]
    write("segment_data.cc", "the classes of the pre-tokenizer UnicodeScripts.", [
        array("uint32_t", "kSegmentRuns", flat,
              "code << 8 | class at every change. 0: goes with its neighbours; others are scripts, numbered as they come.")])
    print("scripts for segmentation:", len(examples))


def normal_forms():
    nfd, nfkd, nfc = normalizers.NFD(), normalizers.NFKD(), normalizers.NFC()
    canonical, compatible = {}, {}
    for code in CODES:
        if 0xAC00 <= code < 0xD7A4:
            continue
        char = chr(code)
        a, b = nfd.normalize_str(char), nfkd.normalize_str(char)
        if a != char:
            canonical[code] = a
        if b != a:
            compatible[code] = b
    composites = {code for code, image in canonical.items() if nfc.normalize_str(image) == chr(code)}
    by_image = {canonical[code]: chr(code) for code in composites}
    for code in composites:
        image = canonical[code]
        first = image[0] if len(image) == 2 else by_image[image[:-1]]
        assert nfc.normalize_str(first + image[-1]) == chr(code)
    # Combining classes show in the order that NFD gives marks: U+0345 has the highest, 240.
    # unicodedata gives an example of each class, which the library must know too.
    moved = {code for code in CODES if code not in canonical and nfd.normalize_str("\u0345" + chr(code))[0] == chr(code)}
    moved = {code for code in moved if nfd.normalize_str(chr(code) + "\u0345")[0] == chr(code)
             and nfd.normalize_str("a" + chr(code) + "\u0345") != "a\u0345" + chr(code)
             and nfd.normalize_str("\u0345" + chr(code)) != "\u0345" + chr(code)}
    samples = {unicodedata.combining(chr(code)): chr(code) for code in moved if unicodedata.combining(chr(code))}
    combining = {0x345: 240}
    for code in moved:
        char = chr(code)
        same = [value for value, sample in samples.items()
                if nfd.normalize_str(char + sample) == char + sample and nfd.normalize_str(sample + char) == sample + char]
        assert len(same) == 1, (hex(code), same)
        combining[code] = same[0]
    for code, image in canonical.items():  # marks that decompose into marks
        if unicodedata.combining(chr(code)):
            combining[code] = combining[ord(image[0])]
    stream = []
    for code in sorted(set(canonical) | set(compatible)):
        for image, flag in ((canonical.get(code), 0), (compatible.get(code), 1)):
            if image is not None:
                stream.append(code | len(image) << 24 | flag << 31 | (not flag and code in composites) << 30)
                stream += map(ord, image)
    flat = [(code << 8) | value for code, value in runs(lambda code: combining.get(code, 0))]
    write("normal_form_data.cc", "decompositions and combining classes; Hangul syllables are computed.", [
        array("uint32_t", "kDecompositions", stream,
              "Header: code | length << 24 | composite << 30 | compatibility << 31; then the full decomposition.\n"
              "`composite`: NFC puts it together again. Compatibility is given where it differs from canonical."),
        array("uint32_t", "kCombiningRuns", flat, "code << 8 | canonical combining class at every change.")])
    print("normal forms:", len(canonical), "canonical,", len(compatible), "compatible,", len(combining), "combining")


def front_end(text):
    """The parts in Rust: char methods, the regex crate, unicode_categories, is_combining_mark."""
    everything = set(CODES)
    joined = pre_tokenizers.Digits(True).pre_tokenize_str("".join("a" + chr(code) for code in CODES))
    numeric = {ord(piece) for piece, _ in joined if len(piece) == 1 and piece != "a"}
    punctuation = everything - kept(pre_tokenizers.Punctuation("removed"), text)
    bert = kept(pre_tokenizers.BertPreTokenizer(), text)
    white = everything - kept(pre_tokenizers.WhitespaceSplit(), text)
    assert bert == everything - white
    words = kept(pre_tokenizers.Whitespace(), text)
    assert words == everything - white
    pieces = pre_tokenizers.Whitespace().pre_tokenize_str(" ".join("a" + chr(c) for c in CODES if c not in white))
    word = {ord(piece[1]) for piece, _ in pieces if len(piece) == 2}

    def removed(normalizer):
        return {code for code in CODES if normalizer.normalize_str("a" + chr(code) + "a") == "aa"}

    control = removed(normalizers.BertNormalizer(True, False, False, False))
    nonspacing = removed(normalizers.BertNormalizer(False, False, True, False))
    marks = removed(normalizers.StripAccents())
    chinese = {code for code in CODES
               if normalizers.BertNormalizer(False, True, False, False).normalize_str("a" + chr(code)) != "a" + chr(code)}
    print("rust: white", len(white), "numeric", len(numeric), "punctuation", len(punctuation), "word", len(word),
          "control", len(control), "nonspacing", len(nonspacing), "marks", len(marks))
    print("chinese:", [hex(code) for code, _ in runs(lambda code: code in chinese)][1:])

    def value(code):
        return ((code in white) | (code in numeric) << 1 | (code in punctuation) << 2 | (code in word) << 3
                | (code in control) << 4 | (code in nonspacing) << 5 | (code in marks) << 6 | (code in chinese) << 7)

    flat = [(code << 8) | bits for code, bits in runs(value)]
    write("front_end_data.cc", "classes of characters outside Oniguruma, as the rest of HF tokenizers has them.", [
        array("uint32_t", "kFrontEndRuns", flat,
              "code << 8 | bits at every change. Bit 0: white space; 1: numeric (Digits); 2: punctuation; 3: word\n"
              "character of the pre-tokenizer Whitespace; 4: removed by clean_text; 5: removed by BERT's strip_accents;\n"
              "6: removed by StripAccents; 7: Chinese character of BERT.")])


def main():
    names, assigned, text = characters()
    letter_case(names, assigned)
    segmentation_scripts(names)
    normal_forms()
    front_end(text)


if __name__ == "__main__":
    main()
