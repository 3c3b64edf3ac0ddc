"""A DeepSeek-V3-style model in plain PyTorch, as fast on a CPU as PyTorch's own operators allow.

It exists to be timed against: the mathematics of one training step are those of the published architecture
(MLA, group-limited sigmoid routing, SwiGLU experts and a shared one); no cache, no MTP, no bias update.
B batch, T positions, D width, H heads, E experts, k chosen experts.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    """The named configuration `deepseek-mini`; embeddings and head are separate matrices."""

    vocabulary: int = 8192
    width: int = 256
    layers: int = 6
    dense_layers: int = 1
    heads: int = 4
    q_rank: int = 128
    kv_rank: int = 64
    nope: int = 64
    rope: int = 32
    value: int = 64
    dense_ffn: int = 704
    experts: int = 16
    expert_ffn: int = 176
    chosen: int = 4
    groups: int = 4
    kept_groups: int = 2
    scaling: float = 2.5
    theta: float = 10000.0


def rotate(x, cos, sin):
    """Rotary embedding on x [B, T, H, rope], halves layout (a fixed permutation of the interleaved one)."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Norm(nn.Module):
    """RMS norm by PyTorch's fused kernel, which wants gain and input in one dtype."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), 1e-6)


class Permute(torch.autograd.Function):
    """Rows of x [N, D] in expert order, [N·k, D]; a gather backward too, where indexing's own adds serially."""

    @staticmethod
    def forward(ctx, x, order, back, k):
        ctx.save_for_backward(back)
        ctx.k = k
        return x[order // k]

    @staticmethod
    def backward(ctx, gradient):
        (back,) = ctx.saved_tensors
        return gradient[back].view(-1, ctx.k, gradient.shape[-1]).sum(1), None, None, None


class Unpermute(torch.autograd.Function):
    """Rows [N·k, D] from expert order back to token order; the inverse permutation is the backward."""

    @staticmethod
    def forward(ctx, rows, order, back):
        ctx.save_for_backward(order)
        return rows[back]

    @staticmethod
    def backward(ctx, gradient):
        (order,) = ctx.saved_tensors
        return gradient[order], None, None


# F.grouped_mm costs the same on a CPU but refuses f32 under torch.compile; these operators break no graph.
@torch.library.custom_op("peer::grouped", mutates_args=())
def grouped(x: torch.Tensor, w: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """x [R, I] sorted by expert, w [E, O, I], ends [E] (last row + 1 of each expert) → [R, O]."""
    out = x.new_empty(x.shape[0], w.shape[1])
    start = 0
    for expert, end in enumerate(ends.tolist()):
        if end > start:
            torch.mm(x[start:end], w[expert].t(), out=out[start:end])
        start = end
    return out


@grouped.register_fake
def _(x, w, ends):
    return x.new_empty(x.shape[0], w.shape[1])


@torch.library.custom_op("peer::grouped_gradient", mutates_args=())
def grouped_gradient(
    dy: torch.Tensor, x: torch.Tensor, w: torch.Tensor, ends: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of `grouped` with respect to x and w."""
    dy = dy.contiguous()
    dx, dw = torch.empty_like(x), torch.empty_like(w)
    start = 0
    for expert, end in enumerate(ends.tolist()):
        if end > start:
            torch.mm(dy[start:end], w[expert], out=dx[start:end])
            torch.mm(dy[start:end].t(), x[start:end], out=dw[expert])
        else:
            dw[expert].zero_()
        start = end
    return dx, dw


@grouped_gradient.register_fake
def _(dy, x, w, ends):
    return torch.empty_like(x), torch.empty_like(w)


def _save(ctx, inputs, output):
    ctx.save_for_backward(*inputs)


def _backward(ctx, dy):
    return *grouped_gradient(dy, *ctx.saved_tensors), None


grouped.register_autograd(_backward, setup_context=_save)


class Attention(nn.Module):
    """Multi-head latent attention with keys and values expanded, which is the cheaper form for training."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.q_a = nn.Linear(c.width, c.q_rank, bias=False)
        self.q_norm = Norm(c.q_rank)
        self.q_b = nn.Linear(c.q_rank, c.heads * (c.nope + c.rope), bias=False)
        self.kv_a = nn.Linear(c.width, c.kv_rank + c.rope, bias=False)
        self.kv_norm = Norm(c.kv_rank)
        self.kv_b = nn.Linear(c.kv_rank, c.heads * (c.nope + c.value), bias=False)
        self.o = nn.Linear(c.heads * c.value, c.width, bias=False)

    def forward(self, x, cos, sin):  # x: [B, T, D]
        c = self.c
        B, T, _ = x.shape
        query = self.q_b(self.q_norm(self.q_a(x))).view(B, T, c.heads, -1)
        q_nope, q_rope = query.split((c.nope, c.rope), -1)
        latent, k_rope = self.kv_a(x).split((c.kv_rank, c.rope), -1)
        k_nope, value = self.kv_b(self.kv_norm(latent)).view(B, T, c.heads, -1).split((c.nope, c.value), -1)
        k_rope = rotate(k_rope.unsqueeze(2), cos, sin).expand(-1, -1, c.heads, -1)
        query = torch.cat((q_nope, rotate(q_rope, cos, sin)), -1).transpose(1, 2)
        key = torch.cat((k_nope, k_rope), -1).transpose(1, 2)
        out = F.scaled_dot_product_attention(query, key, value.transpose(1, 2), is_causal=True)
        return self.o(out.transpose(1, 2).reshape(B, T, -1))


class Ffn(nn.Module):
    """SwiGLU with gate and up in one matrix."""

    def __init__(self, width, inner):
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x):
        gate, up = self.gate_up(x).chunk(2, -1)
        return self.down(F.silu(gate) * up)


class Mixture(nn.Module):
    """k of E experts per token: tokens are sorted by expert, and each product covers all experts at once."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.router = nn.Parameter(torch.empty(c.experts, c.width))
        self.register_buffer("bias", torch.zeros(c.experts))
        self.gate_up = nn.Parameter(torch.empty(c.experts, 2 * c.expert_ffn, c.width))
        self.down = nn.Parameter(torch.empty(c.experts, c.width, c.expert_ffn))
        self.shared = Ffn(c.width, c.expert_ffn)

    def route(self, x):  # x: [N, D] → weights [N, k] f32, experts [N, k]
        c = self.c
        with torch.autocast("cpu", enabled=False):
            scores = F.linear(x.float(), self.router.float()).sigmoid()
        with torch.no_grad():
            choice = (scores + self.bias).view(-1, c.groups, c.experts // c.groups)
            kept = choice.topk(2, -1).values.sum(-1).topk(c.kept_groups, -1, sorted=False).indices
            closed = torch.ones_like(choice[..., 0], dtype=torch.bool).scatter_(1, kept, False)
            choice = choice.masked_fill(closed.unsqueeze(-1), float("-inf")).flatten(1)
            experts = choice.topk(c.chosen, -1, sorted=False).indices
        weights = scores.gather(1, experts)
        return weights / (weights.sum(-1, keepdim=True) + 1e-20) * c.scaling, experts

    def forward(self, x):  # x: [B, T, D]
        c = self.c
        flat = x.reshape(-1, c.width)
        weights, experts = self.route(flat)
        order = experts.flatten().argsort(stable=True)
        counts = torch.zeros(c.experts, dtype=torch.int32).index_add_(
            0, experts.flatten(), torch.ones(experts.numel(), dtype=torch.int32)
        )
        ends = counts.cumsum(0, dtype=torch.int32)
        # The grouped product is outside autocast's reach: it gets the dtype by hand.
        dtype = torch.bfloat16 if torch.is_autocast_enabled("cpu") else flat.dtype
        back = torch.empty_like(order).scatter_(0, order, torch.arange(order.numel()))
        rows = Permute.apply(flat.to(dtype), order, back, c.chosen)
        gate, up = grouped(rows, self.gate_up.to(dtype), ends).chunk(2, -1)
        out = grouped(F.silu(gate) * up, self.down.to(dtype), ends)
        out = Unpermute.apply(out, order, back).view(-1, c.chosen, c.width)
        routed = (weights.to(out.dtype).unsqueeze(1) @ out).squeeze(1)
        return routed.view_as(x) + self.shared(x)


class Layer(nn.Module):
    """One decoder block; the first `dense_layers` have a dense FFN."""

    def __init__(self, c, index):
        super().__init__()
        self.norm1 = Norm(c.width)
        self.attention = Attention(c)
        self.norm2 = Norm(c.width)
        self.ffn = Ffn(c.width, c.dense_ffn) if index < c.dense_layers else Mixture(c)

    def forward(self, x, cos, sin):
        x = x + self.attention(self.norm1(x), cos, sin)
        return x + self.ffn(self.norm2(x))


class DeepSeek(nn.Module):
    """ids [B, T] → logits [B, T, V]."""

    def __init__(self, c, length):
        super().__init__()
        self.embedding = nn.Embedding(c.vocabulary, c.width)
        self.layers = nn.ModuleList(Layer(c, i) for i in range(c.layers))
        self.norm = Norm(c.width)
        self.head = nn.Linear(c.width, c.vocabulary, bias=False)
        frequencies = c.theta ** (-torch.arange(0, c.rope, 2) / c.rope)
        angles = torch.outer(torch.arange(length), frequencies)[None, :, None, :]
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids):
        x = self.embedding(ids)
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.head(self.norm(x))
