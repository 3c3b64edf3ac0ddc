"""What Python's libraries make of texts on their way to a MinHash signature: folded words and values of hash functions.

The steps are those of datatrove's `simplify_text` and `MinhashDedupSignature` with its default configuration, words cut at
spaces. Usage: python tests/golden/make_dedup.py > tests/golden/dedup.json (numpy, xxhash and regex are needed)
"""

import json
import platform
import random
import string
import unicodedata

import numpy
import regex
import xxhash

PRIME = numpy.uint64((1 << 61) - 1)
WIDE = "«´»–—’“”„…∶━►、。〈〉《》「」【】！％（），．１：；？～"
CONTROL = "".join(chr(c) for c in range(0xA0) if unicodedata.category(chr(c)) == "Cc" and c not in (9, 10))
TO_SPACE = str.maketrans({c: " " for c in string.punctuation + WIDE + CONTROL})
NUMBER = regex.compile(r"\p{Nd}+([.,\u060C\u066B\u2396-\u2398]\p{Nd}+)?")


def fold(text):
    text = NUMBER.sub("0", text.lower()).translate(TO_SPACE)
    text = regex.sub(r"\s+", " ", text).strip()
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


def words(text):
    return [word for word in fold(text).split(" ") if word]


def signature(text, shingle=5, functions=112, seed=1):
    cut = words(text)
    hashes = [xxhash.xxh64_intdigest(" ".join(cut[i:i + shingle]).encode()) for i in range(len(cut) - shingle + 1)]
    if not hashes:
        return None
    generator = numpy.random.RandomState(seed)
    a = generator.randint(1, PRIME, dtype=numpy.uint64, size=(1, functions))
    b = generator.randint(0, PRIME, dtype=numpy.uint64, size=(1, functions))
    values = (numpy.array(hashes, dtype=numpy.uint64).reshape(-1, 1) * a + b) % PRIME
    return [f"{value:x}" for value in values.min(axis=0)]


def samples():
    yield from [
        "",
        "   ",
        "Hello, World!",
        "The price rose by 1,234.5 % to 99.95 in 2024-05-17; v1.2.3, 3.14 and ١٢٫٥ and १२३.",
        "Ünïcödé ÀÉÎÕÜ ça où naïve façade Ångström",
        "ΟΔΥΣΣΕΥΣ ΣΑΣ Σ ΑΣ. ΑΣΒ Α\u0301Σ\u0301 ΣΣ, ὈΔΥΣΣΕΎΣ",
        "İstanbul ve IĞDIR, ı i",
        "Straße ẞ ﬁn ǅ Ǆ Ⅷ ⓐ 𝐀 ８９",
        "東京タワーは１９５８年に完成した。これは「塔」です、ガギグゲゴ・ヴ",
        "한국어 텍스트를 분해합니다. 가각힣",
        "ภาษาไทยไม่มีช่องว่าง กำลัง น้ำ",
        "ไทย English 混ぜた text",
        "नमस्ते दुनिया, हिन्दी में क़ ख़ ज़",
        "שָׁלוֹם עוֹלָם السَّلَامُ عَلَيْكُمْ، ١٬٢٣٤",
        "emoji 😀👍🏽 family 👩‍👩‍👧‍👦 flag 🇩🇪 done",
        "tabs\tand\nnewlines\r\nand\u00a0nbsp\u2003em\u3000ideographic\u2028line",
        "control \x00\x01\x1c\x1d\x7f\x85\x9f chars",
        "e\u0301 e\u0327\u0301 a\u0308\u0304 combining Ế ệ ǟ",
        "„quotes“ «guillemets» ‘single’ … — – ― • · § ° € £ ¥ © ®",
        "\u0344 \u212b \u2126 \u1e9b\u0323 \ufb1d \uf900 \U0002f800 \u0958",
        "1.2.3.4 1,2,3 .5 5. 1..2 1.a a.1 12٫34 1⎖2",
        "word_with_underscore e-mail@example.org https://example.org/a?b=c&d=%20",
    ]
    rng = random.Random(7)
    blocks = [(0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x530), (0x5D0, 0x700), (0x900, 0xE00),
              (0xE00, 0xF00), (0x1E00, 0x2000), (0x2000, 0x2070), (0x3000, 0x3100), (0x4E00, 0x4F00),
              (0xAC00, 0xAD00), (0xF900, 0xFB50), (0x1D400, 0x1D7FF), (0x1F600, 0x1F650)]
    for _ in range(160):
        text = ""
        for _ in range(rng.randrange(1, 24)):
            low, high = rng.choice(blocks)
            for _ in range(rng.randrange(1, 6)):
                char = chr(rng.randrange(low, high))
                # Spacing marks with a combining class keep their order in anneal.
                if unicodedata.category(char) != "Cn" and not (
                    unicodedata.combining(char) and unicodedata.category(char) != "Mn"
                ):
                    text += char
            text += rng.choice(["", " ", " ", "\n", ", "])
        yield text


def main():
    texts = list(samples())
    rng = random.Random(11)
    vocabulary = ["".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randrange(1, 9))) for _ in range(300)]
    long_texts = [" ".join(rng.choice(vocabulary) for _ in range(n)) for n in (4, 5, 6, 40, 2500)]
    long_texts.append("Größe, 12.5 % — " * 9)
    print(json.dumps({
        "command": "python tests/golden/make_dedup.py > tests/golden/dedup.json",
        "versions": {"python": platform.python_version(), "unicode": unicodedata.unidata_version,
                     "numpy": numpy.__version__, "xxhash": xxhash.VERSION, "regex": regex.__version__},
        "folded": [{"text": text, "words": words(text)} for text in texts],
        "signatures": [
            {"text": text, "shingle": 5, "buckets": 14, "rows": 8, "seed": 1, "values": signature(text)}
            for text in long_texts
        ] + [{"text": long_texts[3], "shingle": 3, "buckets": 9, "rows": 5, "seed": 4000000000,
              "values": signature(long_texts[3], 3, 45, 4000000000)}],
        "xxh64": [{"text": text, "hash": f"{xxhash.xxh64_intdigest(text.encode()):x}"}
                  for text in ["a" * n for n in (0, 1, 3, 4, 7, 8, 15, 31, 32, 33, 63, 64, 100)]],
    }, ensure_ascii=True))


main()
