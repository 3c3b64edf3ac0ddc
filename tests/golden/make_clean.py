"""What spaCy and datatrove make of sample texts, for the cleaning rules.

Usage: python tests/golden/make_clean.py  →  tests/golden/clean.json
Needs spacy 3.8 and datatrove 0.10 (a checkout of its source on PYTHONPATH will do, with loguru, fsspec, humanize, dill,
multiprocess, tqdm, regex). The texts are made here from word lists and a seed.
"""

import json
import platform
import random
from pathlib import Path

import spacy
from datatrove.data import Document
from datatrove.pipeline.filters.c4_filters import C4ParagraphFilter, C4QualityFilter
from datatrove.pipeline.filters.fineweb_quality_filter import FineWebQualityFilter
from datatrove.pipeline.filters.gopher_quality_filter import GopherQualityFilter
from datatrove.pipeline.filters.gopher_repetition_filter import GopherRepetitionFilter
from datatrove.pipeline.formatters.pii import PIIFormatter

OUT = Path(__file__).resolve().parent / "clean.json"
SEED = 20

# Strings whose splitting is worth a look; own inventions, no excerpts.
SAMPLES = """
see http://www.example.com/a,b/c-d?x=1:foo and https://user:pw@example.org:8080/x.
mail a.b-c@example.co.uk, or ftp://foo/bar; host-name.example/path/To/x
1.2.3.4/foo 10.0.0.1/foo 192.168.1.1:80/abc www.example.com. example.com's lower.Upper foo.bar
US$5 5US$ $5 5$ 5€ €5 10km 10km/h 5kg. 50% 3+4 3-4 a-b a--b a---b well-known self-made—yes 10-year-old +5 +x 5+
1,000 a,b x:y x=y a/b and/or (and/or) 5/6 x>y <<3*2=6>>6 def f(a, b): return a+b;
Mr. Smith went to the U.S. and U.S.A. NASA. I. etc. e.g. i.e. (e.g. x) etc.) "quoted." 'single' ``back''
can't cannot don't dont I'm im it's its CAN'T Can't we'll y'all o'clock rock'n'roll id. ima. hes, shed. were! 10am 11p.m.
... ..hello hello.. … …… hello… hello…… ??? !!! ?! 25°C. 25°c. °C. 😀hello hello😀 he😀llo 😀😀 :) hi:) :-) ^_^ <3 x<3
100m² 100m 5'9" C++ C++, #tag @user a@b #5 *bold* _it_ [1] {a} (a) (a.) a.) a.b A.B a.B x(y) x[1] a|b a\\b ~~ ^ ` ''
日本語テキスト。次の文。 中文，测试！ עברית: שלום. العربية، نص؟ Привет, мир! Ёлка-ёлка ελληνικά· naïve café’s it’s don’t
’tis ‘tis 'tis 'em ’em "‘nested’" हिन्दी। ไทย ไทย. 한국어입니다. e\u0301te\u0301 fl\u00adex zero\u200bwidth a\u00a0b c\u3000d
one.  Two.\tThree. Four?! "Five." (Six.) Seven... Eight… nine; ten: eleven. 12. 13.5 Dr. A. B. Who. end
sudo:a@example.com:80/x?y#z //example.com a://b.cc ab://b.cc a.b.c.de. _a.bc -a.bc a-.bc a_b.cc ä.öü.ß example.COM x.c
😀.com a..b a.b..c 1.2.3.4 1.2.3.04/x 256.1.1.1/x 223.1.1.254/x 0.1.1.1/x 172.16.0.1/x mailto:me@example.com?subject=x
""".strip("\n").split("\n")

VERDICTS = {
    "dup_para_frac": "gopher-repetition.duplicate-paragraphs",
    "dup_para_char_frac": "gopher-repetition.duplicate-paragraph-characters",
    "dup_line_frac": "gopher-repetition.duplicate-lines",
    "dup_line_char_frac": "gopher-repetition.duplicate-line-characters",
    **{f"top_{n}_gram": f"gopher-repetition.top-{n}-gram" for n in (2, 3, 4)},
    **{f"duplicated_{n}_n_grams": f"gopher-repetition.duplicate-{n}-grams" for n in range(5, 11)},
    "gopher_short_doc": "gopher-quality.min-words",
    "gopher_long_doc": "gopher-quality.max-words",
    "gopher_below_avg_threshold": "gopher-quality.min-mean-word-length",
    "gopher_above_avg_threshold": "gopher-quality.max-mean-word-length",
    "gopher_too_many_hashes": "gopher-quality.hashes-per-word",
    "gopher_too_many_ellipsis": "gopher-quality.ellipses-per-word",
    "gopher_too_many_bullets": "gopher-quality.bullet-lines",
    "gopher_too_many_end_ellipsis": "gopher-quality.ellipsis-lines",
    "gopher_below_alpha_threshold": "gopher-quality.alphabetic-words",
    "gopher_enough_stop_words": "gopher-quality.stop-words",
    "lorem_ipsum": "c4.lorem-ipsum",
    "curly_bracket": "c4.curly-bracket",
    "too_few_sentences": "c4.min-sentences",
    "empty": "fineweb.empty",
    "line_punct_ratio": "fineweb.terminal-punctuation-lines",
    "short_line_ratio": "fineweb.short-lines",
    "char_dup_ratio": "fineweb.duplicate-line-characters",
    "list_ratio": "fineweb.newlines-per-word",
}

# Every step by itself, and all together; C4 with and without its rule about ends of lines.
PIPELINES = {
    "repetition": lambda: [GopherRepetitionFilter()],
    "quality": lambda: [GopherQualityFilter()],
    "c4": lambda: [C4QualityFilter(filter_no_terminal_punct=False)],
    "c4-strict": lambda: [C4QualityFilter()],
    "fineweb": lambda: [FineWebQualityFilter()],
    "all": lambda: [
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
    ],
}

COMMON = "the of and to be have that with".split()
WORDS = (
    "cat dog river stone garden window letter morning winter paper silver music teacher village number question answer "
    "market little great under every light small never often people house water green ocean mountain valley forest"
).split()
ODD = [
    "e.g.", "don't", "it's", "3,000", "#", "#tag", "...", "…", "-", "•", "hello-world", "http://example.com/a", "lorem ipsum",
    "JavaScript", "{", "Privacy Policy", "we use cookies", "[1]", "[edit]", "[citation needed]", "é", "日本", "привет", "?",
    "!", ".", ":)", "😀", "x" * 1001, "12", "%", "Mr.", "U.S.",
]


def document(rng):
    vocabulary = rng.sample(WORDS, rng.choice([4, 10, 30])) + COMMON * rng.choice([0, 1, 2])
    odd = rng.sample(ODD, rng.choice([0, 0, 2, 5]))
    rate = rng.choice([0.02, 0.1])
    lines = []
    for _ in range(rng.choice([1, 4, 8, 20])):
        words = [
            rng.choice(odd) if odd and rng.random() < rate else rng.choice(vocabulary)
            for _ in range(rng.choice([2, 6, 12, 25]))
        ]
        line = " ".join(words).capitalize() + rng.choice([".", ".", ".", "?", "", "...", '."'])
        lines.append(rng.choice(["", "", "", "• ", "- ", "  "]) + line)
    if rng.random() < 0.3:
        lines += rng.choices(lines, k=rng.randint(1, len(lines)))
    joins = rng.choice([["\n"], ["\n", "\n\n"], ["\r\n"], [" "], ["\n", " \n", "\u2028", "\x0b"]])
    return "".join(line + rng.choice(joins) for line in lines)


def verdict(filters, text):
    doc = Document(text=text, id="x")
    for step in filters:
        answer = step.filter(doc)
        if isinstance(answer, tuple):
            return VERDICTS[answer[1]], None
        assert answer
    return "keep", doc.text


MASKED = """
write to jane.doe@example.com or +jane@mail.example.org. (x@y.zz) éfoo.bar@example.com foo..bar@example.com .a@b.cd
a@b a@b.c a@b-c.de a@-b.de a@b-.de a@[1.2.3.4] a@[1.2.3.x:] a@b@c.de o'neil@example.com! _@x.yz "q"@x.yz a.@b.cd x@y.z-
8.8.8.8 10.1.2.3 1.2.3.256 1234.5.6.7 01.2.3.4 1.2.3 1.2.3.4.5.6.7.8 100.64.1.1 127.0.0.1 172.15.1.1 172.31.1.1 224.0.0.1
192.0.2.1 198.18.0.1 203.0.113.9 240.1.1.1 255.255.255.255 0.1.2.3 1.1.1.1x x1.1.1.1 999.999.999.999 1.2.3.199 v2.0.0.1
""".strip("\n").split("\n")


def main():
    rng = random.Random(SEED)
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    other = spacy.blank("xx")
    words = lambda doc: [token.text for token in doc if token.text.strip()]  # noqa: E731
    samples = []
    for text in SAMPLES:
        doc = nlp(text)
        samples.append({"text": text, "words": words(doc), "general": words(other(text)), "sentences": len(list(doc.sents))})
    rules = nlp.tokenizer.rules
    exceptions = [words(nlp(text)) for text in sorted(rules) if text.strip() and not any(c.isspace() for c in text)]
    documents = []
    texts = [document(rng) for _ in range(160)]
    filters = {name: make() for name, make in PIPELINES.items()}
    for text in [t for t in texts if t.strip()]:
        entry = {"text": text, "verdicts": {}}
        for name, steps in filters.items():
            entry["verdicts"][name], after = verdict(steps, text)
            if name in ("c4", "c4-strict") and after is not None:
                entry[name] = after
        documents.append(entry)
    formatter = PIIFormatter(email_replacement="<mail>", ip_replacement="<ip>")
    masked = [{"text": text, "masked": formatter.format(text)} for text in MASKED]
    paragraphs = [{"text": t, "kept": C4ParagraphFilter().filter(Document(text=t, id="x")) is True}
                  for t in ("\n".join("x" * n for n in ns) for ns in ([200, 200, 200], [200, 200, 199], [500, 200], [1, 250, 200, 200]))]
    golden = {
        "versions": {"python": platform.python_version(), "spacy": spacy.__version__, "datatrove": "0.10.0"},
        "command": "python tests/golden/make_clean.py",
        "samples": samples,
        "exceptions": exceptions,
        "documents": documents,
        "masked": masked,
        "paragraphs": paragraphs,
    }
    OUT.write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")).replace('},{"text"', '},\n{"text"') + "\n")


main()
