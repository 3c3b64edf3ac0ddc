"""Training and encoding of tokenizers with Hugging Face tokenizers and tiktoken, for bench/data/tokenizer.mjs.

Needs: pip install tokenizers tiktoken
A request a line on standard input, an answer a line on standard output, both JSON. Set RAYON_NUM_THREADS for the threads
of tokenizers. The texts are read before the clock starts and kept in a list of strings.

  {"do": "load", "path": JSONL}                          → {"texts", "bytes"}
  {"do": "train", "tokenizer": JSON, "vocab", "kind"}    → {"seconds", "sha256"}: tokens by id and merges
  {"do": "encode", "tokenizer": JSON}                    → {"seconds", "tokens", "sha256"}: ids of all texts, 32 bit
  {"do": "ranks", "path", "pattern", "threads"}          → {"seconds", "tokens", "sha256"}: the same by tiktoken
"""

import array
import base64
import hashlib
import json
import pathlib
import sys
import time

import tiktoken
import tokenizers
from tokenizers import Tokenizer, pre_tokenizers, trainers

texts = []


def load(request):
    global texts
    with open(request["path"], encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    return {"texts": len(texts), "bytes": sum(len(text.encode()) for text in texts)}


def batches():
    for begin in range(0, len(texts), 1000):
        yield texts[begin:begin + 1000]


def train(request):
    """Trains with the pre-tokenizer of a tokenizer.json, whose vocabulary is thrown away."""
    tokenizer = Tokenizer.from_file(request["tokenizer"])
    fresh = Tokenizer(type(tokenizer.model)())
    if tokenizer.normalizer is not None:
        fresh.normalizer = tokenizer.normalizer
    fresh.pre_tokenizer = tokenizer.pre_tokenizer
    special = request["specialTokens"]
    if request["kind"] == "bpe":
        trainer = trainers.BpeTrainer(vocab_size=request["vocab"], special_tokens=special, show_progress=False,
                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    else:
        trainer = trainers.WordPieceTrainer(vocab_size=request["vocab"], special_tokens=special, show_progress=False)
    begin = time.perf_counter()
    fresh.train_from_iterator(batches(), trainer, length=len(texts))
    seconds = time.perf_counter() - begin
    model = json.loads(fresh.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    merges = [" ".join(merge) for merge in model.get("merges", [])]
    digest = hashlib.sha256("\n".join(tokens + merges).encode()).hexdigest()
    return {"seconds": seconds, "tokens": len(tokens), "sha256": digest}


def digest_of(rows):
    ids = array.array("i")
    for row in rows:
        ids.extend(row)
    return {"tokens": len(ids), "sha256": hashlib.sha256(ids.tobytes()).hexdigest()}


def encode(request):
    tokenizer = Tokenizer.from_file(request["tokenizer"])
    tokenizer.encode_batch_fast(texts[:8], add_special_tokens=False)
    begin = time.perf_counter()
    encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, **digest_of(encoding.ids for encoding in encodings)}


def ranks(request):
    pairs = (line.split() for line in pathlib.Path(request["path"]).read_bytes().splitlines())
    encoding = tiktoken.Encoding("trained", pat_str=request["pattern"], special_tokens={},
                                 mergeable_ranks={base64.b64decode(token): int(rank) for token, rank in pairs})
    encoding.encode_ordinary_batch(texts[:8], num_threads=request["threads"])
    begin = time.perf_counter()
    rows = encoding.encode_ordinary_batch(texts, num_threads=request["threads"])
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, **digest_of(rows)}


def main():
    print(json.dumps({"tokenizers": tokenizers.__version__, "tiktoken": tiktoken.__version__}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"load": load, "train": train, "encode": encode, "ranks": ranks}[request["do"]](request)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
