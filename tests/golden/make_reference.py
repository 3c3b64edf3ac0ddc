"""Golden values for tests/reference/golden.test.ts: the oracle's mathematics as PyTorch and transformers do it.

Needs: torch 2.13.0, transformers 5.17.0, safetensors. Run: python tests/golden/make_reference.py
All inputs are waves sin(0.37n + 0.0005n^2 + 1.13*salt), n from 1, which the test makes again by itself.
"""

import json
import math
import tempfile

import torch
from golden_io import ROOM, VERSIONS
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import DeepseekV2Config, DeepseekV2ForCausalLM, DeepseekV3Config, DeepseekV3ForCausalLM, LlamaConfig
from transformers.generation import logits_process
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.optimization import (
    get_cosine_schedule_with_warmup,
    get_cosine_with_min_lr_schedule_with_warmup,
    get_wsd_schedule,
)

torch.set_default_dtype(torch.float64)


def wave(shape, salt, factor=1.0, grad=False):
    count = math.prod(shape)
    n = torch.arange(1, count + 1, dtype=torch.float64)
    values = factor * torch.sin(0.37 * n + 0.0005 * n * n + 1.13 * salt)
    return values.reshape(shape).requires_grad_(grad)


def flat(tensor):
    return tensor.detach().double().flatten().tolist()


def unary():
    functions = {
        "gelu": F.gelu,
        "geluTanh": lambda x: F.gelu(x, approximate="tanh"),
        "silu": F.silu,
        "softplus": F.softplus,
        "logSigmoid": F.logsigmoid,
        "erf": torch.erf,
        "rsqrt": lambda x: torch.rsqrt(x),
    }
    out = {}
    for name, function in functions.items():
        x = (wave([12], 1, 4.0) + (5.0 if name == "rsqrt" else 0.0)).detach().requires_grad_()
        y = function(x)
        y.backward(wave([12], 2))
        out[name] = {"y": flat(y), "dx": flat(x.grad)}
    return out


def norms():
    out = {}
    for name in ["rmsNorm", "layerNorm"]:
        x, gain, bias = wave([3, 5], 1, grad=True), wave([5], 2, grad=True), wave([5], 3, grad=True)
        y = F.rms_norm(x, [5], gain, 1e-3) if name == "rmsNorm" else F.layer_norm(x, [5], gain, bias, 1e-3)
        y.backward(wave([3, 5], 4))
        out[name] = {"y": flat(y), "dx": flat(x.grad), "dgain": flat(gain.grad)}
    return out


def attention():
    """Grouped heads, values narrower than keys, causal; q, k, v as [tokens, heads, width]."""
    q, k, v = wave([5, 4, 3], 1, grad=True), wave([5, 2, 3], 2, grad=True), wave([5, 2, 2], 3, grad=True)
    heads = [x.transpose(0, 1)[None] for x in (q, k, v)]
    o = F.scaled_dot_product_attention(*heads, is_causal=True, enable_gqa=True)[0].transpose(0, 1)
    o.backward(wave([5, 4, 2], 4))
    return {"o": flat(o), "dq": flat(q.grad), "dk": flat(k.grad), "dv": flat(v.grad)}


def cross_entropy():
    hidden, weight = wave([5, 3], 1, 2.0, grad=True), wave([7, 3], 2, 2.0, grad=True)
    targets = torch.tensor([1, -100, 6, 0, -100])
    loss = F.cross_entropy(hidden @ weight.T, targets, label_smoothing=0.1)
    loss.backward()
    return {"loss": loss.item(), "dhidden": flat(hidden.grad), "dweight": flat(weight.grad)}


def optimizers():
    makers = {
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.05, betas=(0.9, 0.95), weight_decay=0.1),
        "adam": lambda p: torch.optim.Adam(p, lr=0.05, weight_decay=0.1),
        "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, dampening=0.2, weight_decay=0.1),
        "nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    }
    out = {}
    for name, make in makers.items():
        parameter = torch.nn.Parameter(wave([6], 1).detach())
        optimizer = make([parameter])
        for step in range(1, 6):
            parameter.grad = wave([6], 1 + step, 3.0)
            torch.nn.utils.clip_grad_norm_([parameter], 4.0)
            optimizer.step()
        out[name] = flat(parameter)
    return out


def schedules():
    makers = {
        "cosine": lambda o: get_cosine_schedule_with_warmup(o, 4, 20),
        "cosineMin": lambda o: get_cosine_with_min_lr_schedule_with_warmup(o, 4, 20, min_lr_rate=0.1),
        "wsdLinear": lambda o: get_wsd_schedule(o, 4, 6, 20, decay_type="linear", min_lr_ratio=0.1),
        "wsdCosine": lambda o: get_wsd_schedule(o, 4, 6, 20, decay_type="cosine", min_lr_ratio=0.1),
        "wsdSqrt": lambda o: get_wsd_schedule(o, 4, 6, 20, decay_type="1-sqrt", min_lr_ratio=0.1),
    }
    out = {}
    for name, make in makers.items():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = make(optimizer)
        values = []
        for _ in range(21):
            values.append(schedule.get_last_lr()[0])
            optimizer.step()
            schedule.step()
        out[name] = values
    return out


def rope():
    cases = {
        "linear": {"rope_type": "linear", "factor": 4.0},
        "dynamic": {"rope_type": "dynamic", "factor": 2.0},
        "llama3": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 1024,
        },
        "yarn": {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 1024},
        "yarnMscale": {
            "rope_type": "yarn",
            "factor": 8.0,
            "original_max_position_embeddings": 1024,
            "mscale": 0.7,
            "mscale_all_dim": 1.3,
            "beta_fast": 20,
            "beta_slow": 2,
            "truncate": False,
        },
    }
    out = {}
    torch.set_default_dtype(torch.float32)
    for name, parameters in cases.items():
        config = LlamaConfig(
            hidden_size=64,
            num_attention_heads=2,
            head_dim=32,
            max_position_embeddings=2048,
            rope_parameters={"rope_theta": 10000.0, **parameters},
        )
        length = 5000 if name == "dynamic" else None
        inverse, factor = ROPE_INIT_FUNCTIONS[parameters["rope_type"]](config, torch.device("cpu"), seq_len=length)
        out[name] = {"invFreq": flat(inverse), "attentionFactor": float(factor)}
    torch.set_default_dtype(torch.float64)
    return out


def sampling():
    cases = [
        (1.0, 0, 1.0, 0.0),
        (0.7, 5, 1.0, 0.0),
        (1.3, 0, 0.6, 0.0),
        (0.9, 6, 0.8, 0.0),
        (1.0, 0, 1.0, 0.3),
        (0.5, 8, 0.9, 0.05),
    ]
    out = []
    for temperature, top_k, top_p, min_p in cases:
        scores = wave([1, 12], 5, 3.0)
        scores = logits_process.TemperatureLogitsWarper(temperature)(None, scores) if temperature != 1.0 else scores
        scores = logits_process.TopKLogitsWarper(top_k)(None, scores) if top_k > 0 else scores
        scores = logits_process.TopPLogitsWarper(top_p)(None, scores) if top_p < 1 else scores
        scores = logits_process.MinPLogitsWarper(min_p)(None, scores) if min_p > 0 else scores
        options = {"temperature": temperature, "topK": top_k, "topP": top_p, "minP": min_p}
        out.append({"options": options, "probabilities": flat(scores.softmax(-1))})
    return out


SIZES = dict(
    vocab_size=32,
    hidden_size=16,
    intermediate_size=24,
    moe_intermediate_size=8,
    num_hidden_layers=2,
    first_k_dense_replace=1,
    num_attention_heads=2,
    num_key_value_heads=2,
    n_routed_experts=8,
    n_shared_experts=1,
    num_experts_per_tok=3,
    n_group=4,
    topk_group=2,
    kv_lora_rank=8,
    q_lora_rank=12,
    qk_rope_head_dim=4,
    v_head_dim=6,
    qk_nope_head_dim=8,
    max_position_embeddings=256,
    tie_word_embeddings=False,
    attn_implementation="eager",
    experts_implementation="eager",
)
PLAIN = {"rope_type": "default", "rope_theta": 10000.0}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
    "mscale": 0.7,
    "mscale_all_dim": 1.0,
}


def set_waves(model):
    """Weights by their names on disk, in bytewise order, as the tiny model of the specification has them."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        path = f"{folder}/model.safetensors"
        state = load_file(path)
        for index, name in enumerate(sorted(state)):
            shape = list(state[name].shape)
            if name.endswith("norm.weight"):
                value = 1 + wave(shape, index + 1, 0.2)
            else:
                value = wave(shape, index + 1, 0.1 if name.endswith("bias") else 0.15)
            state[name] = value.float().contiguous()
        save_file(state, path, metadata={"format": "pt"})
        return type(model).from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
        )


def models():
    v3, v2 = (DeepseekV3Config, DeepseekV3ForCausalLM), (DeepseekV2Config, DeepseekV2ForCausalLM)
    cases = {
        "v3NoQueryRank": (
            *v3,
            dict(q_lora_rank=None, rope_parameters=PLAIN, routed_scaling_factor=2.5, norm_topk_prob=True),
        ),
        "v3YarnHalf": (
            *v3,
            dict(
                rope_parameters=YARN,
                rope_interleave=False,
                rms_norm_eps=1e-3,
                routed_scaling_factor=1.5,
                norm_topk_prob=False,
            ),
        ),
        "v2Greedy": (
            *v2,
            dict(q_lora_rank=None, rope_parameters=PLAIN, topk_method="greedy", routed_scaling_factor=1.0),
        ),
        "v2Grouped": (
            *v2,
            dict(rope_parameters=PLAIN, topk_method="group_limited_greedy", routed_scaling_factor=4.0),
        ),
    }
    ids = torch.tensor([[3, 14, 15, 9, 26, 5, 31, 0, 7, 7]])
    out = {}
    torch.set_default_dtype(torch.float32)
    for name, (config_class, model_class, extra) in cases.items():
        model = set_waves(model_class(config_class(**{**SIZES, **extra})))
        result = model(input_ids=ids, labels=ids, use_cache=False)
        result.loss.backward()
        names = [
            "model.embed_tokens.weight",
            "model.layers.0.self_attn.kv_a_proj_with_mqa.weight",
            "model.layers.0.self_attn.kv_b_proj.weight",
            "model.layers.0.mlp.up_proj.weight",
            "model.layers.1.mlp.gate.weight",
            "model.layers.1.mlp.shared_experts.gate_proj.weight",
            "lm_head.weight",
        ]
        parameters = dict(model.named_parameters())
        out[name] = {
            "loss": result.loss.item(),
            "firstLogits": flat(result.logits[0, 0, :6]),
            "lastLogits": flat(result.logits[0, -1, :6]),
            "absoluteLogits": result.logits.double().abs().sum().item(),
            "gradientNorms": {key: parameters[key].grad.double().norm().item() for key in names},
        }
    torch.set_default_dtype(torch.float64)
    return out


def main():
    golden = {
        "versions": VERSIONS,
        "command": "python tests/golden/make_reference.py",
        "unary": unary(),
        "norms": norms(),
        "attention": attention(),
        "crossEntropy": cross_entropy(),
        "optimizers": optimizers(),
        "schedules": schedules(),
        "rope": rope(),
        "sampling": sampling(),
        "models": models(),
    }
    # One line per family keeps the file short.
    sections = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in golden.items()]
    (ROOM / "reference.json").write_text("{\n" + ",\n".join(sections) + "\n}\n")


if __name__ == "__main__":
    main()
