"""Golden values for tests/tokenizer/train.test.ts: vocabularies and merges that Hugging Face's trainers make.

Needs: pip install tokenizers
Run:   python tests/golden/make_tokenizer_training.py

Writes tokenizer-training.json: the texts of small corpora, and for every case its corpus, its settings under the names
of anneal's `trainTokenizer`, the tokens by id, the merges, and the ids of some samples.
WordPiece: symbols with "##" get their ids in the order of a hash map there, so that ids, and merges of ties, differ from
run to run. The script checks that ten trainings agree on the set of tokens; only that set is compared.
"""

import json
import pathlib
import random

import tokenizers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

OUT = pathlib.Path(__file__).parent / "tokenizer-training.json"

NOUNS = "river lantern garden harbour window letter morning violin ladder orchard kettle winter".split()
VERBS = "carries follows mends opens watches finds paints counts keeps leaves".split()
OTHER = "the a slowly again every old small without beside under and but then perhaps".split()


def english(rng):
    texts = []
    for _ in range(120):
        words = [rng.choice(rng.choice([NOUNS, VERBS, OTHER, OTHER])) for _ in range(rng.randint(3, 14))]
        text = " ".join(words)
        text = text[0].upper() + text[1:] + rng.choice([".", "!", "?", ";", "...", " (twice)."])
        if rng.random() < 0.3:
            text = rng.choice(["I'll say: ", "They've ", "We're here, ", "it's "]) + text
        if rng.random() < 0.2:
            text += f" {rng.randint(0, 99999)} {rng.random() * 100:.3f}"
        texts.append(text)
    return texts


def world(rng):
    phrases = [
        "今天天气很好,我们去公园散步。", "他把书放在桌子上,然后出去了。", "学习语言需要时间和耐心。",
        "今日はとても良い天気ですね。", "カタカナとひらがなを練習します。", "駅まで歩いて十分かかります。",
        "Сегодня мы читаем новую книгу.", "Она пишет письмо своему брату.", "Снег лежит на крышах домов.",
        "نقرأ كتابا جديدا اليوم.", "السماء صافية والبحر هادئ.", "يكتب الطالب الدرس كل يوم.",
        "हम आज नई किताब पढ़ते हैं।", "नदी के किनारे पेड़ हैं।", "वह रोज़ स्कूल जाता है।",
        "오늘은 날씨가 좋습니다.", "Ελληνικά γράμματα εδώ.", "שלום לכולם, מה שלומכם?", "ภาษาไทยไม่มีช่องว่าง",
        "Größe, Straße und Übermut; déjà vu à l'été, naïveté.", "İstanbul'da çay içtik. ǅ ǈ ﬁ ﬂ",
    ]
    return [" ".join(rng.choice(phrases) for _ in range(rng.randint(1, 4))) for _ in range(90)]


def code(rng):
    lines = [
        "for (let i = 0; i < count; i++) {", "\treturn values[i] ?? fallback;", "}", "", "    def area(self, width, height):",
        "        return width * height  # square metres", "if x != y && !done || z == 0x1F:", "import { read } from './files.js';",
        "const total = items.reduce((sum, item) => sum + item.price, 0);", "=" * 40, "-" * 33, "//" * 10, "// --- ---- ----- ------",
        "print(f\"{name!r:>20}\")", "\r\n", "   \t  ", "0.5e-10 + 1_000_000", "SELECT id, name FROM users WHERE age >= 18;", "a=" * 21,
    ]
    return ["\n".join(rng.choice(lines) for _ in range(rng.randint(1, 12))) + rng.choice(["", "\n", "\r\n", "  "]) for _ in range(70)]


def odd(rng):
    parts = [
        "👩‍👩‍👧‍👦", "👍🏽", "🇫🇷", "❤️‍🔥", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "\u0000", "\u0001\u0002", "\u001b[31m", "\u007f", "\u0085", "\u00a0", "\u200b", "\u2028", "\ufeff",
        "\u3000", "e\u0301", "Å", "ﷺ", "\ud7ff", "\uffff", "\U0010ffff", "aaaa", "aaaaaaa", "    ", "\t\t", "\n\n\n", "½²Ⅷ", "١٢٣٤", "１２３", "word",
    ]
    texts = ["".join(rng.choice(parts) for _ in range(rng.randint(0, 9))) for _ in range(110)]
    return texts + ["", "", "a", " "]


def long_line(rng):
    return [" ".join(rng.choice(NOUNS + VERBS + OTHER) + rng.choice(["", "", ",", "s", "ing"]) for _ in range(3000)), "short"]


def runs(rng):
    return ["".join(rng.choice("ab ") * rng.randint(1, 12) for _ in range(rng.randint(1, 6))) for _ in range(150)]


def corpora():
    makers = {"english": english, "world": world, "code": code, "odd": odd, "longLine": long_line, "runs": runs}
    made = {name: make(random.Random(11)) for name, make in makers.items()}
    made["mixed"] = made["english"][:50] + made["world"][:40] + made["code"][:30] + made["odd"][:40]
    return made


CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
DEEPSEEK = [
    r"\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"]


def splits(patterns):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(p.replace('\\"', '"')), "isolated") for p in patterns]
                                   + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def cutter(pattern):
    if isinstance(pattern, dict):
        return splits([pattern["regex"]])
    return {"gpt2": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False), "gpt4": lambda: splits([CL100K]),
            "llama3": lambda: splits([CL100K]), "gpt4o": lambda: splits([O200K]), "deepseek-v3": lambda: splits(DEEPSEEK)}[pattern]()


def trainer_options(settings):
    names = {"vocabSize": "vocab_size", "minFrequency": "min_frequency", "specialTokens": "special_tokens",
             "limitAlphabet": "limit_alphabet", "maxTokenLength": "max_token_length", "initialAlphabet": "initial_alphabet"}
    return {names[key]: value for key, value in settings.items() if key in names}


def train_bpe(texts, settings):
    tok = Tokenizer(models.BPE(ignore_merges=settings["pattern"] in ("gpt4", "llama3", "gpt4o")))
    tok.pre_tokenizer = cutter(settings["pattern"])
    tok.decoder = decoders.ByteLevel()
    options = {"initial_alphabet": pre_tokenizers.ByteLevel.alphabet(), **trainer_options(settings)}
    tok.train_from_iterator(texts, trainers.BpeTrainer(show_progress=False, **options))
    return tok


def train_wordpiece(texts, settings):
    tok = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tok.normalizer = normalizers.BertNormalizer(lowercase=settings.get("lowercase", True))
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.train_from_iterator(texts, trainers.WordPieceTrainer(show_progress=False, **trainer_options(settings)))
    return tok


BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def cases():
    bpe = lambda corpus, pattern, **settings: {"corpus": corpus, "kind": "bpe", "pattern": pattern, **settings}
    end = ["<|endoftext|>"]
    yield from (bpe("mixed", pattern, vocabSize=700, specialTokens=end)
                for pattern in ("gpt2", "gpt4", "llama3", "gpt4o", "deepseek-v3", {"regex": r"\w+|\s+|[^\w\s]+"}))
    yield from (bpe(corpus, "gpt2", vocabSize=500, specialTokens=end) for corpus in ("english", "world", "code", "odd", "longLine"))
    yield from (bpe(corpus, "deepseek-v3", vocabSize=500, specialTokens=["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"])
                for corpus in ("world", "code", "odd", "longLine"))
    yield bpe("runs", {"regex": "[^x]+"}, vocabSize=420, specialTokens=[])
    yield bpe("code", {"regex": "[^\\n]+"}, vocabSize=900, specialTokens=end)
    yield bpe("english", "gpt2", vocabSize=1000, minFrequency=2, specialTokens=end)
    yield bpe("english", "gpt4", vocabSize=1000, minFrequency=40, specialTokens=[])
    yield bpe("mixed", "gpt4", vocabSize=600, maxTokenLength=4, specialTokens=end)
    yield bpe("code", "gpt4o", vocabSize=600, maxTokenLength=2, specialTokens=end)
    yield bpe("english", "gpt2", vocabSize=300, initialAlphabet=[], specialTokens=end)
    yield bpe("english", "gpt2", vocabSize=200, initialAlphabet=["z", "Ġ", "é"], limitAlphabet=20, specialTokens=end)
    yield bpe("english", "gpt2", vocabSize=10, specialTokens=end)
    yield bpe("english", "gpt2", vocabSize=400, specialTokens=["<pad>", "the", "Ġthe", "a", "<|endoftext|>", "river"])
    # Ended by the frequency, so that all of a tie is in or out; the frequencies were chosen for stable results.
    yield {"corpus": "english", "kind": "wordpiece", "vocabSize": 3000, "specialTokens": BERT, "minFrequency": 44}
    yield {"corpus": "english", "kind": "wordpiece", "vocabSize": 3000, "specialTokens": BERT, "minFrequency": 46, "lowercase": False}
    yield {"corpus": "world", "kind": "wordpiece", "vocabSize": 3000, "specialTokens": BERT, "minFrequency": 22}
    yield {"corpus": "mixed", "kind": "wordpiece", "vocabSize": 3000, "specialTokens": BERT, "minFrequency": 22}


def main():
    made = corpora()
    rows = []
    for settings in cases():
        texts = made[settings["corpus"]]
        row = {"settings": settings}
        if settings["kind"] == "bpe":
            tok = train_bpe(texts, settings)
            assert all(train_bpe(texts, settings).to_str() == tok.to_str() for _ in range(5)), settings
            row["merges"] = [" ".join(merge) for merge in json.loads(tok.to_str())["model"]["merges"]]
            samples = texts[::17][:6] + ["New words: zebra Äpfel 12345 \t\n\n x_y  "]
            row["samples"] = [{"text": text[:200], "ids": tok.encode(text[:200]).ids} for text in samples]
        else:
            tok = train_wordpiece(texts, settings)
            assert all(set(train_wordpiece(texts, settings).get_vocab()) == set(tok.get_vocab()) for _ in range(10)), settings
        vocab = tok.get_vocab()
        tokens = [None] * len(vocab)
        for token, index in vocab.items():
            tokens[index] = token
        row["tokens"] = tokens
        rows.append(row)
    golden = {"versions": {"tokenizers": tokenizers.__version__}, "command": "python tests/golden/make_tokenizer_training.py",
              "corpora": made, "cases": rows}
    lines = json.dumps(golden, ensure_ascii=False, separators=(",", ":"))
    OUT.write_text(lines.replace('},{"settings"', '},\n{"settings"') + "\n")
    print(len(rows), "cases,", OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
