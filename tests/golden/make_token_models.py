"""Golden values for tests/tokenizer/models.test.ts: small random models and what Hugging Face and tiktoken encode with them.

Needs: pip install tokenizers tiktoken
Run:   python tests/golden/make_token_models.py

Writes token-models.json. Every model of tokenizer.json gets a tokenizer around it that leaves texts whole (byte-level ones:
spells their bytes), so that a text is one piece; rows are text, ids, and offsets in code points. "error" stands for an
exception. Rank files are cut by a pattern that matches everything, and by those of GPT-2 and GPT-4.
"""

import base64
import json
import pathlib
import random

import tiktoken
import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

OUT = pathlib.Path(__file__).parent / "token-models.json"
ALPHABETS = ["ab", "abc", "abcdefgh ", "abé日本語😀", "the quick brown fox", "é日"]
WILD = ["", "xyzß", "😀漢", "Ġ", "\x00\n"]
BYTES = [f"<0x{b:02X}>" for b in range(256)]
# As tiktoken has them now.
PATTERNS = {
    "whole": r"[\s\S]+",
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
    "gpt4": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
            r"|\s+(?!\S)|\s",
}


def word(rng, alphabet):
    return "".join(rng.choice(alphabet) for _ in range(1 + int(rng.expovariate(1 / rng.choice([2, 6, 20])))))


def pieces(rng, alphabet):
    wild = alphabet + rng.choice(WILD)
    return [word(rng, wild) for _ in range(14)] + [word(rng, wild) * 12, ""]


def trained(rng, texts, byte_level, prefix, suffix, special):
    tok = Tokenizer(models.BPE())
    if byte_level:
        tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    options = {}
    if prefix:
        options["continuing_subword_prefix"] = prefix
    if suffix:
        options["end_of_word_suffix"] = suffix
    if rng.random() < 0.3:
        options["limit_alphabet"] = rng.randint(1, 6)
    size = len(special) + rng.choice([10, 25, 45])
    tok.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False, **options))
    model = json.loads(tok.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def bpe(rng, texts):
    byte_level = rng.random() < 0.4
    prefix = rng.choice([None, None, "##", "▁"])
    suffix = rng.choice([None, None, "</w>"])
    if byte_level and rng.random() < 0.7:
        prefix = suffix = None
    special = rng.choice([[], ["<unk>"], ["<unk>"], ["<unk>"] + BYTES, ["<unk>"] + BYTES[:200]])
    vocab, merges = trained(rng, texts, byte_level, prefix, suffix, special)
    if rng.random() < 0.3:
        rng.shuffle(merges)
    if rng.random() < 0.3 and merges:
        merges.append(rng.choice(merges))
    options = {"unk_token": rng.choice([None, "<unk>"]) if "<unk>" in vocab else rng.choice([None, None, "nope"]),
               "fuse_unk": rng.random() < 0.5, "byte_fallback": rng.random() < 0.5, "ignore_merges": rng.random() < 0.5}
    if prefix:
        options["continuing_subword_prefix"] = prefix
    if suffix:
        options["end_of_word_suffix"] = suffix
    tok = Tokenizer(models.BPE(vocab=vocab, merges=merges, **options))
    if byte_level:
        tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return tok


def wordpiece(rng, texts):
    vocab, _ = trained(rng, texts, False, "##", None, ["[UNK]"])
    return Tokenizer(models.WordPiece(vocab=vocab, unk_token="[UNK]", max_input_chars_per_word=rng.choice([100, 5, 20]),
                                      continuing_subword_prefix="##"))


def wordlevel(rng, texts):
    vocab = {text: index for index, text in enumerate(sorted({*texts[:25], "<unk>"}))}
    return Tokenizer(models.WordLevel(vocab=vocab, unk_token=rng.choice(["<unk>", "none"])))


def row(tok, text):
    try:
        encoding = tok.encode(text)
        return [text, encoding.ids, [list(pair) for pair in encoding.offsets]]
    except Exception:
        return [text, "error"]


def ranks(rng, texts, alphabet):
    singles = rng.sample(range(256), 256)
    table = {bytes([byte]): rank for rank, byte in enumerate(singles)}
    for _ in range(60):
        source = rng.choice(texts).encode()
        begin = rng.randrange(len(source))
        token = source[begin:begin + rng.choice([2, 2, 3, 4, 6])]
        table.setdefault(token, len(table))
    name = rng.choice(list(PATTERNS))
    encoding = tiktoken.Encoding("golden", pat_str=PATTERNS[name], mergeable_ranks=table, special_tokens={})
    samples = [text for text in pieces(rng, alphabet + "  1234\n'sS") if text]
    lines = [f"{base64.b64encode(token).decode()} {rank}" for token, rank in table.items()]
    return {"pattern": name, "merged": lines[256:], "singles": singles,
            "rows": [[text, encoding.encode_ordinary(text)] for text in samples]}


def main():
    made = []
    tables = []
    for seed in range(60):
        rng = random.Random(seed)
        alphabet = rng.choice(ALPHABETS)
        texts = [word(rng, alphabet) for _ in range(120)]
        if seed % 6 == 5:
            tables.append(ranks(rng, texts, alphabet))
            continue
        tok = [bpe, bpe, bpe, wordpiece, wordlevel][seed % 6](rng, texts)
        made.append({"json": json.loads(tok.to_str()), "rows": [row(tok, text) for text in pieces(rng, alphabet)]})
    golden = {"versions": {"tokenizers": tokenizers.__version__, "tiktoken": tiktoken.__version__},
              "command": "python tests/golden/make_token_models.py", "models": made, "ranks": tables}
    text = json.dumps(golden, ensure_ascii=False, separators=(",", ":"))
    OUT.write_text(text.replace('{"json"', '\n{"json"').replace('{"pattern"', '\n{"pattern"') + "\n")
    print(len(made), "models,", len(tables), "rank files,", OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
