"""Golden files for tests/data/readers: parquet as pyarrow writes it, CSV as Python's csv module reads it, zstd and gzip streams.

Needs: pip install pyarrow
Run:   python tests/golden/make_readers.py

Writes small parquet files in every compression and encoding to tests/golden/readers/, with the rows that pyarrow reads back
in parquet.json; csv.json holds texts of tables and the rows that Python's csv module finds in them; streams.json holds
compressed streams, in base64, of texts that are made by a rule.
"""

import base64
import csv
import datetime
import decimal
import gzip
import io
import json
import platform
from pathlib import Path

import pyarrow
import pyarrow.parquet

ROOM = Path(__file__).resolve().parent / "readers"
VERSIONS = {"python": platform.python_version(), "pyarrow": pyarrow.__version__}
COMMAND = "python tests/golden/make_readers.py"

WORDS = "the quick brown fox jumps over a lazy dog while été, naïve Füße and 日本語 texts 👍 pass by".split()


def sentence(i):
    return " ".join(WORDS[(i * 7 + j * (i % 5 + 1)) % len(WORDS)] for j in range(i % 13 + 1))


def table(rows=40):
    index = range(rows)
    return pyarrow.table(
        {
            "id": [f"doc-{i}" for i in index],
            "text": [sentence(i) for i in index],
            "url": [f"https://example.org/{i}" if i % 3 else None for i in index],
            "score": pyarrow.array([i / 8 for i in index], pyarrow.float64()),
            "half": pyarrow.array([i / 4 for i in index], pyarrow.float32()),
            "count": pyarrow.array([i * 1000 if i % 4 else None for i in index], pyarrow.int64()),
            "small": pyarrow.array([i - 20 for i in index], pyarrow.int32()),
            "flag": [i % 2 == 0 for i in index],
            "when": pyarrow.array(
                [datetime.datetime(2024, 1, 1, 12, 30) + datetime.timedelta(days=i) for i in index],
                pyarrow.timestamp("ms"),
            ),
            "tags": [[f"t{j}" for j in range(i % 4)] if i % 5 else None for i in index],
            "meta": [{"lang": "en" if i % 2 else "de", "n": {"deep": i}} for i in index],
            "spans": [[{"start": j, "end": j + 1} for j in range(i % 3)] for i in index],
        }
    )


def plain(value):
    """A value as JSON, in the forms that the reader documents."""
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


def write_parquet():
    wide = table()
    narrow = wide.select(["id", "text"])
    files = {}

    def write(name, data, **options):
        path = ROOM / f"{name}.parquet"
        pyarrow.parquet.write_table(data, path, **options)
        files[path.name] = [plain(row) for row in pyarrow.parquet.read_table(path).to_pylist()]

    for codec in ["none", "snappy", "gzip", "zstd", "brotli", "lz4"]:
        write(f"codec-{codec}", narrow, compression=codec)
    write("nested", wide, compression="zstd")
    write("nested-pages-v2", wide, compression="snappy", data_page_version="2.0", data_page_size=64, write_batch_size=4)
    write("groups", narrow, compression="snappy", row_group_size=7)
    write("pages", narrow, compression="snappy", use_dictionary=False, data_page_size=128, write_batch_size=2)
    write("pages-dictionary", narrow, compression="zstd", data_page_size=16, write_batch_size=2)
    write("checksums", narrow, compression="none", write_page_checksum=True)
    for encoding in ["PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"]:
        write(
            f"encoding-{encoding.lower().replace('_', '-')}",
            narrow,
            compression="none",
            use_dictionary=False,
            column_encoding={"id": encoding, "text": encoding},
        )
    numbers = wide.select(["text", "score", "half", "count", "small", "flag"])
    write(
        "encoding-numbers",
        numbers,
        compression="none",
        use_dictionary=False,
        column_encoding={
            "text": "PLAIN",
            "score": "BYTE_STREAM_SPLIT",
            "half": "BYTE_STREAM_SPLIT",
            "count": "DELTA_BINARY_PACKED",
            "small": "DELTA_BINARY_PACKED",
            "flag": "RLE",
        },
    )
    write("empty", narrow.slice(0, 0))
    write("binary-text", pyarrow.table({"text": pyarrow.array([s.encode() for s in narrow["text"].to_pylist()], pyarrow.binary())}))
    write("invalid-utf8", pyarrow.table({"text": pyarrow.array([b"fine", b"not \xff fine"], pyarrow.binary())}))
    write("nulls", pyarrow.table({"text": ["first", None, "third"]}))
    files.pop("invalid-utf8.parquet")
    return files


CSV_CASES = [
    "a,b\n1,2\n",
    "a,b\r\n1,2\r\n",
    "a,b\r1,2\r",
    "a,b\n1,2",
    'a,b\n"x,y","l1\nl2"\n',
    'a,b\n"l1\r\nl2\rl3",z\r\n',
    'a,b\n"he said ""hi""",z\n',
    'a,b\n"""",""""""\n',
    'a,b\n5" pipe,3\n',
    'a,b\n"abc"def,3\n',
    'a,b\n"abc" "def",3\n',
    'a,b\n x, "y"\n',
    'a,b\n"",\n',
    "a,b\n,\n",
    'a,b\n"x""",y\n',
    "a,b\n\n1,2\n\n\n3,4\n",
    'a,b\n"a\r\nb",c\r\nd,e\n',
    'a,b\nx"y"z,1\n',
    'a,b\n"x" ,1\n',
    "a,b\n日本語,\"naïve 👍\"\n",
    "a\n\"\"\n1\n",
    'a,b\n"x\ty",z\n',
]


def write_csv():
    cases = []
    for text in CSV_CASES:
        rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
        cases.append({"text": text, "delimiter": ",", "rows": rows})
        tabs = text.replace(",", "\t")
        if "x\ty" not in tabs:
            rows = [row for row in csv.reader(io.StringIO(tabs, newline=""), delimiter="\t") if row]
            cases.append({"text": tabs, "delimiter": "\t", "rows": rows})
    return cases


def write_streams():
    text = "".join(f"line {i}: {sentence(i)}\n" for i in range(300)).encode()
    codec = pyarrow.Codec("zstd", compression_level=3)
    high = pyarrow.Codec("zstd", compression_level=19)
    pack = lambda codec, data: codec.compress(data).to_pybytes()
    streaming = io.BytesIO()
    with pyarrow.CompressedOutputStream(streaming_sink := pyarrow.BufferOutputStream(), "zstd") as out:
        for at in range(0, len(text), 1000):
            out.write(text[at : at + 1000])
    streaming.write(streaming_sink.getvalue().to_pybytes())
    streams = {
        "gzip": gzip.compress(text, 6, mtime=0),
        "gzip-members": b"".join(gzip.compress(text[at : at + 2000], 9, mtime=0) for at in range(0, len(text), 2000)),
        "zstd": pack(codec, text),
        "zstd-high": pack(high, text),
        "zstd-frames": pack(codec, text[:3000]) + pack(codec, b"") + pack(high, text[3000:]),
        "zstd-stream": streaming.getvalue(),
    }
    return {"text": text.decode(), "streams": {k: base64.b64encode(v).decode() for k, v in streams.items()}}


def write_json(name, content):
    entries = {"versions": VERSIONS, "command": COMMAND, **content}
    lines = [f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items()]
    (ROOM / name).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    ROOM.mkdir(exist_ok=True)
    for old in ROOM.glob("*.parquet"):
        old.unlink()
    write_json("parquet.json", write_parquet())
    write_json("csv.json", {"cases": write_csv()})
    write_json("streams.json", write_streams())
