"""What the golden scripts share: filling tiny models, naming tensors as checkpoints do, writing golden.json.

A golden folder is a Hugging Face model folder written by `save_pretrained` plus one `golden.json` that holds
inputs and the values the field's own libraries computed from them. The tests read both without Python.
"""

import base64
import json
import os
import platform
import shutil
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import numpy  # noqa: E402
import safetensors  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from transformers.utils import logging  # noqa: E402

ROOM = Path(__file__).resolve().parent

logging.disable_progress_bar()

VERSIONS = {
    "python": platform.python_version(),
    "torch": torch.__version__,
    "transformers": transformers.__version__,
    "safetensors": safetensors.__version__,
}


def fill(model, seed, gain=1.0):
    """Overwrite every parameter and router bias so that logits are O(1) and no term is trivially 0 or 1.

    Matrices are normal with deviation gain/sqrt(fan-in); norm gains are 1 + 0.2·normal, biases 0.1·normal.
    Embeddings have deviation 1 where they are untied, and 1/sqrt(width) where they are also the head.
    The seed alone decides the values: they do not depend on the library's own initialisation order.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor, deviation, mean=0.0):
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * deviation + mean)

    tied = getattr(model.config, "tie_word_embeddings", False)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if name.endswith("bias"):
                normal(parameter, 0.1)
            elif parameter.ndim == 1:
                normal(parameter, 0.2, mean=1.0)
            elif "embed_tokens" in name or name.endswith(("wte.weight", "wpe.weight")):
                normal(parameter, parameter.shape[-1] ** -0.5 if tied else 1.0)
            else:
                # GPT-2 keeps its matrices as [in, out], everything else as [..., out, in].
                transposed = name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight"))
                fan_in = parameter.shape[0] if transposed else parameter.shape[-1]
                normal(parameter, gain * fan_in**-0.5)
        for name, buffer in sorted(model.named_buffers()):
            if name.endswith("e_score_correction_bias"):
                normal(buffer, 0.1)
    return model


def checkpoint_tensors(name, tensor):
    """Split one in-memory tensor into (checkpoint name, tensor) pairs.

    transformers 5 stacks the experts ([E, 2f, D] gate over up, [E, D, f]) but stores a matrix per expert.
    """
    if name.endswith(".experts.gate_up_proj"):
        stem = name.removesuffix("gate_up_proj")
        for expert, matrix in enumerate(tensor):
            gate, up = matrix.chunk(2, dim=0)
            yield f"{stem}{expert}.gate_proj.weight", gate
            yield f"{stem}{expert}.up_proj.weight", up
    elif name.endswith(".experts.down_proj"):
        stem = name.removesuffix("down_proj")
        for expert, matrix in enumerate(tensor):
            yield f"{stem}{expert}.down_proj.weight", matrix
    else:
        yield name, tensor


def mtp_checkpoint_name(name, main_layers):
    """In-memory name of a transformers `MtpModel` tensor → its name in a DeepSeek-V3 checkpoint.

    Module k is stored as layer `main_layers + k`; its block has no prefix, its norm is `shared_head.norm`.
    """
    _, index, rest = name.split(".", 2)
    rest = rest.removeprefix("mtp_block.").replace("post_norm.", "shared_head.norm.")
    return f"model.layers.{main_layers + int(index)}.{rest}"


def named_tensors(model, mtp=None, gradients=False):
    """Yield (checkpoint name, tensor or gradient) for the unique parameters of a model and its MTP part."""

    def pairs():
        for name, parameter in model.named_parameters():
            yield name, parameter
        if mtp is not None:
            for name, parameter in mtp.named_parameters():
                if name.startswith("layers."):
                    yield mtp_checkpoint_name(name, model.config.num_hidden_layers), parameter

    for name, parameter in pairs():
        value = parameter.grad if gradients else parameter
        if value is not None:
            yield from checkpoint_tensors(name, value.detach())


def digest(tensor):
    """A tensor's L2 norm and its first four elements (row-major): enough to catch a wrong gradient."""
    flat = tensor.reshape(-1)
    return {"norm": flat.double().norm().item(), "first": [round(v, 10) for v in flat[:4].double().tolist()]}


def packed(tensor):
    """A tensor as {dtype, shape, base64}: little-endian f32, row-major."""
    array = tensor.detach().to(torch.float32).contiguous().numpy().astype("<f4")
    return {
        "dtype": "F32",
        "shape": list(array.shape),
        "base64": base64.b64encode(array.tobytes()).decode("ascii"),
    }


def unpacked(entry):
    """The inverse of `packed`, used when a script checks a folder against its own golden file."""
    raw = base64.b64decode(entry["base64"])
    return torch.from_numpy(numpy.frombuffer(raw, dtype="<f4").reshape(entry["shape"]).copy())


def fresh_folder(*parts):
    """An empty folder under this room; what an earlier run left there is removed."""
    folder = ROOM.joinpath(*parts)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def write_golden(folder, command, content):
    """Write golden.json with versions and command first; one line per entry keeps diffs readable."""
    entries = {"versions": VERSIONS, "command": command, **content}
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in entries.items()]
    (folder / "golden.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def drop_extras(folder):
    """Remove what save_pretrained adds besides the model itself: generation defaults are not under test."""
    (folder / "generation_config.json").unlink(missing_ok=True)
