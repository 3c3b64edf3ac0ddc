"""Tiny fastText models of every kind and what fastText itself predicts with them.

    git clone https://github.com/facebookresearch/fastText && cd fastText
    git checkout v0.9.2 && make CXXFLAGS="-pthread -std=c++11 -O3 -DNDEBUG -include cstdint"
    python tests/golden/make_fasttext.py path/to/fasttext

writes fasttext/ next to this file: one model per kind and golden.json. One thread and a fixed seed: the same build gives
the same bytes.
"""

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = "0.9.2"
ROOM = Path(__file__).resolve().parent / "fasttext"

WORDS = {
    "en": "the and of to in that it was for with his they have from this not but what all were when we there can".split(),
    "de": "der die und das ist nicht ein zu mit sich auf für größe über schön wäre können müssen auch es an werden aus".split(),
    "fr": "le la les et des est une que dans qui été où déjà être avec pour sur même français garçon très mais ou plus".split(),
    "el": "και το να του η της με που την από για είναι ο στο οι τα των δεν θα στη ότι σε ένα".split(),
    "ru": "и в не на что он как это она по но они мы из за вы так же от было мне если бы только".split(),
    "ja": "これ は 本 です 私 の 日本 語 を 話す こと が できる 人 と 東京 で 会う 食べる 水 新しい".split(),
}

# name → options of training, options of quantising
SMALL = "-thread 1 -seed 7 -epoch 40 -lr 0.3 -dim 5 -bucket 300 -minCount 1"
KINDS = {
    "softmax": (f"{SMALL} -minn 2 -maxn 4 -loss softmax", None),
    "words": (f"{SMALL} -wordNgrams 3 -loss softmax", None),
    "hierarchical": (f"{SMALL} -minn 1 -maxn 3 -loss hs", None),
    "negative": (f"{SMALL} -minn 2 -maxn 3 -wordNgrams 2 -loss ns", None),
    "one-against-all": (f"{SMALL} -loss ova -bucket 0", None),
    "quantised": (f"{SMALL} -minn 2 -maxn 4 -loss softmax", "-dsub 2"),
    "quantised-norms": (f"{SMALL} -minn 2 -maxn 4 -loss softmax", "-qnorm -dsub 3"),
    "quantised-pruned": (f"{SMALL} -minn 2 -maxn 4 -loss hs", "-qnorm -cutoff 280 -dsub 2"),
}


def sentence(random_state, language):
    return " ".join(random_state.choice(WORDS[language]) for _ in range(random_state.randint(3, 9)))


def main(program):
    random_state = random.Random(1)
    train = [
        f"__label__{language} {sentence(random_state, language)}"
        for language in WORDS
        for _ in range({"en": 40, "de": 30, "fr": 25, "el": 20, "ru": 15, "ja": 10}[language])
    ]
    random_state.shuffle(train)
    texts = [sentence(random_state, language) for language in WORDS for _ in range(4)]
    texts += [
        "unknown wörter ici и там",
        "a",
        "",
        "  spaced \t out\r\v\f ",
        "__label__en the",
        "__label__xx the",
        "😀 the 👍🏽 und",
        "<the> et",
        "the" * 40,
    ]
    ROOM.mkdir(exist_ok=True)
    golden = {"fasttext": VERSION, "command": "python tests/golden/make_fasttext.py path/to/fasttext", "texts": texts, "models": {}}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "train.txt").write_text("\n".join(train) + "\n", encoding="utf-8")
        (work / "texts.txt").write_text("\n".join(texts) + "\n", encoding="utf-8", newline="")
        for name, (training, quantising) in KINDS.items():
            model = work / f"{name}.bin"
            run = [program, "supervised", "-input", work / "train.txt", "-output", work / name, "-verbose", "0"]
            subprocess.run([*run, *training.split()], check=True)
            if quantising is not None:
                run = [program, "quantize", "-input", work / "train.txt", "-output", work / name, "-verbose", "0"]
                subprocess.run([*run, *quantising.split()], check=True)
                model = work / f"{name}.ftz"
            (ROOM / model.name).write_bytes(model.read_bytes())

            def predict(k, model=model):
                run = [program, "predict-prob", model, work / "texts.txt", k]
                answer = subprocess.run(run, check=True, capture_output=True, text=True).stdout
                return [
                    [[label.removeprefix("__label__"), float(score)] for label, score in zip(*[iter(line.split())] * 2)]
                    for line in answer.split("\n")[: len(texts)]
                ]

            golden["models"][model.name] = {
                "training": training,
                "quantising": quantising,
                "predictions": predict("-1"),
                "best": [found[0][0] if found else "" for found in predict("1")],
            }
    (ROOM / "golden.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
