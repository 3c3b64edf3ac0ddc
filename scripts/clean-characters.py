"""Writes native/text/clean/character_tables.h: what the cleaning rules need to know of every character.

Letters, punctuation and white space are those of the Python that runs this, as datatrove sees them. The classes of
the word splitter are spaCy 3.8's (blank pipeline): its alphabets are the cased letters of some Latin, Greek and
Cyrillic blocks and whole blocks of scripts without case; its icons the symbols (So) of Unicode 11.
Usage: python scripts/clean-characters.py > native/text/clean/character_tables.h
"""

import platform
import string
import unicodedata


def spans(text):
    out = set()
    for part in text.split():
        first, _, last = part.partition("-")
        out.update(range(int(first, 16), int(last or first, 16) + 1))
    return out


def characters(text):
    return {ord(c) for c in text if c != " "}


CASED = spans("""
41-5A 61-7A C0-D6 D8-F6 F8-1BF 1C4-2AF 386 388-38A 38C 38E-38F 391-3A9 3AC-3AF 3B1-3C9 3CC-3CE 400-401 403-40A
40C-40D 410-451 453-45A 45C-45D 490-491 496-497 4A2-4A3 4AE-4AF 4BA-4BB 4D8-4D9 4E8-4E9 1D00-1D25 1D6B-1D77
1D79-1D9A 1E00-1EFF 2C60-2C7B 2C7E-2C7F A722-A76F A771-A787 A78B-A78E A790-A7B9 A7FA AB30-AB5A AB60-AB64
FF21-FF3A FF41-FF5A""")
UNCASED = spans("""
591-5F4 620-64A 66E-6D5 6E5-6FF 750-77F 8A0-8BD 900-9FF B80-CFF D80-DFF 1100-137F 2E80-2FDF 2FF0-30FF 31C0-31EF
3200-4DBF 4E00-9FFF AC00-D7AF F900-FAFF FB1D-FBB1 FBD3-FD3D FD50-FDC7 FDF0-FDFB FE30-FE4F FE70-FEFC 1EE00-1EEBB
1F200-1F2FF 20000-2A6DF 2A700-2EBEF 2F800-2FA1F""")
# Symbols that are younger than the splitter's list.
YOUNG = spans("""
166D 2B97 2BC9 2BFF 2E50-2E51 32FF FD40-FD4F FDCF FDFE-FDFF 1019C 11FD5-11FDC 11FE1-11FF1 1CF50-1CFC3 1D1E9-1D1EA
1E14F 1ED2E 1F10D-1F10F 1F16C-1F16F 1F1AD 1F6D5-1F6D7 1F6DC-1F6DF 1F6FA-1F6FC 1F774-1F776 1F77B-1F77F 1F7D9
1F7E0-1F7EB 1F7F0 1F8B0-1F8BB 1F8C0-1F8C1 1F90C-1F90F 1F93F 1F971-1F972 1F977-1F979 1F97B 1F9A3-1F9AF 1F9BA-1F9BF
1F9C3-1F9CF 1FA00-1FA53 1FA70-1FAFF 1FB00-1FBFF""")
PUNCTUATION = characters("…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪")
QUOTES = characters("'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉") | {0x2329, 0x232A, 0x27E6, 0x27E7}
CURRENCY = characters("$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼₾₿")
# Characters that may begin an infix, beside full stop, ellipsis and icons.
INFIX = characters("+-*^,–—~:<>=/.…")
HAN_KANA = spans("""
3005-3007 3021-3029 3041-3096 309D-309F 30A1-30FA 30FC-30FF 31F0-31FF 3400-4DBF 4E00-9FFF F900-FAFF FF66-FF9F
20000-2A6DF 2A700-2EBEF 2F800-2FA1F 30000-323AF""")

# Ends of sentences and clauses in many scripts, for the share of lines that end well.
TERMINAL = spans("""
21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E 1735-1736 17D4-17D6
17D9-17DA 1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E 1C3B-1C3C 1C7E-1C7F 203C-203D 2047-2049
2E2E 2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB
FE52 FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 10F55-10F59 10F86-10F89 11047-11048 110BE-110C1 11141-11143
111C5-111C6 111CD 111DE-111DF 11238-11239 1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642
1173C-1173E 11944 11946 11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F 16AF5 16B37-16B38
16B44 16E98 1BC9F 1DA88""")
# Ends of sentences for the count of sentences: the same, from an older Unicode, with full stops and question marks.
SENTENCE = TERMINAL - spans("""
61D-61E 837 839 83D-83E 17D4-17D6 17D9-17DA 1B7D-1B7E 2E53-2E54 10F55-10F59 10F86-10F89 11944 11946 11EF7-11EF8
11F43-11F44 16E98""")
# What does not make a word: the punctuation of datatrove's text module.
NO_WORD = (
    {ord(c) for c in string.punctuation}
    | {c for c in range(0xA0) if unicodedata.category(chr(c)) == "Cc" and c not in (9, 10)}
    | characters("«´»–—’“”„…∶━►、〈〉《》「」【】％（），１：；～") | TERMINAL
)


def mask(code):
    char = chr(code)
    category = unicodedata.category(char)
    uncased = code in UNCASED
    cased = code in CASED
    icon = category == "So" and code not in YOUNG
    bits = [
        uncased or cased,
        uncased or (cased and category == "Ll"),
        uncased or (cased and category == "Lu"),
        code in PUNCTUATION,
        code in QUOTES,
        code in CURRENCY,
        icon,
        icon or code in INFIX,
        char.isspace(),
        category[0] == "L",
        category[0] == "P",
        code in NO_WORD,
        code in TERMINAL,
        code in SENTENCE,
        len(char.splitlines()[0]) == 0,
        code in HAN_KANA,
    ]
    return sum(1 << at for at, bit in enumerate(bits) if bit)


def main():
    steps, last = [], -1
    for code in range(0x110000):
        value = 0 if 0xD800 <= code < 0xE000 else mask(code)
        if value != last:
            steps.append((code, value))
            last = value
    print("// character_tables.h — written by scripts/clean-characters.py with Python "
          f"{platform.python_version()} (Unicode {unicodedata.unidata_version}).")
    print("#pragma once\n\n#include <cstdint>\n\nnamespace anneal::text::clean {\n")
    print("struct CharacterStep {\n  uint32_t first;\n  uint16_t classes;\n};\n")
    print("// Every character from `first` to the next step has these classes (bits in the order of characters.h).")
    print("// clang-format off\ninline constexpr CharacterStep kCharacterSteps[] = {")
    for at in range(0, len(steps), 7):
        print("    " + " ".join(f"{{0x{c:x}, 0x{m:x}}}," for c, m in steps[at:at + 7]))
    print("};\n// clang-format on\n\n}  // namespace anneal::text::clean")


main()
