"""Golden values for tests/tokenizer: ids and texts from Hugging Face's own libraries.

Needs: pip install tokenizers transformers
Run:   python tests/golden/make_tokenizers.py

Trains small vocabularies of every supported sort on the fixed text below, writes each as a model folder under
tests/golden/tokenizers/, and records in expected.json what `transformers` makes of the sample texts. The folders `char`
and `byte` are not trained here: they are what anneal's own tokenizers save (tests/tokenizer/golden.test.ts holds `save`
to these very files), and `transformers` loads them here to show that it gives the same ids.
"""

import json
import pathlib
import random

import tokenizers
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent / "tokenizers"

SAMPLES = [
    "Hello world's 12345 x_y!\n\n  foo();",
    "We'll see: they've said it's 3.14159, isn't it?",
    "for (let i = 0; i < 10; i++) {\r\n\tconsole.log(`row ${i}`);\r\n}\r\n",
    "naïve café déjà-vu — “quoted” … ½ ² ™",
    "日本語のテキスト、中文字符。한국어 문장",
    "👩‍👩‍👧‍👦 family 🇫🇷 flag 👍🏽",
    "non\u00a0breaking\u2003spaces\u3000here",
    "trailing spaces   ",
    "   leading",
    "\n",
    " ",
    "a",
    "digits 1234567890123456789 and 00:07",
    "e\u0301 combining; \ufeffbom inside; zero\u200bwidth",
    "MiXeD CaSe ÀÉÎ ß ſ",
    "the end<|endoftext|>the start</s> [SEP] of it",
    "tabs\t\tand  double  spaces\n\n\nlines",
    "مرحبا بالعالم שלום",
]


def corpus():
    rng = random.Random(7)
    words = ("the cat sat on a mat and they said hello world function return value let const number string "
             "we will see it is not what is here spaces lines text token model train learn loss step data").split()
    for _ in range(400):
        yield " ".join(rng.choice(words) for _ in range(rng.randint(4, 14))) + rng.choice([".", "!", "\n", ";", " 123."])


def byte_bpe(pre_tokenizer):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizer
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=384, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  special_tokens=["<|endoftext|>"], show_progress=False)
    tok.train_from_iterator(corpus(), trainer)
    return tok, {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}


def gpt2():
    tok, config = byte_bpe(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tok.post_processor = processors.ByteLevel(trim_offsets=False)
    return tok, config


def deepseek():
    return byte_bpe(pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"),
        pre_tokenizers.Split(Regex("[一-龥\u3040-\u309f\u30a0-\u30ff]+"), "isolated"),
        pre_tokenizers.Split(Regex(
            r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
            r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]))


def llama():
    """Byte fallback; a prefix space before every text."""
    tok = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tok.pre_tokenizer = None
    trainer_tok = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    trainer_tok.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=420, show_progress=False,
                                  special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)])
    trainer_tok.train_from_iterator(corpus(), trainer)
    tok.model = trainer_tok.model
    tok.add_special_tokens(["<unk>", "<s>", "</s>"])
    tok.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                     decoders.Strip(" ", 1, 0)])
    return tok, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def bert():
    tok = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tok.normalizer = normalizers.BertNormalizer(lowercase=True)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=200, show_progress=False,
                                        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tok.train_from_iterator(corpus(), trainer)
    tok.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tok.decoder = decoders.WordPiece(cleanup=False)
    return tok, {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]"}


def unigram():
    tok = Tokenizer(models.Unigram())
    tok.normalizer = normalizers.NFKC()
    tok.pre_tokenizer = pre_tokenizers.Metaspace()
    tok.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=200, special_tokens=["<unk>", "</s>"], unk_token="<unk>",
                                      show_progress=False)
    tok.train_from_iterator(corpus(), trainer)
    return tok, {"eos_token": "</s>", "unk_token": "<unk>"}


def words():
    tok = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tok.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(vocab_size=60, special_tokens=["<unk>"], show_progress=False)
    tok.train_from_iterator(list(corpus()) + ["naïve café déjà vu"] * 50, trainer)
    return tok, {"unk_token": "<unk>"}


def main():
    for build in (gpt2, deepseek, llama, bert, unigram, words):
        folder = HERE / build.__name__
        folder.mkdir(parents=True, exist_ok=True)
        tok, config = build()
        tok.save(str(folder / "tokenizer.json"), pretty=False)
        config = {**config, "tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    expected = {
        "versions": {"tokenizers": tokenizers.__version__, "transformers": transformers.__version__},
        "command": "python tests/golden/make_tokenizers.py",
        "samples": SAMPLES,
        "tokenizers": {},
    }
    for folder in sorted(p for p in HERE.iterdir() if p.is_dir()):
        tok = transformers.AutoTokenizer.from_pretrained(str(folder))
        samples = [s for s in SAMPLES]
        rows = []
        for text in samples:
            if folder.name == "char":
                known = set(tok.get_vocab())
                text = "".join(c for c in text if c in known)
            ids = tok(text, add_special_tokens=False)["input_ids"]
            rows.append({
                "text": text,
                "ids": ids,
                "withSpecial": tok(text, add_special_tokens=True)["input_ids"],
                "decoded": tok.decode(ids),
                "decodedSkip": tok.decode(ids, skip_special_tokens=True),
            })
        expected["tokenizers"][folder.name] = {
            "class": type(tok).__name__, "length": len(tok), "bos": tok.bos_token_id, "eos": tok.eos_token_id, "rows": rows,
        }
    (HERE / "expected.json").write_text(json.dumps(expected, ensure_ascii=True) + "\n")


main()
