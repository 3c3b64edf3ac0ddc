"""Regenerates every golden file of this room, one script after the other.

Usage: python tests/golden/make_all.py
"""

import subprocess
import sys
from pathlib import Path

ROOM = Path(__file__).resolve().parent
# script → the file that its standard output is kept in, where it does not write its own files
SCRIPTS = {
    "make_models.py": None,
    "make_trajectories.py": None,
    "make_reference.py": None,
    "make_tokenizers.py": None,
    "make_pretokenizers.py": None,
    "make_token_models.py": None,
    "make_tokenizer_training.py": None,
    "make_safetensors.py": "safetensors.json",
    "make_dedup.py": "dedup.json",
    "make_readers.py": None,
    "make_chat.py": None,
    "make_pipelines.py": None,
}

if __name__ == "__main__":
    for script, kept in SCRIPTS.items():
        print(f"== {script}", flush=True)
        command = [sys.executable, str(ROOM / script)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE if kept else None)
        if kept:
            (ROOM / kept).write_bytes(output.stdout)
