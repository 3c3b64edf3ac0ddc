"""Near-duplicate search as it is usually written in Python: MinHash signatures in numpy, buckets in dictionaries, union-find.

The work is that of `node bench/data/minhash.mjs`: documents from a JSON-lines file, FineWeb's settings (5-word shingles,
14 buckets of 8), first document of every cluster kept. numpy does the multiplications of a whole document at once,
xxhash the shingles; folding is Python's own Unicode functions. More threads are processes, as in datatrove.

Usage: python bench/peers/python_minhash.py --input FILE.jsonl [--threads N] [--json]
"""

import argparse
import functools
import json
import multiprocessing
import platform
import resource
import string
import time
import unicodedata

import numpy
import regex
import xxhash

PRIME = numpy.uint64((1 << 61) - 1)
SHINGLE, BUCKETS, ROWS = 5, 14, 8
WIDE = "«´»–—’“”„…∶━►、。〈〉《》「」【】！％（），．１：；？～"
CONTROL = "".join(chr(c) for c in range(0xA0) if unicodedata.category(chr(c)) == "Cc" and c not in (9, 10))
TO_SPACE = str.maketrans({c: " " for c in string.punctuation + WIDE + CONTROL})
NUMBER = regex.compile(r"\p{Nd}+([.,\u060C\u066B\u2396-\u2398]\p{Nd}+)?")
SPACE = regex.compile(r"\s+")


@functools.cache
def coefficients():
    generator = numpy.random.RandomState(1)
    shape = (1, BUCKETS * ROWS)
    return (
        generator.randint(1, PRIME, dtype=numpy.uint64, size=shape),
        generator.randint(0, PRIME, dtype=numpy.uint64, size=shape),
    )


def fold(text):
    text = NUMBER.sub("0", text.lower()).translate(TO_SPACE)
    text = SPACE.sub(" ", text).strip()
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


def signature(text):
    """The keys of a document, one for each bucket; None for one without shingles."""
    words = fold(text).split()
    hashes = [
        xxhash.xxh64_intdigest(" ".join(words[i:i + SHINGLE]).encode()) for i in range(len(words) - SHINGLE + 1)
    ]
    if not hashes:
        return None
    a, b = coefficients()
    values = (numpy.array(hashes, dtype=numpy.uint64).reshape(-1, 1) * a + b) % PRIME
    least = values.min(axis=0)
    return [least[i:i + ROWS].tobytes() for i in range(0, BUCKETS * ROWS, ROWS)]


def clusters(signatures):
    """For every document the first one of its cluster."""
    parents = list(range(len(signatures)))

    def root(at):
        while parents[at] != at:
            parents[at] = parents[parents[at]]
            at = parents[at]
        return at

    for bucket in range(BUCKETS):
        first = {}
        for document, keys in enumerate(signatures):
            if keys is None:
                continue
            other = first.setdefault(keys[bucket], document)
            if other != document:
                a, b = root(other), root(document)
                parents[max(a, b)] = min(a, b)
    return [root(at) for at in range(len(parents))]


def processor_seconds():
    """Of this process and of its children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with open(options.input, encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    if options.threads > 1:
        # The processes are there before the clock starts.
        pool = multiprocessing.Pool(options.threads)
        pool.map(signature, ["warm up"] * options.threads)
        used = processor_seconds()
        begin = time.perf_counter()
        signatures = pool.map(signature, texts, chunksize=64)
        signed = time.perf_counter()
        first = clusters(signatures)
        end = time.perf_counter()
        pool.close()
        pool.join()
    else:
        signature("warm up the functions that this uses")
        used = processor_seconds()
        begin = time.perf_counter()
        signatures = [signature(text) for text in texts]
        signed = time.perf_counter()
        first = clusters(signatures)
        end = time.perf_counter()
    result = {
        "documents": len(texts),
        "removed": sum(1 for document, kept in enumerate(first) if document != kept),
        "secondsSignatures": signed - begin,
        "secondsClusters": end - signed,
        "cpuSeconds": processor_seconds() - used,
        "threads": options.threads,
        "versions": {"python": platform.python_version(), "numpy": numpy.__version__, "xxhash": xxhash.VERSION},
    }
    print(json.dumps(result) if options.json else result)


if __name__ == "__main__":
    main()
