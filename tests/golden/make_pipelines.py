"""Golden values for tests/tokenizer/pipelines.test.ts: every part that a tokenizer.json can have, from Hugging Face's own
library.

Needs: pip install tokenizers
Run:   python tests/golden/make_pipelines.py

Trains a few small models on the fixed text below and puts them together with normalizers, pre-tokenizers,
post-processors, decoders and added tokens of every sort. For each such pipeline pipelines.json has the ids, offsets, type
ids and special-token masks of sample texts and pairs, and what ids decode to. Offsets are in UTF-16 code units. The long
line is written by a formula that the test repeats; of its ids there are the number and the SHA-256 only.
"""

import hashlib
import json
import pathlib
import random
import struct
import unicodedata

import tokenizers
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)

HERE = pathlib.Path(__file__).parent

SAMPLES = [
    "",
    "Hello world's 12345 x_y!\n\n  foo();",
    "We'll see: THEY'VE said it's 3.14159, isn't it?",
    "for (let i = 0; i < 10; i++) {\r\n\tconsole.log(`row ${i}`);\r\n}\r\n  \n",
    "naïve café déjà-vu — “quoted” … ½ ² ™ ﬁne",
    "日本語のテキスト、中文字符。한국어 문장 各",
    "👩‍👩‍👧‍👦 family 🇫🇷 flag 👍🏽 e\u0301\u0327 \ufeffbom",
    "non\u00a0breaking\u2003spaces\u3000here zero\u200bwidth \u0000\u0001\u007f\u0085 control",
    "   leading and trailing   ",
    "ÀÉÎ ß ſ İ ǅ Σίσυφος ΣΑΣ Ⅷ ① ４２",
    "مرحبا بالعالم שלום नमस्ते दुनिया สวัสดี Привет мир",
    "<s>the end<|x|>  the start</s> [MASK] of it [MASK]ed",
    "▁already▁marked ▁ ▁▁ text",
]
PAIRS = [("the cat sat", "on a mat!"), ("", "  only\nthe second"), ("日本 text", ""), ("one <s> two", " three</s>")]


def corpus():
    rng = random.Random(11)
    words = ("the cat sat on a mat and they said hello world function return value let const number string "
             "we will see it is not what is here spaces lines text token model train learn loss step data "
             "naïve café déjà über Привет мир 日本語 中文 한국어").split()
    for _ in range(300):
        yield " ".join(rng.choice(words) for _ in range(rng.randint(4, 14))) + rng.choice([".", "!", "\n", ";", " 123.", "\n\n  "])


def long_line(length):
    """Words of a linear congruential generator; a space, now and then other separators, between them."""
    words = ["the", "cat", "sat", "hello", "world's", "日本語", "12345", "naïve", "it's", "we'll", "x", "token", "中文。", "👍🏽"]
    separators = [" "] * 12 + ["  ", ", ", "—", ""]
    state, parts, size = 1, [], 0
    while size < length:
        state = (state * 1664525 + 1013904223) % 2**32
        part = words[(state >> 16) % len(words)] + separators[(state >> 24) % len(separators)]
        parts.append(part)
        size += len(part)
    return "".join(parts)


GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
GPT4 = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
        r"|\s+(?!\S)|\s")
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
DEEPSEEK = [r"\p{N}{1,3}", "[一-龥\u3040-\u309f\u30a0-\u30ff]+",
            r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
            r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]


def splits(*patterns):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(p), "isolated") for p in patterns]
                                   + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def train(model, trainer, pre_tokenizer, normalizer=None):
    tok = Tokenizer(model)
    tok.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tok.normalizer = normalizer
    tok.train_from_iterator(corpus(), trainer)
    return json.loads(tok.to_str())["model"]


def make_models():
    specials = ["<unk>", "<s>", "</s>"]
    fallback = [f"<0x{b:02X}>" for b in range(256)]
    quiet = {"show_progress": False}
    byte = train(models.BPE(), trainers.BpeTrainer(vocab_size=460, special_tokens=specials, **quiet,
                 initial_alphabet=pre_tokenizers.ByteLevel.alphabet()), pre_tokenizers.ByteLevel(add_prefix_space=False))
    # A token that no merge makes: only a model that ignores merges gives it.
    ignoring = json.loads(json.dumps(byte))
    ignoring["ignore_merges"] = True
    ignoring["vocab"]["ĠmergelessĠ"] = len(ignoring["vocab"])
    ignoring["vocab"]["Ġworld's"] = len(ignoring["vocab"])
    ignoring["vocab"]["foo"] = len(ignoring["vocab"])
    character = train(models.BPE(unk_token="<unk>"), trainers.BpeTrainer(vocab_size=200, special_tokens=specials, **quiet),
                      pre_tokenizers.Whitespace())
    suffixed = train(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>", fuse_unk=True),
                     trainers.BpeTrainer(vocab_size=200, special_tokens=specials, end_of_word_suffix="</w>", **quiet),
                     pre_tokenizers.Whitespace())
    return {
        "byte": byte,
        "ignoring": ignoring,
        "character": character,
        "suffixed": suffixed,
        "fallback": train(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True),
                          trainers.BpeTrainer(vocab_size=440, special_tokens=specials + fallback, **quiet),
                          pre_tokenizers.Metaspace()),
        "wordpiece": train(models.WordPiece(unk_token="[UNK]"),
                           trainers.WordPieceTrainer(vocab_size=220, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], **quiet),
                           pre_tokenizers.BertPreTokenizer()),
        "wordlevel": train(models.WordLevel(unk_token="<unk>"),
                           trainers.WordLevelTrainer(vocab_size=60, special_tokens=specials, **quiet), pre_tokenizers.Whitespace()),
        "unigram": train(models.Unigram(), trainers.UnigramTrainer(vocab_size=180, special_tokens=specials, unk_token="<unk>", **quiet),
                         pre_tokenizers.Metaspace()),
    }


def pipelines():
    """(name, model, {part: value}, added tokens)."""
    ws = pre_tokenizers.Whitespace()
    byte_decoder = decoders.ByteLevel()
    trim = processors.ByteLevel(trim_offsets=True)
    llama_decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    specials = [AddedToken("<s>", special=True), AddedToken("</s>", special=True)]
    cls_sep = dict(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    bos = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    yield "gpt2", "byte", dict(pre=pre_tokenizers.ByteLevel(add_prefix_space=False), post=processors.ByteLevel(trim_offsets=False), dec=byte_decoder), specials
    yield "gpt2 with a prefix space", "byte", dict(pre=pre_tokenizers.ByteLevel(add_prefix_space=True), post=processors.ByteLevel(add_prefix_space=True, trim_offsets=True), dec=byte_decoder), []
    yield "gpt4", "ignoring", dict(pre=splits(GPT4), post=trim, dec=byte_decoder), []
    yield "llama3", "ignoring", dict(pre=splits(LLAMA3), post=processors.Sequence([trim, bos]), dec=byte_decoder), specials
    yield "qwen2", "byte", dict(norm=normalizers.NFC(), pre=splits(LLAMA3.replace("{1,3}", "")), post=processors.ByteLevel(trim_offsets=False), dec=byte_decoder), specials
    yield "gpt4o", "ignoring", dict(pre=splits(O200K), dec=byte_decoder), []
    yield "deepseek-v3", "byte", dict(norm=normalizers.Sequence([]), pre=splits(*DEEPSEEK), post=bos, dec=byte_decoder), specials
    yield "roberta", "byte", dict(pre=pre_tokenizers.ByteLevel(add_prefix_space=False), post=processors.RobertaProcessing(("</s>", 2), ("<s>", 1)), dec=byte_decoder), [AddedToken("[MASK]", lstrip=True, special=True)]
    yield "byte-level normalizer", "byte", dict(norm=normalizers.ByteLevel(), dec=byte_decoder), []
    yield "llama2", "fallback", dict(norm=normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), post=bos, dec=llama_decoder), specials
    yield "mistral", "fallback", dict(pre=pre_tokenizers.Metaspace(prepend_scheme="first", split=False), post=bos, dec=llama_decoder), specials
    yield "metaspace never", "fallback", dict(pre=pre_tokenizers.Metaspace(prepend_scheme="never"), dec=decoders.Metaspace(prepend_scheme="never")), specials
    yield "bert uncased", "wordpiece", dict(norm=normalizers.BertNormalizer(lowercase=True), pre=pre_tokenizers.BertPreTokenizer(), post=processors.TemplateProcessing(**cls_sep), dec=decoders.WordPiece()), [AddedToken("[MASK]", special=True)]
    yield "bert cased", "wordpiece", dict(norm=normalizers.BertNormalizer(lowercase=False), pre=pre_tokenizers.BertPreTokenizer(), post=processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2)), dec=decoders.WordPiece(cleanup=False)), []
    yield "bert with parts off", "wordpiece", dict(norm=normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False), pre=pre_tokenizers.BertPreTokenizer(), dec=decoders.WordPiece()), []
    yield "t5", "unigram", dict(norm=normalizers.NFKC(), pre=pre_tokenizers.Metaspace(), post=processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 2)]), dec=decoders.Metaspace()), specials
    yield "xlm-r", "unigram", dict(norm=normalizers.Sequence([precompiled(), normalizers.Replace(Regex(" {2,}"), " ")]), pre=pre_tokenizers.Metaspace(), dec=decoders.Metaspace()), specials
    yield "precompiled", "character", dict(norm=precompiled(), pre=pre_tokenizers.FixedLength(1), dec=decoders.Fuse()), []
    yield "clip", "suffixed", dict(norm=normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]), pre=ws, dec=decoders.BPEDecoder()), []
    yield "words", "wordlevel", dict(pre=ws), []
    yield "ctc", "wordlevel", dict(pre=ws, dec=decoders.CTC(pad_token="a", word_delimiter_token="the")), []
    for name, part in [("nfd", normalizers.NFD()), ("nfkd", normalizers.NFKD()), ("lowercase", normalizers.Lowercase()),
                       ("strip", normalizers.Strip()), ("strip left", normalizers.Strip(left=True, right=False)),
                       ("strip accents", normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()])),
                       ("replace", normalizers.Replace("a", "the")), ("replace regex", normalizers.Replace(Regex("[aeiou]{1,2}"), "")),
                       ("prepend", normalizers.Prepend("the ")), ("nmt", normalizers.Nmt())]:
        yield f"normalizer {name}", "character", dict(norm=part, pre=ws, dec=decoders.Fuse()), []
    pattern = Regex(r"\p{L}+|\d")
    for name, part in [("whitespace split", pre_tokenizers.WhitespaceSplit()), ("punctuation", pre_tokenizers.Punctuation("contiguous")),
                       ("digits", pre_tokenizers.Digits(individual_digits=True)), ("digits together", pre_tokenizers.Digits()),
                       ("delimiter", pre_tokenizers.CharDelimiterSplit("t")), ("scripts", pre_tokenizers.UnicodeScripts()),
                       ("fixed length", pre_tokenizers.FixedLength(3)), ("split removed", pre_tokenizers.Split(" ", "removed")),
                       ("split isolated", pre_tokenizers.Split(pattern, "isolated")), ("split previous", pre_tokenizers.Split(pattern, "merged_with_previous")),
                       ("split next", pre_tokenizers.Split(pattern, "merged_with_next")), ("split contiguous", pre_tokenizers.Split(pattern, "contiguous")),
                       ("split inverted", pre_tokenizers.Split(pattern, "removed", invert=True)),
                       ("sequence", pre_tokenizers.Sequence([ws, pre_tokenizers.Digits(True), pre_tokenizers.Metaspace()]))]:
        yield f"pre-tokenizer {name}", "character", dict(pre=part, dec=decoders.Replace("the", "THE")), []
    flags = [AddedToken("hello", single_word=True), AddedToken("[MASK]", lstrip=True), AddedToken("<|x|>", rstrip=True, special=True),
             AddedToken("ÉTÉ cat", normalized=True), AddedToken("[MASK]ed", normalized=False), AddedToken("the start", normalized=True, rstrip=True),
             AddedToken("日本", normalized=True), AddedToken("é", normalized=False), AddedToken("  ", normalized=False)]
    yield "added tokens", "byte", dict(norm=normalizers.Lowercase(), pre=pre_tokenizers.ByteLevel(add_prefix_space=False), post=trim, dec=byte_decoder), flags
    yield "added tokens in words", "character", dict(norm=normalizers.NFD(), pre=ws), flags


def character_map(entries):
    """SentencePiece's compiled table: the size of a Darts double array, the array, the replacements."""
    blob, trie = b"", {}
    for key, value in sorted(entries.items()):
        node = trie
        for byte in key.encode():
            node = node.setdefault(byte, {})
        node["at"] = len(blob)
        blob += value.encode() + b"\0"
    units, taken = [0] * 256, [True] + [False] * 255

    def place(node, index):
        labels = [label for label in node if label != "at"]
        base = 1
        while True:
            slots = [base ^ label for label in labels] + ([base] if "at" in node else [])
            while len(units) <= max(slots):
                units.extend([0] * 256)
                taken.extend([False] * 256)
            if not any(taken[slot] for slot in slots):
                break
            base += 1
        for slot in slots:
            taken[slot] = True
        units[index] |= (index ^ base) << 10
        if "at" in node:
            units[index] |= 1 << 8
            units[base] = node["at"] | 1 << 31
        for label in labels:
            units[base ^ label] = label
        for label in labels:
            place(node[label], base ^ label)

    place(trie, 0)
    array = struct.pack(f"<{len(units)}I", *units)
    return struct.pack("<I", len(array)) + array + blob


def precompiled():
    """Part of what the NFKC tables of T5 and XLM-R hold."""
    entries = {c: unicodedata.normalize("NFKC", c) for c in "½²™ﬁ…①Ⅷ４２　\u00a0\u2003がﾞｶ㍍"}
    for letter in "aeiouAEIcn":
        for mark in "\u0300\u0301\u0308\u0327":
            whole = unicodedata.normalize("NFKC", letter + mark)
            if len(whole) == 1:
                entries[letter + mark] = whole
    return normalizers.Precompiled(character_map(entries | {"\r\n": "\n", "\t": " ", "\u200b": "", "\x7f": "", "\u0301": "'"}))


def utf16(text, offsets):
    """Offsets in characters → in UTF-16 code units."""
    place = [0]
    for c in text:
        place.append(place[-1] + (2 if ord(c) > 0xFFFF else 1))
    return [place[o] for pair in offsets for o in pair]


def encoding_row(tok, text, pair, special):
    e = tok.encode(text, pair, add_special_tokens=special)
    offsets = []
    for (begin, end), sequence in zip(e.offsets, e.sequence_ids):
        offsets += utf16(pair if sequence == 1 else text, [(begin, end)])
    row = {"text": text, "special": special, "ids": e.ids, "offsets": offsets, "types": e.type_ids, "mask": e.special_tokens_mask,
           "sequences": [s or 0 for s in e.sequence_ids]}
    if pair is not None:
        row["pair"] = pair
    return row


def main():
    made = make_models()
    out = []
    line = long_line(1_000_000)
    for name, model, parts, added in pipelines():
        tok = Tokenizer.from_str(json.dumps({
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
            "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": made[model]}))
        for attribute, key in [("normalizer", "norm"), ("pre_tokenizer", "pre"), ("post_processor", "post"), ("decoder", "dec")]:
            if key in parts:
                setattr(tok, attribute, parts[key])
        for token in added:
            (tok.add_special_tokens if token.special else tok.add_tokens)([token])
        text = tok.to_str()
        tok = Tokenizer.from_str(text)
        texts = SAMPLES + (["Été cat été CAT hello shello Hello [MASK]ed é naïve   日本"] if added else [])
        encodings = [encoding_row(tok, t, None, i % 2 == 0) for i, t in enumerate(texts)]
        encodings += [encoding_row(tok, a, b, i % 2 == 0) for i, (a, b) in enumerate(PAIRS)]
        rng = random.Random(3)
        decodings = []
        for i in range(10):
            ids = encodings[i]["ids"] if i < 6 else [rng.randrange(tok.get_vocab_size()) for _ in range(8)]
            decodings.append({"ids": ids, "skip": i % 2 == 1, "text": tok.decode(ids, skip_special_tokens=i % 2 == 1)})
        entry = {"name": name, "model": model, "file": {k: v for k, v in json.loads(text).items() if k != "model"},
                 "encodings": encodings, "decodings": decodings}
        if name in ("gpt2", "gpt4", "llama3", "gpt4o", "deepseek-v3", "llama2", "mistral", "bert uncased", "t5"):
            ids = tok.encode(line, add_special_tokens=False).ids
            entry["long"] = {"count": len(ids), "sha256": hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()}
        out.append(entry)
    (HERE / "pipelines.json").write_text(json.dumps({
        "versions": {"tokenizers": tokenizers.__version__}, "command": "python tests/golden/make_pipelines.py",
        "longLine": {"characters": 1_000_000, "sha256": hashlib.sha256(line.encode()).hexdigest()},
        "models": made, "pipelines": out}, ensure_ascii=True, separators=(",", ":")) + "\n")


main()
