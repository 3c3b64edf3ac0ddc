"""The odd configurations of every model family that the tests load: one entry per folder under models/.

Each entry names what is special about it. Sizes are the smallest that keep the feature: a folder stays under
300 kB. Options: seed; gain (matrix deviation × sqrt(fan-in), default 1.4); dtype (of the stored weights,
default f32); shard (size of a shard file); mtp (number of MTP modules); length (positions, default 13).
"""


def gpt2(**changes):
    """A GPT-2 of width 24; dropout off so that training mode equals evaluation mode."""
    base = dict(vocab_size=53, n_positions=24, n_embd=24, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0)
    base.update(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    return "gpt2", {**base, **changes}


def llama(**changes):
    """A Llama of width 24 with four query heads of size 6."""
    base = dict(vocab_size=47, hidden_size=24, intermediate_size=40, num_hidden_layers=2, rms_norm_eps=1e-5)
    base.update(num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=64)
    base.update(bos_token_id=0, eos_token_id=1)
    return "llama", {**base, **changes}


def deepseek(**changes):
    """What DeepSeek-V2 and V3 share: MLA with heads 6 + 4 (value 5), 8 routed experts of 12, 1 shared."""
    base = dict(vocab_size=43, hidden_size=20, intermediate_size=28, num_hidden_layers=2)
    base.update(num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=128)
    base.update(bos_token_id=0, eos_token_id=1)
    base.update(kv_lora_rank=8, q_lora_rank=12, qk_rope_head_dim=4, qk_nope_head_dim=6, v_head_dim=5)
    base.update(n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=1, moe_intermediate_size=12)
    base.update(first_k_dense_replace=1, n_group=1, topk_group=1)
    return {**base, **changes}


def v3(**changes):
    """DeepSeek-V3 without MTP modules unless asked for."""
    return "deepseek_v3", deepseek(**{"num_nextn_predict_layers": 0, "routed_scaling_factor": 2.5, **changes})


def v2(**changes):
    """DeepSeek-V2; `norm_topk_prob` stays false, as in the released models (the library ignores it)."""
    return "deepseek_v2", deepseek(**{"routed_scaling_factor": 1.0, **changes})


def yarn(**changes):
    """YaRN as in DeepSeek-V3's released configuration, at a tiny context."""
    base = rope("yarn", factor=4.0, original_max_position_embeddings=32, beta_fast=32, beta_slow=1)
    return {**base, "mscale": 1.0, "mscale_all_dim": 1.0, **changes}


def rope(kind, theta=10000.0, **fields):
    """Rotary parameters in the form transformers 5 stores them."""
    return dict(rope_type=kind, rope_theta=theta, **fields)


MODELS = {}


def entry(name, about, family, **options):
    """Register folder `name`; `about` says what is special about it."""
    model_type, fields = family
    MODELS[name] = (about, model_type, fields, options)


entry("gpt2-default", "gelu_new, tied head, FFN 4×width", gpt2(), seed=11)
entry(
    "gpt2-odd-width",
    "3 heads of 10, FFN 70, 3 layers",
    gpt2(n_embd=30, n_head=3, n_inner=70, n_layer=3),
    seed=12,
)
entry(
    "gpt2-exact-gelu",
    "exact GELU, vocabulary 101, eps 1e-3",
    gpt2(vocab_size=101, activation_function="gelu", layer_norm_epsilon=1e-3),
    seed=13,
)
entry(
    "gpt2-scaled-attention",
    "scores divided by the layer number, a full context of 24",
    gpt2(scale_attn_by_inverse_layer_idx=True, n_layer=3),
    seed=14,
    length=24,
)
entry("gpt2-untied", "an output head of its own", gpt2(tie_word_embeddings=False), seed=15)

entry("llama-gqa-untied", "4 query heads on 2 key heads, untied", llama(num_key_value_heads=2), seed=21)
entry("llama-mqa-tied", "one key head, tied", llama(num_key_value_heads=1, tie_word_embeddings=True), seed=22)
entry(
    "llama-theta",
    "rope_theta 777, 5 heads of 4, eps 1e-3",
    llama(
        hidden_size=20,
        num_attention_heads=5,
        num_key_value_heads=5,
        rms_norm_eps=1e-3,
        rope_parameters=rope("default", theta=777.0),
    ),
    seed=23,
)
entry("llama-head-dim", "head size 10 ≠ 24 / 4", llama(head_dim=10, num_key_value_heads=2), seed=24)
entry("llama-biases", "biases in attention and FFN", llama(attention_bias=True, mlp_bias=True), seed=25)
entry(
    "llama-rope-llama3",
    "frequency-dependent scaling of Llama 3.1",
    llama(
        head_dim=16,
        max_position_embeddings=256,
        rope_parameters=rope(
            "llama3",
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=32,
        ),
    ),
    seed=26,
    length=33,
)
entry(
    "llama-rope-linear",
    "positions divided by 2.5",
    llama(rope_parameters=rope("linear", factor=2.5)),
    seed=27,
)
entry(
    "llama-rope-dynamic",
    "dynamic NTK, 21 positions over a limit of 8",
    llama(max_position_embeddings=8, rope_parameters=rope("dynamic", factor=2.0)),
    seed=28,
    length=21,
)
entry(
    "llama-rope-yarn",
    "YaRN with its default attention factor",
    llama(
        head_dim=16,
        max_position_embeddings=128,
        rope_parameters=rope("yarn", factor=4.0, original_max_position_embeddings=32),
    ),
    seed=29,
    length=33,
)
entry(
    "llama-bf16",
    "weights stored in bf16; values computed in f32 from them",
    llama(num_key_value_heads=2),
    seed=30,
    dtype="bfloat16",
)

GROUPS = dict(n_group=4, topk_group=2)
entry("deepseek-v3-default", "q rank, 2 of 4 groups, first layer dense", v3(**GROUPS), seed=41)
entry("deepseek-v3-no-q-rank", "q_proj instead of the low-rank pair", v3(q_lora_rank=None), seed=42)
entry(
    "deepseek-v3-yarn",
    "YaRN, mscale = mscale_all_dim",
    v3(**GROUPS, rope_parameters=yarn()),
    seed=43,
    length=33,
)
entry(
    "deepseek-v3-yarn-mscale",
    "YaRN, mscale 0.707 ≠ mscale_all_dim 1.3, rotary width 8",
    v3(qk_rope_head_dim=8, rope_parameters=yarn(mscale=0.707, mscale_all_dim=1.3, factor=6.0)),
    seed=44,
    length=33,
)
entry("deepseek-v3-eps", "rms_norm_eps 1e-3 (the latent norms keep 1e-6)", v3(rms_norm_eps=1e-3), seed=45)
entry(
    "deepseek-v3-raw-weights",
    "norm_topk_prob false, scaling 1.7",
    v3(norm_topk_prob=False, routed_scaling_factor=1.7, n_group=2, topk_group=1),
    seed=46,
)
entry(
    "deepseek-v3-half-rope",
    "rope_interleave false",
    v3(rope_interleave=False, qk_rope_head_dim=6),
    seed=47,
)
entry(
    "deepseek-v3-all-moe",
    "no dense layer, two shared experts, 3 of 4 groups",
    v3(first_k_dense_replace=0, n_shared_experts=2, n_group=4, topk_group=3),
    seed=48,
)
entry("deepseek-v3-all-dense", "no expert layer", v3(first_k_dense_replace=2), seed=49)
entry("deepseek-v3-biases", "attention_bias: q_a, kv_a and o have biases", v3(attention_bias=True), seed=50)
entry("deepseek-v3-tied", "tied embeddings", v3(tie_word_embeddings=True), seed=51)
entry(
    "deepseek-v3-bf16-sharded",
    "bf16 in several shards; the router bias stays f32",
    v3(**GROUPS),
    seed=52,
    dtype="bfloat16",
    shard="20KB",
)
entry("deepseek-v3-mtp", "one MTP module", v3(**GROUPS, num_nextn_predict_layers=1), seed=53, mtp=1)
entry(
    "deepseek-v3-mtp-yarn",
    "one MTP module, no q rank, YaRN, one group",
    v3(q_lora_rank=None, rope_parameters=yarn(), num_nextn_predict_layers=1),
    seed=54,
    mtp=1,
    length=17,
)
entry(
    "deepseek-v3-mtp-two",
    "two MTP modules, tied embeddings",
    v3(tie_word_embeddings=True, n_group=2, topk_group=1, num_nextn_predict_layers=2),
    seed=55,
    mtp=2,
)

entry(
    "deepseek-v2-greedy",
    "softmax gate, greedy choice, no q rank, two shared experts (V2-Lite)",
    v2(topk_method="greedy", q_lora_rank=None, n_shared_experts=2),
    seed=61,
)
entry(
    "deepseek-v2-grouped",
    "softmax gate, 2 of 4 groups, scaling 4",
    v2(**GROUPS, topk_method="group_limited_greedy", routed_scaling_factor=4.0),
    seed=62,
)
entry(
    "deepseek-v2-biases",
    "attention and FFN biases, YaRN, no dense layer",
    v2(
        attention_bias=True,
        mlp_bias=True,
        first_k_dense_replace=0,
        rope_parameters=yarn(mscale=0.707, mscale_all_dim=0.707),
    ),
    seed=63,
)
