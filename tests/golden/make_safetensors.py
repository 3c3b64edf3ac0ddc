"""Golden safetensors files, written by the safetensors library.

Needs: torch, safetensors. Run: python tests/golden/make_safetensors.py > tests/golden/safetensors.json
"""

import base64
import json

import safetensors
import torch
from safetensors.torch import save

TENSORS = {
    "mixed": {
        "model.b.weight": torch.tensor([[1.5, -2.0, 0.25], [3.0, float("inf"), -0.0]], dtype=torch.float32),
        "model.a.weight": torch.tensor([1.0, -1.0, 3.140625], dtype=torch.bfloat16),
        "half": torch.tensor([[0.5], [65504.0], [6e-8]], dtype=torch.float16),
        "steps": torch.tensor(1234567890123, dtype=torch.int64),
        "mask": torch.tensor([True, False, True]),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "empty": torch.zeros(0, 3),
        "double": torch.tensor([1e300], dtype=torch.float64),
        "ids": torch.tensor([-7, 7], dtype=torch.int32),
        "short": torch.tensor([-300, 300], dtype=torch.int16),
        "tiny": torch.tensor([-128, 127], dtype=torch.int8),
        "e4m3": torch.tensor([448.0, -0.001953125, 1.125]).to(torch.float8_e4m3fn),
        "e5m2": torch.tensor([57344.0, 1.52587890625e-05, -3.0]).to(torch.float8_e5m2),
        "schön/名前": torch.tensor([1.0]),
    },
    "none": {},
}

values = [0.0, -0.0, 1.0, 1.00390625, 1.01171875, 3.4e38, 1e-40, -1e-45, 0.1, 1 / 3, -2.7182818, 65504.0, float("inf")]
cases = {}
for name, tensors in TENSORS.items():
    cases[name] = {
        "file": base64.b64encode(save(tensors, metadata={"format": "pt"})).decode(),
        "f32": {k: [str(x) for x in t.to(torch.float32).flatten().tolist()] for k, t in tensors.items()},
    }
print(
    json.dumps(
        {
            "versions": {"torch": torch.__version__, "safetensors": safetensors.__version__},
            "command": "python tests/golden/make_safetensors.py > tests/golden/safetensors.json",
            "cases": cases,
            "bf16": {
                "values": [str(v) for v in values],
                "bits": torch.tensor(values).to(torch.bfloat16).view(torch.uint16).tolist(),
            },
        },
        indent=1,
        ensure_ascii=False,
    )
)
