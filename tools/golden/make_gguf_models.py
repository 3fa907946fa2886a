"""Writes tests/golden/gguf/models/*.gguf: golden HF models as llama.cpp's conversion would store them.

NAME.gguf        in F32, of the golden model NAME: its sites.safetensors holds for the GGUF as well
                 (q and k of the llama architecture have their dimensions in another order)
planted-q8.gguf  `planted` with its tokenizer, matrices in Q8_0 where their rows allow it, else F16

Developer's tool: needs numpy, safetensors, gguf (0.19.0 wrote what is committed). Run from the
repository's root.
"""

import json
import math
import pathlib
import re

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from safetensors.numpy import load_file

GOLDEN = pathlib.Path("tests/golden")
OUT = GOLDEN / "gguf/models"

LLAMA_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
    "input_layernorm.weight": "attn_norm.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "self_attn.q_proj.bias": "attn_q.bias",
    "self_attn.k_proj.bias": "attn_k.bias",
    "self_attn.v_proj.bias": "attn_v.bias",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
}
GPT2_NAMES = {
    "wte.weight": "token_embd.weight",
    "wpe.weight": "position_embd.weight",
    "ln_f.weight": "output_norm.weight",
    "ln_f.bias": "output_norm.bias",
    "ln_1.weight": "attn_norm.weight",
    "ln_1.bias": "attn_norm.bias",
    "attn.c_attn.weight": "attn_qkv.weight",
    "attn.c_attn.bias": "attn_qkv.bias",
    "attn.c_proj.weight": "attn_output.weight",
    "attn.c_proj.bias": "attn_output.bias",
    "ln_2.weight": "ffn_norm.weight",
    "ln_2.bias": "ffn_norm.bias",
    "mlp.c_fc.weight": "ffn_up.weight",
    "mlp.c_fc.bias": "ffn_up.bias",
    "mlp.c_proj.weight": "ffn_down.weight",
    "mlp.c_proj.bias": "ffn_down.bias",
}


def gguf_name(name, names):
    if name in names:
        return names[name]
    parts = name.removeprefix("model.").removeprefix("transformer.").split(".", 2)
    return f"blk.{parts[1]}.{names[parts[2]]}" if len(parts) == 3 and parts[2] in names else None


def reorder_for_neighbouring_pairs(weight, heads):
    """Rows of a head from (half, pair) to (pair, half): rotary then turns neighbours."""
    size = weight.shape[0] // heads // 2
    return weight.reshape(heads, 2, size, -1).swapaxes(1, 2).reshape(weight.shape)


def llama3_factors(rope, dims):
    """What Llama 3's scaling divides the frequencies by (docs of rope_config.h)."""
    inverse = 1.0 / rope["rope_theta"] ** (np.arange(0, dims, 2, dtype=np.float64) / dims)
    original, low, high = (rope[k] for k in
                           ("original_max_position_embeddings", "low_freq_factor", "high_freq_factor"))  # fmt: skip
    factors = []
    for frequency in inverse:
        wavelength = 2 * math.pi / frequency
        smooth = (original / wavelength - low) / (high - low)
        if wavelength < original / high:
            factors.append(1.0)
        elif wavelength > original / low:
            factors.append(rope["factor"])
        else:
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, dtype=np.float32)


def add_llama_metadata(writer, config, rope):
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(rope["rope_theta"])
    if "head_dim" in config:
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
        writer.add_rope_dimension_count(config["head_dim"])


def add_gpt2_metadata(writer, config):
    writer.add_block_count(config["n_layer"])
    writer.add_context_length(config["n_positions"])
    writer.add_embedding_length(config["n_embd"])
    writer.add_feed_forward_length(config["n_inner"])
    writer.add_head_count(config["n_head"])
    writer.add_layer_norm_eps(config["layer_norm_epsilon"])


def add_tokenizer(writer, folder):
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if t in ("<s>", "</s>") else
                            gguf.TokenType.NORMAL for t in tokens])  # fmt: skip
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokens.index("<s>"))
    writer.add_eos_token_id(tokens.index("</s>"))
    writer.add_add_bos_token(True)


def add_tensor(writer, name, value, quantised):
    if quantised and value.ndim == 2:
        kind = Type.Q8_0 if value.shape[1] % 32 == 0 else Type.F16
        writer.add_tensor(name, gguf.quants.quantize(value, kind), raw_dtype=kind)
    else:
        writer.add_tensor(name, np.ascontiguousarray(value, dtype=np.float32))


def convert(name, out, quantised=False):
    folder = GOLDEN / "models" / name
    config = json.loads((folder / "config.json").read_text())
    architecture = config["model_type"]
    writer = gguf.GGUFWriter(OUT / out, architecture)
    writer.add_name(name)
    names = GPT2_NAMES if architecture == "gpt2" else LLAMA_NAMES
    if architecture == "gpt2":
        add_gpt2_metadata(writer, config)
    else:
        rope = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
        rope.setdefault("rope_theta", config.get("rope_theta"))
        add_llama_metadata(writer, config, rope)
        if rope.get("rope_type") == "llama3":
            writer.add_tensor("rope_freqs.weight", llama3_factors(rope, config["head_dim"]))
    if (folder / "tokenizer.json").exists():
        add_tokenizer(writer, folder)
    for source, value in load_file(folder / "model.safetensors").items():
        target = gguf_name(source, names)
        if target is None:
            continue  # mask buffers
        if architecture == "gpt2" and value.ndim == 2 and target.startswith("blk."):
            value = value.T
        if architecture == "llama" and target.endswith(("attn_q.weight", "attn_k.weight")):
            heads = config["num_attention_heads" if "attn_q" in target else "num_key_value_heads"]
            value = reorder_for_neighbouring_pairs(value, heads)
        add_tensor(writer, target, value, quantised)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# ---- the other architectures: names from gguf's own map, tensors changed as llama.cpp's conversion does

ARCHITECTURES = {"falcon": "falcon", "mpt": "mpt", "phi": "phi2", "phi3": "phi3", "gpt_neox": "gptneox",
                 "bloom": "bloom", "gemma": "gemma", "gemma2": "gemma2", "gemma3_text": "gemma3",
                 "qwen3": "qwen3", "olmo": "olmo", "olmo2": "olmo2", "stablelm": "stablelm",
                 "starcoder2": "starcoder2", "mixtral": "llama", "qwen2_moe": "qwen2moe",
                 "qwen3_moe": "qwen3moe", "gpt_oss": "gpt-oss"}  # fmt: skip
MORE = ["falcon-7b", "falcon-40b", "falcon-11b", "mpt", "phi2", "phi3-longrope", "phi3-window", "gpt-neox",
        "gpt-neox-sequential", "bloom", "bloom-6-heads", "gemma", "gemma2", "gemma3", "qwen3", "olmo",
        "olmo2", "stablelm", "stablelm-parallel", "starcoder2", "mixtral", "qwen2-moe", "qwen3-moe",
        "gpt-oss"]  # fmt: skip


def first_of(config, *names):
    return next((config[name] for name in names if config.get(name) is not None), None)


def add_metadata(writer, config):
    kind = config["model_type"]
    width = first_of(config, "hidden_size", "d_model")
    heads = first_of(config, "num_attention_heads", "n_head", "n_heads")
    rope = {**config, **(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    writer.add_block_count(first_of(config, "num_hidden_layers", "n_layer", "n_layers"))
    writer.add_context_length(first_of(config, "max_position_embeddings", "max_seq_len"))
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(first_of(config, "intermediate_size", "ffn_hidden_size") or 4 * width)
    writer.add_head_count(heads)
    kv_heads = first_of(config, "num_key_value_heads", "num_kv_heads")
    if kind == "falcon" and not config["new_decoder_architecture"]:
        kv_heads = 1
    writer.add_head_count_kv(kv_heads or heads)
    if "head_dim" in config:
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
    if config.get("rms_norm_eps") is not None:
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    else:
        writer.add_layer_norm_eps(
            first_of(config, "layer_norm_epsilon", "layer_norm_eps", "norm_epsilon") or 1e-5)
    share = first_of(rope, "partial_rotary_factor", "rotary_pct")
    if share is not None:
        writer.add_rope_dimension_count(round(share * (config.get("head_dim") or width // heads)))
    base = first_of(rope, "rope_theta", "rotary_emb_base")
    if base is not None:
        writer.add_rope_freq_base(base)
    if kind == "mpt":
        writer.add_max_alibi_bias(8)  # what HF computes, whatever the config says
        writer.add_clamp_kqv(config["attn_config"]["clip_qkv"])
    if kind == "olmo":
        writer.add_clamp_kqv(config["clip_qkv"])
    if kind in ("gpt_neox", "stablelm"):
        writer.add_parallel_residual(config["use_parallel_residual"])
    if kind in ("phi3", "gemma2", "gemma3_text") and config.get("sliding_window"):
        writer.add_sliding_window(config["sliding_window"])
    if kind in ("gemma2", "gemma3_text"):
        writer.add_float32(f"{ARCHITECTURES[kind]}.attention.scale", config["query_pre_attn_scalar"] ** -0.5)
    if kind == "gemma2":
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    if kind == "gemma3_text":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(config["rope_scaling"]["factor"])
        writer.add_float32("gemma3.rope.freq_base_swa", config["rope_local_base_freq"])
        writer.add_uint32("gemma3.attention.sliding_window_pattern", config["sliding_window_pattern"])
    if "num_experts_per_tok" in config:
        writer.add_expert_count(first_of(config, "num_experts", "num_local_experts"))
        writer.add_expert_used_count(config["num_experts_per_tok"])
        if kind != "mixtral":
            writer.add_expert_feed_forward_length(first_of(config, "moe_intermediate_size", "intermediate_size"))
    if kind == "qwen2_moe":
        writer.add_expert_shared_feed_forward_length(config["shared_expert_intermediate_size"])
    if kind == "gpt_oss":
        writer.add_sliding_window(config["sliding_window"])
        if rope.get("rope_type") == "yarn":
            writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
            writer.add_rope_scaling_factor(rope["factor"])
            writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
            writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
            writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
    if rope.get("type") == "longrope":
        original = config["original_max_position_embeddings"]
        growth = config["max_position_embeddings"] / original
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(growth) / math.log(original)))
        for length in ("long", "short"):
            writer.add_tensor(f"rope_factors_{length}.weight", np.array(rope[f"{length}_factor"], np.float32))


def stacked(value, groups, shared, size):
    """Outputs from [queries, key, value] per group to all queries, all keys, all values."""
    parts = value.reshape(groups, shared + 2, size, -1)
    q, k, v = parts[:, :shared], parts[:, shared:shared + 1], parts[:, shared + 1:]
    return np.concatenate([p.reshape(-1, parts.shape[-1]) for p in (q, k, v)]).reshape(value.shape)


def changed(value, target, config):
    kind = config["model_type"]
    heads = first_of(config, "num_attention_heads", "n_head", "n_heads")
    size = first_of(config, "hidden_size", "d_model") // heads
    if kind.startswith("gemma") and target.endswith("norm.weight"):
        return value + 1
    if "attn_qkv" in target and kind in ("gpt_neox", "bloom", "falcon"):
        groups = heads
        if kind == "falcon":
            groups = config["num_kv_heads"] if config["new_decoder_architecture"] else 1
        return stacked(value, groups, heads // groups, size)
    if "ffn_gate_inp_shexp" in target:
        return value.squeeze()
    if kind in ("olmo", "mixtral") and target.endswith(("attn_q.weight", "attn_k.weight")):
        return reorder_for_neighbouring_pairs(
            value, heads if "attn_q" in target else config["num_key_value_heads"])
    return value


def convert_more(name):
    folder = GOLDEN / "models" / name
    config = json.loads((folder / "config.json").read_text())
    architecture = ARCHITECTURES[config["model_type"]]
    kinds = {text: kind for kind, text in gguf.MODEL_ARCH_NAMES.items()}
    layers = first_of(config, "num_hidden_layers", "n_layer", "n_layers")
    names = gguf.get_tensor_name_map(kinds[architecture], layers)
    writer = gguf.GGUFWriter(OUT / f"{name}.gguf", architecture)
    writer.add_name(name)
    add_metadata(writer, config)
    head_norms, experts = {}, {}
    for source, value in sorted(load_file(folder / "model.safetensors").items()):
        if "layernorm.norms." in source:  # StableLM's norm of one head: a row
            head_norms.setdefault(source.rsplit(".norms.", 1)[0] + ".weight", []).append(value)
            continue
        parts = re.match(r"(.*\.experts)\.(\d+)\.(.*)$", source)
        if parts:  # experts are stacked
            experts.setdefault((parts[1] + "." + parts[3]), {})[int(parts[2])] = value
            continue
        if ".experts.gate_up_proj" in source:  # gpt-oss: gates and inputs in turns, [inputs, outputs]
            kind = "bias" if source.endswith("bias") else "weight"
            layer = source.split("layers.")[1].split(".")[0]
            for name_of_half, half in (("gate", value[..., ::2]), ("up", value[..., 1::2])):
                half = half if kind == "bias" else half.swapaxes(1, 2)
                add_tensor(writer, f"blk.{layer}.ffn_{name_of_half}_exps.{kind}", half, False)
            continue
        if ".experts.down_proj" in source:
            kind = "bias" if source.endswith("bias") else "weight"
            layer = source.split("layers.")[1].split(".")[0]
            half = value if kind == "bias" else value.swapaxes(1, 2)
            add_tensor(writer, f"blk.{layer}.ffn_down_exps.{kind}", half, False)
            continue
        if source.endswith((".attention.bias", "masked_bias", "inv_freq")):
            continue
        # The map knows each family's names with one prefix, or none; files have either.
        bare = source.removeprefix("transformer.").removeprefix("gpt_neox.").removeprefix("model.")
        found = (names.get_name(prefix + bare, try_suffixes=(".weight", ".bias"))
                 for prefix in ("", "transformer.", "gpt_neox.", "model."))
        target = next((name for name in found if name), None)
        if target is None:
            raise SystemExit(f"{name}: no GGUF name for {source}")
        if target.endswith("attn_sinks"):
            target += ".weight"  # as the conversion does
        add_tensor(writer, target, changed(value, target, config), False)
    for source, rows in experts.items():
        layer = source.split("layers.")[1].split(".")[0]
        which = source.split(".")[-2]
        target = {"w1": "gate", "w2": "down", "w3": "up"}.get(which) or which.removesuffix("_proj")
        stack = np.stack([rows[expert] for expert in range(len(rows))])
        add_tensor(writer, f"blk.{layer}.ffn_{target}_exps.weight", stack, False)
    for source, rows in head_norms.items():
        add_tensor(writer, names.get_name(source, try_suffixes=(".weight",)), np.stack(rows), False)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for name in ("llama-gqa-tied", "llama-rope-llama3", "qwen2-window-off", "gpt2"):
        convert(name, f"{name}.gguf")
    convert("planted", "planted-q8.gguf", quantised=True)
    for name in MORE:
        convert_more(name)


if __name__ == "__main__":
    main()
