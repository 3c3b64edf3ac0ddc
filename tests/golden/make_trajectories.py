"""Writes tests/golden/trajectories/NAME: initial weights, 20 batches, and how PyTorch trains on them.

Per precision golden.json holds loss, gradient norm (before clipping) and learning rate of every step, and the
norm of every parameter at the end. "f32" trains f32 weights. "bf16" keeps f32 masters: each step rounds
them to a bf16 model, runs forward and backward in bf16, widens the gradients to f32, and updates the masters.
Usage: python tests/golden/make_trajectories.py [NAME ...]
"""

import math
import sys

import golden_io
import torch
from make_models import Holder, add_mtp, mtp_forward, mtp_loss
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_layers import MtpModel

COMMAND = "python tests/golden/make_trajectories.py"
STEPS, ROWS, LENGTH, VOCABULARY = 20, 4, 32, 128
OPTIMIZER = {
    "name": "AdamW",
    "betas": [0.9, 0.95],
    "eps": 1e-8,
    "weightDecay": 0.1,
    "decayed": "every parameter of two or more dimensions, embeddings included; vectors are not decayed",
    "clip": 1.0,
    "clipRule": "gradients × min(1, clip / (norm + 1e-6)); the norm counts tied tensors once",
}
SHAPE = "linear warm-up, peak · (step + 1) / warmup, then cosine from peak to final"
SCHEDULE = {"peak": 2e-3, "warmup": 5, "final": 2e-4}

MTP_OBJECTIVE = {
    "mtp": "main + mtpWeight · mean over depths; depth k: position i against id i+k+1, mean over its targets",
    "biasUpdate": "after each step, per router: bias += biasUpdateSpeed · sign(mean load − load)",
}

GPT2 = dict(vocab_size=VOCABULARY, n_positions=LENGTH, n_embd=64, n_layer=2, n_head=4)
GPT2.update(bos_token_id=0, eos_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)

LLAMA = dict(vocab_size=VOCABULARY, hidden_size=64, intermediate_size=112, num_hidden_layers=2)
LLAMA.update(num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=LENGTH)
LLAMA.update(bos_token_id=0, eos_token_id=1)

DEEPSEEK = dict(vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=3)
DEEPSEEK.update(num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=LENGTH)
DEEPSEEK.update(kv_lora_rank=16, q_lora_rank=24, qk_rope_head_dim=8, qk_nope_head_dim=16, v_head_dim=16)
DEEPSEEK.update(n_routed_experts=8, num_experts_per_tok=2, n_shared_experts=1, moe_intermediate_size=24)
DEEPSEEK.update(first_k_dense_replace=1, n_group=4, topk_group=2, num_nextn_predict_layers=0)
DEEPSEEK.update(bos_token_id=0, eos_token_id=1)

# folder → (model type, configuration, seed, what the training adds to the plain next-token loss)
TRAJECTORIES = {
    "gpt2": ("gpt2", GPT2, 71, {}),
    "llama": ("llama", LLAMA, 72, {}),
    "deepseek-v3": ("deepseek_v3", DEEPSEEK, 73, {}),
    "deepseek-v3-mtp": (
        "deepseek_v3",
        {**DEEPSEEK, "num_hidden_layers": 2, "num_nextn_predict_layers": 1},
        74,
        {"mtpWeight": 0.3, "biasUpdateSpeed": 0.01},
    ),
}


def learning_rate(step):
    """Linear warm-up that reaches the peak at its last step, then cosine to the final rate; step from 0."""
    peak, warmup, final = SCHEDULE["peak"], SCHEDULE["warmup"], SCHEDULE["final"]
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / (STEPS - warmup)
    return final + (peak - final) * 0.5 * (1 + math.cos(math.pi * progress))


def make_batches(seed):
    """STEPS batches of [ROWS, LENGTH] ids that can be learned: each id mostly follows from the last one."""
    generator = torch.Generator().manual_seed(seed)
    successor = torch.randperm(VOCABULARY, generator=generator)
    batches = torch.empty(STEPS, ROWS, LENGTH, dtype=torch.long)
    current = torch.randint(0, VOCABULARY, (STEPS, ROWS), generator=generator)
    for position in range(LENGTH):
        batches[..., position] = current
        surprise = torch.rand(STEPS, ROWS, generator=generator) < 0.25
        random = torch.randint(0, VOCABULARY, (STEPS, ROWS), generator=generator)
        current = torch.where(surprise, random, successor[current])
    return batches


def restore_router_biases(mtp, folder, first):
    """Give the MTP modules' routers their stored f32 biases: unlike the main model, MtpModel rounds them."""
    stored = load_file(folder / "model.safetensors")
    for name, _ in list(mtp.named_buffers()):
        if name.endswith("e_score_correction_bias"):
            owner, _, leaf = name.rpartition(".")
            bias = stored[golden_io.mtp_checkpoint_name(name, first)]
            setattr(mtp.get_submodule(owner), leaf, bias.clone())


class Trainee:
    """A model with its MTP modules, in one dtype, that computes the loss and its gradients for one batch."""

    def __init__(self, folder, dtype, mtp_modules):
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa")
        self.model.train()
        self.mtp = None
        if mtp_modules:
            first = self.model.config.num_hidden_layers
            self.model._keys_to_ignore_on_load_unexpected = [
                rf"model\.layers\.{first + k}\." for k in range(mtp_modules)
            ]
            self.mtp = MtpModel.from_pretrained(self.model).train()
            restore_router_biases(self.mtp, folder, first)
        self.routed = {}
        for root in self.roots():
            for module in root.modules():
                if type(module).__name__ == "DeepseekV3TopkRouter":
                    module.register_forward_hook(self.count)

    def roots(self):
        """The modules that own parameters."""
        return [self.model] if self.mtp is None else [self.model, Holder(self.mtp)]

    def parameters(self):
        """Unique parameters by name."""
        for number, root in enumerate(self.roots()):
            for name, parameter in root.named_parameters():
                yield f"{number}.{name}", parameter

    def count(self, router, _inputs, outputs):
        """Tokens per expert of this forward pass."""
        self.routed[router] = torch.bincount(outputs[2].flatten(), minlength=router.num_experts)

    def loss(self, ids, mtp_weight):
        """(total, main, [per depth]) losses of one batch; labels are the ids, shifted inside."""
        output = self.model(ids, labels=ids, use_cache=False, output_hidden_states=self.mtp is not None)
        if self.mtp is None:
            return output.loss, output.loss, []
        depths = mtp_forward(self.model, self.mtp, ids, output.hidden_states[-1])
        extra = [mtp_loss(logits.float(), ids, k) for k, logits in enumerate(depths, start=1)]
        return output.loss + mtp_weight * sum(extra) / len(extra), output.loss, extra

    def update_biases(self, speed):
        """Auxiliary-loss-free balancing: add speed · sign(mean load − load) to every router's bias."""
        for router, load in self.routed.items():
            load = load.float()
            router.e_score_correction_bias += speed * torch.sign(load.mean() - load)


def train(folder, batches, dtype, extras, mtp_modules):
    """Run the 20 steps in one precision and return what they recorded."""
    trainee = Trainee(folder, dtype, mtp_modules)
    working = dict(trainee.parameters())
    masters = {name: torch.nn.Parameter(p.detach().float().clone()) for name, p in working.items()}
    if dtype != torch.float32:
        exact = dict(Trainee(folder, torch.float32, mtp_modules).parameters())
        with torch.no_grad():
            for name, master in masters.items():
                master.copy_(exact[name])
    groups = [
        {"params": [p for p in masters.values() if p.ndim >= 2], "weight_decay": OPTIMIZER["weightDecay"]},
        {"params": [p for p in masters.values() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.0, betas=tuple(OPTIMIZER["betas"]), eps=OPTIMIZER["eps"])
    record = {"losses": [], "gradientNorms": [], "learningRates": []}
    if mtp_modules:
        record.update(mainLosses=[], mtpLosses=[])

    for step, ids in enumerate(batches):
        with torch.no_grad():
            for name, master in masters.items():
                working[name].copy_(master)
                working[name].grad = None
        total, main_loss, extra = trainee.loss(ids, extras.get("mtpWeight", 0.0))
        total.backward()
        for name, master in masters.items():
            # An expert that no token chose has no gradient in some implementations: it counts as zero.
            gradient = working[name].grad
            master.grad = torch.zeros_like(master) if gradient is None else gradient.float()
        norm = torch.nn.utils.clip_grad_norm_(masters.values(), OPTIMIZER["clip"])
        rate = learning_rate(step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        if "biasUpdateSpeed" in extras:
            trainee.update_biases(extras["biasUpdateSpeed"])
        record["losses"].append(total.item())
        record["gradientNorms"].append(norm.item())
        record["learningRates"].append(rate)
        if mtp_modules:
            record["mainLosses"].append(main_loss.item())
            record["mtpLosses"].append([loss.item() for loss in extra])

    with torch.no_grad():
        for name, master in masters.items():
            working[name].data = master.data
    tensors = golden_io.named_tensors(trainee.model, trainee.mtp)
    record["finalNorms"] = {name: tensor.double().norm().item() for name, tensor in tensors}
    biases = [r.e_score_correction_bias.tolist() for r in trainee.routed]
    if biases:
        record["finalRouterBiases"] = biases
    return record


def save_initial(folder, model_type, fields, seed, mtp_modules):
    """Write the initial weights: small deviations, so that the first loss is near ln V."""
    config = AutoConfig.for_model(model_type, **fields)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    golden_io.fill(model, seed, gain=0.4)
    mtp = MtpModel(model, mtp_modules) if mtp_modules else None
    if mtp is not None:
        golden_io.fill(Holder(mtp), seed + 1000, gain=0.4)
    model.save_pretrained(folder)
    golden_io.drop_extras(folder)
    if mtp is not None:
        add_mtp(folder, model, mtp)


def main(names):
    """Make the named trajectories, or all of them."""
    torch.set_num_threads(1)
    for name in names or TRAJECTORIES:
        model_type, fields, seed, extras = TRAJECTORIES[name]
        mtp_modules = fields.get("num_nextn_predict_layers", 0)
        folder = golden_io.fresh_folder("trajectories", name)
        save_initial(folder, model_type, fields, seed, mtp_modules)
        batches = make_batches(seed)
        content = {
            "modelType": model_type,
            "optimizer": OPTIMIZER,
            "schedule": {**SCHEDULE, "shape": SHAPE},
            "objective": {
                "loss": "mean cross-entropy of position i against id i+1 (31 targets a row)",
                **(MTP_OBJECTIVE if mtp_modules else {}),
                **extras,
            },
            "batches": batches.tolist(),
        }
        for key, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
            content[key] = train(folder, batches, dtype, extras, mtp_modules)
        golden_io.write_golden(folder, COMMAND, content)
        size = sum(f.stat().st_size for f in folder.iterdir()) / 1024
        first, last = content["f32"]["losses"][0], content["f32"]["losses"][-1]
        apart = max(abs(a - b) / a for a, b in zip(content["f32"]["losses"], content["bf16"]["losses"]))
        norms = content["f32"]["gradientNorms"]
        print(
            f"{name:18} {size:5.0f} kB  loss {first:.4f} → {last:.4f}  bf16 apart {apart:.1e}  "
            f"gradient norm {norms[0]:.3f} → {norms[-1]:.3f}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
