"""Times full training steps of named workloads in PyTorch on a CPU or a GPU: the peer of `anneal bench step`.

A step is forward, cross-entropy over every position, backward, clipping to norm 1, and AdamW on f32 weights.
With --config (a Hugging Face config.json as text) any model of transformers is built; the four small workloads need none.
Usage: python bench/peers/torch_step.py --workload NAME --dtype f32|bf16 --mode eager|compile --steps N --json
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch_deepseek import Config, DeepSeek  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM  # noqa: E402

# name → (rows, positions, vocabulary)
BATCHES = {
    "char-gpt": (12, 64, 65),
    "llama-15m": (8, 256, 8192),
    "deepseek-mini": (8, 256, 8192),
    "gpt2-124m": (4, 64, 50257),
}
# What --attention names; "default" leaves the choice to PyTorch.
KERNELS = {
    "flash": [SDPBackend.FLASH_ATTENTION],
    "cudnn": [SDPBackend.CUDNN_ATTENTION],
    "efficient": [SDPBackend.EFFICIENT_ATTENTION],
}
NO_DROPOUT = dict(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)


class LogitsOnly(torch.nn.Module):
    """A transformers model as ids → logits, without cache."""

    def __init__(self, config):
        super().__init__()
        self.model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=torch.float32)

    def forward(self, ids):
        return self.model(ids, use_cache=False).logits


def batch_of(options):
    """(rows, positions, vocabulary) of a run."""
    rows, length, vocabulary = BATCHES.get(options.workload, (None, None, None))
    if options.config:
        vocabulary = json.loads(options.config)["vocab_size"]
    rows, length = options.batch_size or rows, options.sequence_length or length
    if None in (rows, length, vocabulary):
        sys.exit(f"{options.workload} needs --config, --batch-size and --sequence-length")
    return rows, length, vocabulary


def build(workload, config, length, device):
    """The f32 model of a workload; torch_deepseek.py is the faster DeepSeek on a CPU."""
    if config and not (workload == "deepseek-mini" and device == "cpu"):
        fields = json.loads(config)
        kind = fields.pop("model_type")
        fields.pop("architectures", None)
        # JSON from JavaScript writes 1.0 as 1, which transformers refuses here.
        if "routed_scaling_factor" in fields:
            fields["routed_scaling_factor"] = float(fields["routed_scaling_factor"])
        if kind == "deepseek_v2" and device == "cuda":
            # All experts in one grouped product instead of a loop over them.
            fields["experts_implementation"] = "grouped_mm"
        with torch.device(device):
            return LogitsOnly(AutoConfig.for_model(kind, **fields))
    _, usual, vocabulary = BATCHES[workload]
    length = max(length, usual)
    if workload == "char-gpt":
        fields = dict(n_layer=4, n_head=4, n_embd=128, n_positions=length, vocab_size=vocabulary)
        return LogitsOnly(AutoConfig.for_model("gpt2", **fields, **NO_DROPOUT))
    if workload == "gpt2-124m":
        return LogitsOnly(AutoConfig.for_model("gpt2", **NO_DROPOUT))
    if workload == "llama-15m":
        fields = dict(num_hidden_layers=6, num_attention_heads=6, num_key_value_heads=6, hidden_size=288)
        fields.update(intermediate_size=768, vocab_size=vocabulary, max_position_embeddings=length)
        return LogitsOnly(AutoConfig.for_model("llama", **fields, tie_word_embeddings=True))
    return DeepSeek(Config(), length)


class Step:
    """One training step: "f32", "autocast" (f32 weights, bf16 products) or "master" (bf16 model, f32 masters)."""

    def __init__(self, model, precision, compiled, device="cpu", attention="default"):
        self.precision = precision
        self.device = device
        self.kernels = KERNELS.get(attention)
        self.model = model.train()
        self.working = list(model.parameters())
        self.masters = self.working
        if precision == "master":
            self.masters = [torch.nn.Parameter(p.detach().clone()) for p in self.working]
            model.to(torch.bfloat16)
            for module in model.modules():
                # Rotary frequencies and router biases lose their meaning in bf16.
                for name, buffer in list(module.named_buffers(recurse=False)):
                    setattr(module, name, buffer.float())
            self.working = list(model.parameters())
        decayed = [p for p in self.masters if p.ndim >= 2]
        plain = [p for p in self.masters if p.ndim < 2]
        groups = [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), eps=1e-8, fused=True)
        self.loss = torch.compile(self.forward) if compiled else self.forward

    def forward(self, ids, targets):
        """Mean cross-entropy, computed in f32."""
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "autocast"):
            logits = self.model(ids)
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())

    def __call__(self, ids, targets):
        with sdpa_kernel(self.kernels) if self.kernels else contextlib.nullcontext():
            loss = self.loss(ids, targets)
            loss.backward()
        if self.precision == "master":
            for master, parameter in zip(self.masters, self.working):
                master.grad = parameter.grad.float()
                parameter.grad = None
        torch.nn.utils.clip_grad_norm_(self.masters, 1.0, foreach=True)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.precision == "master":
            with torch.no_grad():
                torch._foreach_copy_(self.working, self.masters)
        return loss.item()


def memory(field):
    """A line of /proc/self/status in bytes: VmRSS now, or VmHWM the highest since the last reset."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0


def reset_peak():
    """Start VmHWM afresh, so that building and compiling do not count."""
    try:
        with open("/proc/self/clear_refs", "w") as control:
            control.write("5")
    except OSError:
        pass


def measure(options):
    """Warm up, time every step, and return the result object."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    before = memory("VmRSS")
    rows, length, vocabulary = batch_of(options)
    cuda = options.device == "cuda"
    generator = torch.Generator().manual_seed(options.seed)
    batch = torch.randint(0, vocabulary, (rows, length + 1), generator=generator)
    ids, targets = batch[:, :-1].contiguous(), batch[:, 1:].contiguous()
    precision = "f32" if options.dtype == "f32" else options.bf16
    ids, targets = ids.to(options.device), targets.to(options.device)
    model = build(options.workload, options.config, length, options.device).to(options.device)
    step = Step(model, precision, options.mode == "compile", options.device, options.attention)
    del model

    start = time.perf_counter()
    for _ in range(options.warmup):
        step(ids, targets)
    warm = time.perf_counter() - start
    reset_peak()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    busy = time.process_time()
    for _ in range(options.steps):
        start = time.perf_counter()
        loss = step(ids, targets)
        seconds.append(time.perf_counter() - start)
    busy = (time.process_time() - busy) / options.steps
    median = statistics.median(seconds)
    peak = memory("VmHWM")
    if cuda:
        # What PyTorch's tensors hold; its allocator keeps more.
        before, peak = 0, torch.cuda.max_memory_allocated()
    return {
        "workload": options.workload,
        "dtype": options.dtype,
        "mode": options.mode,
        "precision": precision,
        "device": options.device,
        "attention": options.attention,
        "tokensPerSecond": rows * length / median,
        "secondsPerStep": median,
        "fastestStep": min(seconds),
        "cpuSecondsPerStep": busy,
        "warmupSeconds": warm,
        "peakBytes": peak - before,
        "peakTotalBytes": peak,
        "loss": loss,
        "threads": options.threads,
        "steps": options.steps,
        "torch": torch.__version__,
    }


def best_bf16(arguments):
    """Run both bf16 ways in processes of their own and keep the faster one."""
    results = []
    for way in ("autocast", "master"):
        command = [sys.executable, __file__, *arguments, "--bf16", way, "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        results.append(json.loads(done.stdout.splitlines()[-1]))
    results.sort(key=lambda result: result["secondsPerStep"])
    other = results[1]
    return {**results[0], "slowerWay": {key: other[key] for key in ("precision", "secondsPerStep")}}


def main(arguments):
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workload", required=True, help=f"{', '.join(BATCHES)}, or any name with --config")
    parser.add_argument("--config", help="config.json of the model, as text")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch-size", type=int, help="rows; default by workload")
    parser.add_argument("--sequence-length", type=int, help="tokens of a row; default by workload")
    parser.add_argument("--attention", choices=("default", *KERNELS), default="default", help="SDPA kernel")
    parser.add_argument("--dtype", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--mode", choices=("eager", "compile"), default="eager")
    parser.add_argument("--bf16", choices=("best", "autocast", "master"), default="best")
    parser.add_argument("--steps", type=int, default=10, help="timed steps")
    parser.add_argument("--warmup", type=int, default=3, help="untimed steps before, compilation included")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON line on stdout")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch finds no CUDA device")
    if options.dtype == "bf16" and options.bf16 == "best":
        result = best_bf16([a for a in arguments if a != "--json"])
    else:
        result = measure(options)
    if options.json:
        print(json.dumps(result))
    else:
        print(
            f"{result['workload']} {result['dtype']} {result['mode']} ({result['precision']}): "
            f"{result['tokensPerSecond']:.0f} tokens/s, {result['secondsPerStep'] * 1e3:.1f} ms a step, "
            f"peak {result['peakBytes'] / 2**20:.0f} MiB, loss {result['loss']:.4f}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
