"""Golden values for tests/tokenizer: how HF tokenizers and tiktoken cut and normalize adversarial texts.

Needs: pip install tokenizers==0.23.2 tiktoken==0.14.0
Run:   python tests/golden/make_pretokenizers.py

Writes pretokenizers.json: for every part (as in tokenizer.json) and every text the pieces and where they stand in the
text; normalizers.json: normalized texts with the range of every character; character-classes.json: for every
class of Oniguruma a hash of its members among all code points. Places are in UTF-16 code units.
"""

import hashlib
import json
import pathlib

import tiktoken
import tokenizers
from tiktoken import _tiktoken
from tokenizers import PreTokenizedString, Regex, normalizers, pre_tokenizers

HERE = pathlib.Path(__file__).parent
VERSIONS = {"tokenizers": tokenizers.__version__, "tiktoken": tiktoken.__version__}
COMMAND = "python tests/golden/make_pretokenizers.py"

GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
GPT2_OLD = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
GPT2_NEW = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
GPT4 = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|"
        r"\s+(?!\S)|\s+")
GPT4_NEW = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|"
            r"\s*[\r\n]|\s+(?!\S)|\s")
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
          r"\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
NANOCHAT = GPT4.replace("{1,3}", "{1,2}")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
GPT4O = "|".join([
    r"[^\r\n\p{L}\p{N}]?" + UPPER + "*" + LOWER + "+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?" + UPPER + "+" + LOWER + "*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
DEEPSEEK = [
    r"\p{N}{1,3}",
    "[一-龥\u3040-\u309f\u30a0-\u30ff]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+".replace('\\"', '"')
    + r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]
DEEPSEEK_CODER = ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"]

TEXTS = [
    "Hello world's 12345 x_y!\n\n  foo();",
    "We'll see: they've said IT'S 3.14159, ISN'T it? I'M, you'RE, he'D",
    "curly it’s we’ll; long s 'ſ IT'ſ don'ſt",
    "line\r\nfeed\r\n\r\n  two\rthree\n\t\ttabs  \n ",
    "end with blank line \n  ",
    "nbsp\u00a0\u00a0x \u00a0y thin\u2009z em\u2003w ideographic\u3000\u3000全角",
    "nel\u0085x ls\u2028y ps\u2029\u2029 z vt\x0bff\x0c.",
    "zero\u200bwidth bom\ufeff soft\u00adhyphen \u2060 joiner",
    "👩‍👩‍👧‍👦 family 🇫🇷🇩🇪 flags 👍🏽 1️⃣ ❤️‍🔥!",
    "e\u0301 e\u0301\u0323 a\u0308\u0304b \u0301lone \u0301\u0302 n\u0303",
    "한국어 문장입니다. 각갂 ᄀ\u1161\u11a8 ㄱㄴ",
    "ภาษาไทยไม่มีช่องว่าง ๑๒๓๔ ครับ",
    "العربية ١٢٣٤٥ أَهْلًا، مرحبا؟ שָׁלוֹם",
    "हिन्दी में लिखा १२३ है। বাংলা",
    "Ⅷ ⅷ Ⅻ ² ³¹ x² ½ ¾cup ① ㊀ 𝟙𝟚𝟛𝟜 𐄇",
    "1 12 123 1234 12345678901234567890 1,000,000.00 a1b22c333d4444",
    "日本語のテキスト、カタカナ・ー゛゜漢字！中文字符。「引用」123円",
    "trailing   ",
    "   leading",
    " ",
    "\n",
    "\n\n\n",
    "  \n  \n  x",
    "a",
    "'",
    "''s 's' '' 's",
    "\x00\x01 \x7f\x80\x9f\ue000 \U000f0000x \ufdd0 \uffff \U0010ffff",
    "unassigned \u0378\u0379a \u3097\u3040ぁ \u2fe0",
    "CamelCase HTTPServer ǅungla ʰaʼb İstanbul STRASSE ß ſ ﬁ Ａｂ",
    "src/lib/../a.b/c//d\n/e\r\n/f http://x.y/z?q=1#r",
    "if (x==1) { return a[i]->b; } // done\n\t/* ok */ #define X\n",
    "!@#$%^&*()_+-=[]{}|;':\",./<>?`~ .word ,word (word _word",
    "Ünïcödé ÀÉÎ Größe naïve Ελληνικά ΣΊΣΥΦΟΣ ςσ Кириллица Ёж",
    "𝒜𝓫𝒞 𐐀𐐨 𑄶𑄷 𞤀𞤢 𠀀𪛖",
    "mixed१2３4٥ ab1c²d",
    "»quoted« „so“ ‹x› – — … ‐ ― ¿qué? ¡no!",
    "€100 £5 ¥ ₿ + − × ÷ ≠ ∑ √ ← ↑ ☺ ♥",
    "it'S we'Ve 'LLama 'Tis 'reason 'dog 'ma",
    "a  b   c    d\t e \t f",
    "tab\tletter\u00a0letter \tx",
    "x" * 40 + " " * 20 + "1" * 10 + "." * 10,
]
# For parts that are simple, or that only differ in an option.
FEW = [TEXTS[i] for i in (0, 1, 3, 5, 8, 9, 10, 14, 16, 17, 18, 19, 23, 25, 26, 28, 31)]


def split(pattern, behavior="Isolated", invert=False, regex=True):
    return {"type": "Split", "pattern": {"Regex" if regex else "String": pattern}, "behavior": behavior, "invert": invert}


def byte_level(prefix, use_regex):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": use_regex}


def sequence(*members):
    return {"type": "Sequence", "pretokenizers": list(members)}


def parts():
    """(name, part, texts)"""
    yield "GPT-2", split(GPT2), TEXTS
    yield "GPT-2, as published", split(GPT2_OLD), FEW
    yield "GPT-2, as in tiktoken", split(GPT2_NEW), FEW
    yield "GPT-4", split(GPT4), TEXTS
    yield "GPT-4, as in tiktoken", split(GPT4_NEW), TEXTS
    yield "Llama 3", split(LLAMA3), TEXTS
    yield "Llama 3, removed and inverted", split(LLAMA3, "Removed", True), FEW
    yield "Qwen 2", split(QWEN2), TEXTS
    yield "nanochat", split(NANOCHAT), FEW
    yield "GPT-4o", split(GPT4O), TEXTS
    yield "DeepSeek-V3", sequence(*map(split, DEEPSEEK), byte_level(False, False)), TEXTS
    yield "DeepSeek-V3 with line ends written out", sequence(
        *(split(pattern.replace("\\r", "\r").replace("\\n", "\n")) for pattern in DEEPSEEK)), FEW
    yield "DeepSeek-Coder", sequence(*map(split, DEEPSEEK_CODER), byte_level(False, False)), TEXTS
    for prefix in (False, True):
        for use_regex in (False, True):
            yield f"ByteLevel {prefix} {use_regex}", byte_level(prefix, use_regex), FEW
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            yield f"letters {behavior} {invert}", split(r"\p{L}", behavior, invert), FEW[:8]
            yield f"empty matches {behavior} {invert}", split("x*", behavior, invert), FEW[:4]
            yield f"string {behavior} {invert}", split("l", behavior, invert, False), FEW[:4]
        yield f"Punctuation {behavior}", {"type": "Punctuation", "behavior": behavior}, FEW
    yield "string with signs", split(".b/c//d", "Isolated", False, False), TEXTS[29:30]
    yield "Whitespace", {"type": "Whitespace"}, TEXTS
    yield "WhitespaceSplit", {"type": "WhitespaceSplit"}, TEXTS[:12]
    yield "BertPreTokenizer", {"type": "BertPreTokenizer"}, TEXTS
    yield "Digits", {"type": "Digits", "individual_digits": False}, TEXTS[10:18]
    yield "individual Digits", {"type": "Digits", "individual_digits": True}, TEXTS[10:18]
    yield "CharDelimiterSplit", {"type": "CharDelimiterSplit", "delimiter": "l"}, FEW
    yield "UnicodeScripts", {"type": "UnicodeScripts"}, TEXTS
    yield "FixedLength", {"type": "FixedLength", "length": 3}, FEW
    for scheme in ("first", "never", "always"):
        for cut in (True, False):
            yield f"Metaspace {scheme} {cut}", {
                "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": cut}, FEW
    yield "WhitespaceSplit, Metaspace", sequence(
        {"type": "WhitespaceSplit"},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}), FEW
    yield "Digits, ByteLevel", sequence({"type": "Digits", "individual_digits": True}, byte_level(True, True)), FEW
    yield "ByteLevel, Punctuation", sequence(byte_level(False, True), {"type": "Punctuation", "behavior": "Isolated"}), FEW


NORMALIZERS = {
    "NFC": {"type": "NFC"}, "NFD": {"type": "NFD"}, "NFKC": {"type": "NFKC"}, "NFKD": {"type": "NFKD"},
    "Lowercase": {"type": "Lowercase"}, "StripAccents": {"type": "StripAccents"}, "Nmt": {"type": "Nmt"},
    "ByteLevel": {"type": "ByteLevel"}, "Prepend": {"type": "Prepend", "prepend": "▁x"},
    "Strip": {"type": "Strip", "strip_left": True, "strip_right": True},
    "Strip left": {"type": "Strip", "strip_left": True, "strip_right": False},
    "Strip right": {"type": "Strip", "strip_left": False, "strip_right": True},
    "Replace string": {"type": "Replace", "pattern": {"String": "l"}, "content": "<l>"},
    "Replace regex": {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
    "Replace by nothing": {"type": "Replace", "pattern": {"Regex": r"\p{M}|\d"}, "content": ""},
    "BertNormalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True},
    "BertNormalizer, cased": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                              "strip_accents": None, "lowercase": False},
    "BertNormalizer, accents only": {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": False,
                                     "strip_accents": True, "lowercase": False},
    "Llama": {"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
    "ALBERT": {"type": "Sequence", "normalizers": [
        {"type": "Replace", "pattern": {"String": "``"}, "content": '"'}, {"type": "NFKD"}, {"type": "StripAccents"},
        {"type": "Lowercase"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
}
NORMALIZER_TEXTS = TEXTS + [
    "q\u0307\u0323 \u1e9b\u0323 \u212b\u2126 \u0344 a\u0345\u0301\u05b0\u3099 か\u3099は\u309a",
    "ﬁ ﬆ ㌀ ｶﾞ ① ⁵ ½ ﷺ Ǆ ǆ 豈更 \u2f800 丽",
    "각 가\u11a8 \u1100\u1161\u11a8 \u1100\uac00 힣",
]


def places(text):
    """Byte → UTF-16 units."""
    table, units = {}, 0
    byte = 0
    for char in text:
        table[byte] = units
        byte += len(char.encode())
        units += 2 if ord(char) > 0xFFFF else 1
    table[byte] = units
    return table


def pieces_of(pre_tokenizer, text):
    string = PreTokenizedString(text)
    pre_tokenizer.pre_tokenize(string)
    table = places(text)
    return [[piece, table[begin], table[end]] for piece, (begin, end), _ in string.get_splits("original", "byte")]


def characters_of(normalizer, text):
    string = PreTokenizedString(text)
    string.normalize(lambda part: normalizer.normalize(part))
    pre_tokenizers.FixedLength(1).pre_tokenize(string)
    table = places(text)
    splits = string.get_splits("original", "byte")
    return ["".join(piece for piece, _, _ in splits), [table[p] for _, place, _ in splits for p in place]]


def tiktoken_pieces(pattern, text):
    """With a vocabulary of all stretches of the text every piece is a token."""
    data = text.encode()
    tokens = {bytes([byte]): None for byte in range(256)}
    tokens.update({data[i:j]: None for i in range(len(data)) for j in range(i + 1, len(data) + 1)})
    ranks = {token: rank for rank, token in enumerate(tokens)}
    spelled = {rank: token for token, rank in ranks.items()}
    return [spelled[rank].decode() for rank in _tiktoken.CoreBPE(ranks, {}, pattern).encode_ordinary(text)]


def part_of(kind, part):
    """The library's object for a part of a tokenizer.json."""
    model = {"type": "BPE", "vocab": {}, "merges": []}
    whole = {"version": "1.0", "added_tokens": [], "model": model, kind: part}
    return getattr(tokenizers.Tokenizer.from_str(json.dumps(whole)), kind)


def classes():
    text = "".join(map(chr, (code for code in range(0x110000) if not 0xD800 <= code < 0xE000)))
    names = "L M N P S Z C Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co".split()
    patterns = [r"\p{%s}" % name for name in names]
    patterns += [r"\s", r"\w", r"\d", r"\h", r"\p{^L}", r"\P{Greek}", r"\p{Han}", r"\p{Hiragana}", r"\p{Cyrillic}"]
    patterns += [r"[[:%s:]]" % name for name in "alpha alnum upper lower punct space blank cntrl graph print word".split()]
    patterns += [r"[^\s\p{L}\p{N}]", r"[\p{L}&&[^a-z]]", "(?i:[a-zß-ÿ])", "(?i:[^k])", "."]
    for pattern in patterns:
        split_ = pre_tokenizers.Split(Regex(f"(?:{pattern})+"), "removed", invert=True)
        ranges = [f"{ord(piece[0]):x}-{ord(piece[-1]):x}" for piece, _ in split_.pre_tokenize_str(text)]
        yield pattern, hashlib.sha256(",".join(ranges).encode()).hexdigest()


def write(name, content):
    """Versions and command first; a line per entry keeps differences readable."""
    lines = [f'"versions": {json.dumps(VERSIONS)}', f'"command": {json.dumps(COMMAND)}']
    for key, value in content.items():
        if isinstance(value, list):
            inner = ",\n".join("    " + json.dumps(item, ensure_ascii=False) for item in value)
            lines.append(f"{json.dumps(key)}: [\n{inner}\n  ]")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    (HERE / name).write_text("{\n  " + ",\n  ".join(lines) + "\n}\n")


def main():
    cases = []
    for name, part, texts in parts():
        pre_tokenizer = part_of("pre_tokenizer", part)
        results = [[TEXTS.index(text), pieces_of(pre_tokenizer, text)] for text in texts]
        cases.append({"name": name, "part": part, "results": results})
    tiktoken_cases = [
        {"name": name, "pattern": pattern, "results": [tiktoken_pieces(pattern, text) for text in TEXTS]}
        for name, pattern in (("r50k_base", GPT2_NEW), ("cl100k_base", GPT4_NEW), ("o200k_base", GPT4O),
                              ("engine", r"(?m)^\s*\w+|(?i:ab)c|\d{2,3}+|.(?s).|\w$|."))]
    write("pretokenizers.json", {"texts": TEXTS, "cases": cases, "tiktoken": tiktoken_cases})
    normalized = [
        {"name": name, "part": part,
         "results": [characters_of(part_of("normalizer", part), text) for text in NORMALIZER_TEXTS]}
        for name, part in NORMALIZERS.items()]
    write("normalizers.json", {"texts": NORMALIZER_TEXTS, "cases": normalized})
    write("character-classes.json", {"classes": dict(classes())})


if __name__ == "__main__":
    main()
