"""Where Hugging Face's decoders keep the parts of a block, by model_type: module names for sites.py."""

NORMED = dict(ln1="input_layernorm", ln2="post_attention_layernorm")
SPLIT = dict(attn="self_attn", q="self_attn.q_proj", k="self_attn.k_proj", v="self_attn.v_proj",
             wo="self_attn.o_proj")  # fmt: skip
GATED = dict(mlp="mlp", w_in="mlp.gate_proj", w_up="mlp.up_proj", w_out="mlp.down_proj")
BODY = dict(block="model.layers.{}", embed="model.embed_tokens", final="model.norm", head="lm_head")
QK_NORMS = dict(q_norm="self_attn.q_norm", k_norm="self_attn.k_norm")
QK_LAYERNORMS = dict(q_norm="self_attn.q_layernorm", k_norm="self_attn.k_layernorm")
FUSED_ATTENTION = dict(attn="self_attention", qkv="self_attention.query_key_value",
                       wo="self_attention.dense")  # fmt: skip
FOUR_H = dict(mlp="mlp", w_in="mlp.dense_h_to_4h", w_out="mlp.dense_4h_to_h")
AROUND = dict(ln1="input_layernorm", ln1_post="post_attention_layernorm",
              ln2="pre_feedforward_layernorm", ln2_post="post_feedforward_layernorm")  # fmt: skip

LLAMA = BODY | NORMED | SPLIT | GATED
GPT = dict(block="transformer.h.{}", embed="transformer.wte", final="transformer.ln_f", head="lm_head",
           ln1="ln_1", ln2="ln_2", attn="attn", mlp="mlp")  # fmt: skip

# Roles outside a block are full names, roles inside it follow the block's name.
NAMES = {
    "llama": LLAMA,
    "mistral": LLAMA,
    "qwen2": LLAMA,
    "qwen3": LLAMA | QK_NORMS,
    "gpt2": GPT | dict(pos="transformer.wpe", qkv="attn.c_attn", wo="attn.c_proj", w_in="mlp.c_fc",
                       w_out="mlp.c_proj"),
    "gptj": GPT | dict(q="attn.q_proj", k="attn.k_proj", v="attn.v_proj", wo="attn.out_proj",
                       w_in="mlp.fc_in", w_out="mlp.fc_out"),
    "gpt_neox": NORMED | FOUR_H | dict(
        block="gpt_neox.layers.{}", embed="gpt_neox.embed_in", final="gpt_neox.final_layer_norm",
        head="lm_head", attn="attention", qkv="attention.query_key_value", wo="attention.dense"),
    "bloom": NORMED | FOUR_H | FUSED_ATTENTION | dict(
        block="transformer.h.{}", embed="transformer.word_embeddings_layernorm",
        final="transformer.ln_f", head="lm_head"),
    "cohere": LLAMA,
    "falcon": NORMED | FOUR_H | FUSED_ATTENTION | dict(
        block="transformer.h.{}", embed="transformer.word_embeddings", final="transformer.ln_f",
        head="lm_head"),
    "mpt": dict(block="transformer.blocks.{}", embed="transformer.wte", final="transformer.norm_f",
                head="lm_head", ln1="norm_1", ln2="norm_2", attn="attn", qkv="attn.Wqkv",
                wo="attn.out_proj", mlp="ffn", w_in="ffn.up_proj", w_out="ffn.down_proj"),
    "opt": SPLIT | dict(
        block="model.decoder.layers.{}", embed="model.decoder.embed_tokens",
        pos="model.decoder.embed_positions", final="model.decoder.final_layer_norm", head="lm_head",
        ln1="self_attn_layer_norm", ln2="final_layer_norm", wo="self_attn.out_proj", w_in="fc1",
        w_out="fc2"),
    "phi": LLAMA | QK_LAYERNORMS | dict(wo="self_attn.dense", final="model.final_layernorm",
                                        w_in="mlp.fc1", w_out="mlp.fc2"),
    "phi3": LLAMA | dict(qkv="self_attn.qkv_proj", gate_up="mlp.gate_up_proj"),
    "gemma": LLAMA,
    "gemma2": LLAMA | AROUND,
    "gemma3_text": LLAMA | AROUND | QK_NORMS,
    "olmo": LLAMA,
    "olmo2": LLAMA | QK_NORMS | dict(ln1_post="post_attention_layernorm",
                                     ln2_post="post_feedforward_layernorm"),
    "stablelm": LLAMA | QK_LAYERNORMS,
    "mixtral": LLAMA | dict(router="mlp.gate"),
    "qwen2_moe": LLAMA | dict(router="mlp.gate"),
    "qwen3_moe": LLAMA | QK_NORMS | dict(router="mlp.gate"),
    "gpt_oss": LLAMA | dict(router="mlp.router"),
    "starcoder2": LLAMA | dict(w_in="mlp.c_fc", w_out="mlp.c_proj"),
}  # fmt: skip


def _drop_missing(names, model, block):
    """Roles that this model's configuration leaves out (q/k norms, a parallel block's second norm)."""
    existing = dict(model.named_modules())
    inside = lambda name: f"{block}.{name}" in existing
    outside = ("block", "embed", "pos", "final", "head")
    return {role: name for role, name in names.items()
            if (name in existing if role in outside and role != "block" else True)
            and (role in outside or inside(name))}  # fmt: skip


def role_names(model, i):
    """HF's full module names of block i (and outside the blocks), by role; absent roles are left out."""
    kind = model.config.model_type
    if kind not in NAMES:
        raise ValueError(f"no site table for model_type {kind!r}")
    names = dict(NAMES[kind])
    block = names["block"].format(i)
    if kind == "falcon" and model.config.num_ln_in_parallel_attn == 2:
        names |= dict(ln1="ln_attn", ln2="ln_mlp")
    if kind == "olmo2":
        names = {role: name for role, name in names.items() if role not in ("ln1", "ln2")}
    if kind == "opt" and hasattr(model.model.decoder, "project_in"):
        if model.model.decoder.project_in is not None:
            names |= dict(embed="model.decoder.project_in")
    names = _drop_missing(names, model, block)
    outside = ("embed", "pos", "final", "head")
    return {role: block if role == "block" else name if role in outside else f"{block}.{name}"
            for role, name in names.items()}  # fmt: skip


def is_parallel(model):
    """True if attention and MLP of a block read the same stream."""
    config = model.config
    return {
        "phi": lambda: True,
        "cohere": lambda: True,
        "gptj": lambda: True,
        "gpt_neox": lambda: config.use_parallel_residual,
        "stablelm": lambda: config.use_parallel_residual,
        "falcon": lambda: config.new_decoder_architecture or config.parallel_attn,
    }.get(config.model_type, lambda: False)()
