"""Writes tests/golden/models/NAME: a tiny random model saved by transformers, and its golden.json.

Every golden.json holds input ids, labels, full logits, the loss, and a digest of every parameter's gradient;
for MTP models also each module's logits and loss; for mixtures of experts the narrowest routing decision.
Usage: python tests/golden/make_models.py [NAME ...]
"""

import sys

import golden_io
import torch
import torch.nn.functional as F
from configurations import MODELS
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_layers import MtpModel

COMMAND = "python tests/golden/make_models.py"
# A routing decision closer than this could flip under another order of summation.
NARROWEST_ROUTING = 2e-4


def build(model_type, fields, options):
    """An entry's f32 model, filled from its seed, and its MTP modules or None, as transformers builds them."""
    config = AutoConfig.for_model(model_type, **fields)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    golden_io.fill(model, options["seed"], options.get("gain", 1.4))
    mtp = None
    if options.get("mtp"):
        mtp = MtpModel(model, options["mtp"]).eval()
        mtp.layers.to(torch.float32)
        golden_io.fill(Holder(mtp), options["seed"] + 1000)
    if "dtype" in options:
        round_weights(model, getattr(torch, options["dtype"]))
    return model, mtp


class Holder(torch.nn.Module):
    """Only the MTP modules' own tensors, so that filling them leaves the shared embedding and head alone."""

    def __init__(self, mtp):
        super().__init__()
        self.config = mtp.config
        self.layers = mtp.layers


def round_weights(model, dtype):
    """Round parameters to what a file of `dtype` can hold, keeping them f32; router biases stay."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.to(dtype))


def save(folder, model, mtp, options):
    """`save_pretrained`, then the MTP modules' tensors added under their checkpoint names."""
    stored = model
    if "dtype" in options:
        buffers = model.named_buffers()
        biases = {name: b.clone() for name, b in buffers if name.endswith("e_score_correction_bias")}
        stored = AutoModelForCausalLM.from_config(model.config, dtype=torch.float32)
        stored.load_state_dict(model.state_dict())
        stored.to(getattr(torch, options["dtype"]))
        for name, bias in biases.items():
            owner, _, leaf = name.rpartition(".")
            setattr(stored.get_submodule(owner), leaf, bias)
        stored.config.dtype = getattr(torch, options["dtype"])
    stored.save_pretrained(folder, max_shard_size=options.get("shard", "5GB"))
    golden_io.drop_extras(folder)
    if mtp is not None:
        add_mtp(folder, model, mtp)


def add_mtp(folder, model, mtp):
    """Append MTP tensors to model.safetensors; transformers itself can load but not save them."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    states = {k: v for k, v in mtp.state_dict().items() if k.startswith("layers.")}
    for name, tensor in states.items():
        stored_name = golden_io.mtp_checkpoint_name(name, model.config.num_hidden_layers)
        for key, value in golden_io.checkpoint_tensors(stored_name, tensor):
            tensors[key] = value.contiguous().clone()
    save_file(tensors, path, metadata={"format": "pt"})


def mtp_forward(model, mtp, ids, hidden):
    """Logits of every MTP depth with the true tokens as input: depth k (from 1) covers positions 0 … T−1−k.

    Position i of depth k joins the embedding of token i+k with the previous depth's hidden state and predicts
    token i+k+1. Layers, norms, head and mask are transformers' own; its own loop would feed drafted tokens.
    """
    logits = []
    length = ids.shape[1]
    for k, layer in enumerate(mtp.layers, start=1):
        embedded = mtp.embed_tokens(ids[:, k:])
        hidden = hidden[:, : length - k]
        positions = torch.arange(k, length).unsqueeze(0)
        hidden = layer(
            embedded,
            hidden,
            position_embeddings=mtp.rotary_emb(embedded, position_ids=positions),
            position_ids=positions,
            past_key_values=None,
            **mtp.create_masks_for_mtp_layer(0, embedded, None, positions),
        )
        logits.append(mtp._project_to_logits(hidden))
    return logits


def mtp_loss(logits, labels, depth):
    """Mean cross-entropy of one depth: position i against label i+depth+1, over targets that are not −100."""
    targets = labels[:, depth + 1 :]
    return F.cross_entropy(logits[:, : targets.shape[1]].flatten(0, 1), targets.flatten(), ignore_index=-100)


class RoutingMargin:
    """Records the smallest score gap between a chosen and a rejected expert (or group) over all routers."""

    def __init__(self, modules):
        self.value = float("inf")
        for root in modules:
            for module in root.modules():
                if type(module).__name__.endswith("TopkRouter"):
                    module.register_forward_hook(self.observe)

    def observe(self, router, inputs, _outputs):
        """Recompute the choice scores in f64 and keep the narrowest gap."""
        x = inputs[0].detach().reshape(-1, router.hidden_dim).double()
        scores = x @ router.weight.detach().double().T
        bias = getattr(router, "e_score_correction_bias", None)
        method = getattr(router, "topk_method", None)
        scores = scores.softmax(-1) if bias is None else scores.sigmoid() + bias.double()
        if bias is not None or method == "group_limited_greedy":
            groups, kept = router.num_group, router.topk_group
            grouped = scores.view(scores.shape[0], groups, -1)
            strength = grouped.topk(2, -1).values.sum(-1) if bias is not None else grouped.max(-1).values
            if kept < groups:
                self.gap(strength, kept)
            chosen = strength.topk(kept, -1).indices
            mask = torch.zeros_like(strength).scatter_(1, chosen, 1).bool()
            scores = grouped.masked_fill(~mask[..., None], -10.0).flatten(1)
        self.gap(scores, router.top_k)

    def gap(self, scores, k):
        """Distance between the k-th and the next score of every row."""
        ordered = scores.sort(-1, descending=True).values
        self.value = min(self.value, (ordered[:, k - 1] - ordered[:, k]).min().item())


def sample(config, options):
    """Two rows of ids, and labels that ignore a few positions."""
    generator = torch.Generator().manual_seed(options["seed"] + 500)
    ids = torch.randint(0, config.vocab_size, (2, options.get("length", 13)), generator=generator)
    labels = ids.clone()
    labels[0, 4] = labels[1, -1] = labels[1, 7] = -100
    return ids, labels


def golden(model, mtp, options):
    """All recorded values of one model."""
    ids, labels = sample(model.config, options)
    margin = RoutingMargin([m for m in (model, mtp) if m is not None])
    output = model(ids, labels=labels, use_cache=False, output_hidden_states=True)
    total = output.loss
    content = {
        "inputIds": ids.tolist(),
        "labels": labels.tolist(),
        "loss": output.loss.item(),
        "logits": golden_io.packed(output.logits),
    }
    if mtp is not None:
        depths = mtp_forward(model, mtp, ids, output.hidden_states[-1])
        losses = [mtp_loss(logits, labels, k) for k, logits in enumerate(depths, start=1)]
        weight = 0.3
        total = total + weight * sum(losses) / len(losses)
        content["mtp"] = {
            "logits": [golden_io.packed(logits) for logits in depths],
            "losses": [loss.item() for loss in losses],
            "weight": weight,
            "totalLoss": total.item(),
        }
    total.backward()
    if margin.value != float("inf"):
        content["routingMargin"] = margin.value
        if margin.value < NARROWEST_ROUTING:
            raise SystemExit(f"routing margin {margin.value:.1e} < {NARROWEST_ROUTING}: choose another seed")
    gradients = golden_io.named_tensors(model, mtp, gradients=True)
    content["gradients"] = {name: golden_io.digest(gradient) for name, gradient in gradients}
    return content


def verify(folder, content, options):
    """Load the folder as a user would and compare with the recorded values."""
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    ids = torch.tensor(content["inputIds"])
    with torch.no_grad():
        output = loaded(ids, use_cache=False, output_hidden_states=True)
        difference = (output.logits - golden_io.unpacked(content["logits"])).abs().max().item()
        if options.get("mtp"):
            # The library's own pattern names layer 61 only; a smaller model has to say which layers are MTP.
            first = loaded.config.num_hidden_layers
            modules = range(first, first + options["mtp"])
            loaded._keys_to_ignore_on_load_unexpected = [rf"model\.layers\.{layer}\." for layer in modules]
            mtp = MtpModel.from_pretrained(loaded).eval()
            depths = mtp_forward(loaded, mtp, ids, output.hidden_states[-1])
            for got, want in zip(depths, content["mtp"]["logits"]):
                difference = max(difference, (got - golden_io.unpacked(want)).abs().max().item())
            _, drafted, _ = mtp(
                ids[:, 1:], output.hidden_states[-1][:, :-1], torch.ones_like(ids[:, 1:]),
                torch.arange(1, ids.shape[1]).unsqueeze(0), None,
            )
            own = golden_io.unpacked(content["mtp"]["logits"][0])[:, -1]
            difference = max(difference, (drafted[:, 0] - own).abs().max().item())
    if difference > 1e-5:
        raise SystemExit(f"{folder.name}: the saved folder gives logits that differ by {difference:.2e}")
    return difference


def main(names):
    """Make the named folders, or all of them."""
    torch.set_num_threads(1)
    for name in names or MODELS:
        about, model_type, fields, options = MODELS[name]
        folder = golden_io.fresh_folder("models", name)
        model, mtp = build(model_type, fields, options)
        save(folder, model, mtp, options)
        content = golden(model, mtp, options)
        golden_io.write_golden(folder, COMMAND, {"about": about, "modelType": model_type, **content})
        difference = verify(folder, content, options)
        size = sum(f.stat().st_size for f in folder.iterdir()) / 1024
        scale = golden_io.unpacked(content["logits"]).std().item()
        margin = content.get("routingMargin")
        note = "" if margin is None else f"  routing margin {margin:.1e}"
        figures = f"loss {content['loss']:.4f}  logits ±{scale:.2f}  reload {difference:.0e}{note}"
        print(f"{name:26} {size:4.0f} kB  {figures}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
