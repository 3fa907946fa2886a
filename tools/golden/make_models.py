"""Writes tests/golden/models/<name>/: tiny random HF models and the expected value of every site.

Run: python make_models.py [--out DIR] [NAME ...]
"""

import argparse
import json
import math
import pathlib
import shutil
import tempfile
import zlib

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import (BloomConfig, CohereConfig, FalconConfig, Gemma2Config, Gemma3TextConfig, GemmaConfig,
                          GPT2Config, GPTJConfig, GPTNeoXConfig, LlamaConfig, MistralConfig, MptConfig,
                          Olmo2Config, OlmoConfig, OPTConfig, Phi3Config, PhiConfig, Qwen2Config,
                          Qwen3Config, StableLmConfig, Starcoder2Config)  # fmt: skip

import sites

MODELS = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/models"
LENGTHS = (1, 7, 17)


def llama(**options):
    """A llama configuration with awkward sizes: 4 heads of 6 on a width of 20."""
    base = dict(vocab_size=67, hidden_size=20, intermediate_size=37, num_hidden_layers=2,
                num_attention_heads=4, num_key_value_heads=4, head_dim=6, rms_norm_eps=1e-5,
                max_position_embeddings=64, bos_token_id=1, eos_token_id=2)  # fmt: skip
    return LlamaConfig(**(base | options))


def roped(**rope):
    """llama with 2 key/value heads of 10 (5 frequencies, so that every band of a scaling is hit)."""
    position = rope.pop("max_position_embeddings", 256)
    return llama(num_attention_heads=2, num_key_value_heads=1, head_dim=10, rope_parameters=rope,
                 max_position_embeddings=position)  # fmt: skip


def mistral(**options):
    base = dict(vocab_size=71, hidden_size=20, intermediate_size=33, num_hidden_layers=2,
                num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                max_position_embeddings=64, bos_token_id=1, eos_token_id=2)  # fmt: skip
    return MistralConfig(**(base | options))


def qwen2(**options):
    base = dict(vocab_size=73, hidden_size=24, intermediate_size=41, num_hidden_layers=2,
                num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
                bos_token_id=1, eos_token_id=2)  # fmt: skip
    return Qwen2Config(**(base | options))


def gpt2(**options):
    base = dict(vocab_size=67, n_embd=21, n_layer=2, n_head=3, n_inner=53, n_positions=23,
                bos_token_id=0, eos_token_id=0)  # fmt: skip
    return GPT2Config(**(base | options))


SIZES = dict(vocab_size=61, hidden_size=20, num_hidden_layers=2, num_attention_heads=4,
             max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=None)  # fmt: skip
GATED = SIZES | dict(intermediate_size=27, num_key_value_heads=2)


def small(kind, *names, **options):
    """A configuration of class `kind` with SIZES (as far as `names` does not replace their names)."""
    renamed = dict(zip(("hidden_size", "num_hidden_layers", "num_attention_heads",
                        "max_position_embeddings"), names))  # fmt: skip
    base = {renamed.get(key, key): value for key, value in SIZES.items()}
    return kind(**(base | options))


def falcon(**options):
    return small(FalconConfig, ffn_hidden_size=43, **options)


def partial(share, theta=10000.0):
    return dict(rope_type="default", rope_theta=theta, partial_rotary_factor=share)


def gemma(kind, **options):
    return kind(**(GATED | dict(head_dim=6, num_hidden_layers=3) | options))


# Gemma 3's two sets of rotary frequencies.
LOCAL_AND_GLOBAL = dict(
    sliding_attention=dict(rope_type="default", rope_theta=100.0),
    full_attention=dict(rope_type="linear", factor=2.5, rope_theta=1000.0),
)
SHORT = [1.0, 1.1]
LONG = [1.5, 3.1]
LONGROPE = dict(rope_type="longrope", original_max_position_embeddings=16, rope_theta=100.0,
                short_factor=[1.0, 1.05, 1.1, 1.2, 1.3], long_factor=[1.0, 1.5, 2.2, 3.1, 4.0])  # fmt: skip

# name: (configuration, options). `spelling` is how config.json is written; the other spelling goes to
# config.alternate.json where it exists.
TABLE = {
    "llama-mha": (llama(), dict(spelling="type")),
    # As the first LLaMA conversions: a config without the later fields, rotary tables as buffers.
    "llama-1": (
        llama(hidden_size=24, num_attention_heads=3, num_key_value_heads=3, head_dim=None),
        dict(spelling="type", inv_freq_buffers=True, lengths=(17,),
             drop=("num_key_value_heads", "head_dim", "rope_theta", "rope_scaling", "attention_bias",
                   "mlp_bias", "attention_dropout", "pretraining_tp")),
    ),
    "llama-gqa-tied": (llama(num_key_value_heads=2, tie_word_embeddings=True), {}),
    "llama-bias": (llama(attention_bias=True, mlp_bias=True, rms_norm_eps=1e-2), {}),
    "llama-rope-linear": (roped(rope_type="linear", factor=2.5), dict(spelling="type", lengths=(17,))),
    "llama-rope-dynamic": (
        roped(rope_type="dynamic", factor=3.0, rope_theta=100.0, max_position_embeddings=16),
        dict(spelling="type", lengths=(16, 17)),
    ),
    "llama-rope-yarn": (
        roped(rope_type="yarn", factor=4.0, original_max_position_embeddings=64, rope_theta=100.0,
              beta_fast=2.0, beta_slow=0.5),
        dict(old="rope_type", lengths=(17,)),
    ),
    "llama-rope-llama3": (
        roped(rope_type="llama3", factor=8.0, original_max_position_embeddings=64, rope_theta=100.0,
              low_freq_factor=1.0, high_freq_factor=4.0),
        dict(spelling="rope_type", lengths=(17,)),
    ),
    "llama-rope-longrope": (roped(**LONGROPE), dict(lengths=(16, 17))),
    "llama-bf16": (llama(num_key_value_heads=2), dict(dtype=torch.bfloat16, lengths=(17,))),
    "llama-f16": (llama(num_key_value_heads=1), dict(dtype=torch.float16, spelling="type", lengths=(17,))),
    "llama-sharded": (llama(), dict(shards=3, lengths=(17,))),
    "mistral-window": (mistral(sliding_window=5), dict(spelling="type")),
    "mistral-no-window": (mistral(sliding_window=None), dict(lengths=(17,))),
    "qwen2-window": (
        qwen2(use_sliding_window=True, sliding_window=4, max_window_layers=1),
        dict(spelling="type"),
    ),
    # The window is in the file but switched off, as in Qwen2's own checkpoints.
    "qwen2-window-off": (
        qwen2(),
        dict(spelling="type", set=dict(sliding_window=4), lengths=(17,)),
    ),
    # As openai-community/gpt2 is stored: no "transformer." prefix, and the causal masks as buffers.
    "gpt2": (gpt2(activation_function="gelu_new"), dict(bare_names=True)),
    "gpt2-gelu": (gpt2(activation_function="gelu", layer_norm_epsilon=3e-3), {}),
    "gpt2-inverse-layer": (gpt2(n_layer=3, scale_attn_by_inverse_layer_idx=True), dict(lengths=(17,))),
    "gpt2-reorder": (gpt2(n_inner=None, reorder_and_upcast_attn=True), dict(lengths=(7, 17))),
    "gpt2-unscaled": (gpt2(scale_attn_weights=False), dict(lengths=(17,))),
    "qwen3": (
        Qwen3Config(**(GATED | dict(head_dim=6, use_sliding_window=True, sliding_window=4,
                                    max_window_layers=1))),
        dict(spelling="type", seed=1),
    ),
    "phi2": (
        small(PhiConfig, hidden_size=24, intermediate_size=43, num_key_value_heads=2,
              rope_parameters=partial(2 / 3)),
        dict(spelling="type"),
    ),
    "phi-qk-norm": (
        small(PhiConfig, hidden_size=24, intermediate_size=43, qk_layernorm=True,
              rope_parameters=partial(1 / 3)),
        dict(lengths=(7,)),
    ),
    # Heads of 10: LongRoPE's short factors at 16, the long ones at 17.
    "phi3-longrope": (
        Phi3Config(**(GATED | dict(
            num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64,
            original_max_position_embeddings=16,
            rope_parameters=dict(rope_type="longrope", rope_theta=100.0, short_factor=SHORT,
                                 long_factor=LONG, partial_rotary_factor=0.4)))),
        dict(lengths=(1, 16, 17), spelling="type"),
    ),
    "phi3-window": (Phi3Config(**(GATED | dict(hidden_size=24, sliding_window=5))), dict(lengths=(17,))),
    "cohere": (CohereConfig(**(GATED | dict(hidden_size=24, logit_scale=0.3))), {}),
    "falcon-7b": (falcon(hidden_size=24), dict(spelling="type", bare_names=True)),
    # Five heads: slopes between powers of two, whose products HF rounds to bf16.
    "falcon-alibi": (
        falcon(alibi=True, num_attention_heads=5, multi_query=False, parallel_attn=False, bias=True),
        {},
    ),
    "falcon-40b": (
        falcon(hidden_size=24, num_attention_heads=6, new_decoder_architecture=True, num_kv_heads=3),
        {},
    ),
    "falcon-11b": (
        falcon(hidden_size=24, new_decoder_architecture=True, num_kv_heads=2,
               num_ln_in_parallel_attn=1),
        dict(lengths=(7,)),
    ),
    "mpt": (
        small(MptConfig, "d_model", "n_layers", "n_heads", "max_seq_len", hidden_size=21,
              num_attention_heads=3, attn_config=dict(clip_qkv=0.9, alibi_bias_max=4)),
        dict(bare_names=True),
    ),
    "mpt-scaled": (
        small(MptConfig, "d_model", "n_layers", "n_heads", "max_seq_len",
              attn_config=dict(softmax_scale=0.7)),
        dict(lengths=(17,)),
    ),
    "opt": (small(OPTConfig, ffn_dim=43, hidden_size=21, num_attention_heads=3), dict(seed=1)),
    "opt-post-norm": (
        small(OPTConfig, ffn_dim=43, do_layer_norm_before=False, word_embed_proj_dim=12),
        dict(old_prefix=("model.decoder.", "decoder.")),
    ),
    "opt-plain": (
        small(OPTConfig, ffn_dim=43, enable_bias=False, layer_norm_elementwise_affine=False,
              tie_word_embeddings=False, activation_function="gelu"),
        dict(lengths=(7,)),
    ),
    "gpt-neox": (
        small(GPTNeoXConfig, hidden_size=24, intermediate_size=43,
              rope_parameters=partial(2 / 3, 1000.0)),
        dict(spelling="type", mask_buffers=True),
    ),
    "gpt-neox-sequential": (
        small(GPTNeoXConfig, hidden_size=24, intermediate_size=43, use_parallel_residual=False,
              attention_bias=False, rope_parameters=partial(1 / 3)),
        dict(bare_names=True, lengths=(17,)),
    ),
    "gpt-j": (
        small(GPTJConfig, "n_embd", "n_layer", "n_head", "n_positions", hidden_size=24, rotary_dim=4,
              n_inner=43),
        {},
    ),
    "bloom": (small(BloomConfig, "hidden_size", "n_layer", "n_head"), dict(bare_names=True)),
    "bloom-6-heads": (
        small(BloomConfig, "hidden_size", "n_layer", "n_head", hidden_size=24, num_attention_heads=6),
        dict(lengths=(17,)),
    ),
    "gemma": (gemma(GemmaConfig, num_hidden_layers=2, hidden_act="gelu"), dict(spelling="type")),
    "gemma2": (
        gemma(Gemma2Config, sliding_window=4, query_pre_attn_scalar=9, attn_logit_softcapping=3.0,
              final_logit_softcapping=5.0),
        dict(spelling="type"),
    ),
    "gemma3": (
        gemma(Gemma3TextConfig, sliding_window=4, query_pre_attn_scalar=9,
              layer_types=["sliding_attention", "sliding_attention", "full_attention"],
              rope_parameters=LOCAL_AND_GLOBAL),
        dict(spelling="rope_type", old_set=dict(sliding_window_pattern=3)),
    ),
    "olmo": (OlmoConfig(**(GATED | dict(hidden_size=24, clip_qkv=1.1))), dict(spelling="type")),
    "olmo2": (Olmo2Config(**(GATED | dict(hidden_size=24, rms_norm_eps=1e-3))), dict(spelling="type")),
    "stablelm": (
        StableLmConfig(**(GATED | dict(hidden_size=24, use_qkv_bias=True,
                                       rope_parameters=partial(1 / 3)))),
        dict(spelling="type"),
    ),
    "stablelm-parallel": (
        StableLmConfig(**(GATED | dict(hidden_size=24, qk_layernorm=True, use_parallel_residual=True,
                                       rope_parameters=partial(2 / 3)))),
        {},
    ),
    "starcoder2": (
        Starcoder2Config(**(GATED | dict(hidden_size=24, sliding_window=5))), dict(spelling="type"),
    ),
}  # fmt: skip


def randomise(model, generator):
    """Weights large enough that attention is far from uniform, norms far from 1, biases from 0."""
    normal = lambda p: torch.randn(p.shape, generator=generator)
    centre = 0.0 if model.config.model_type.startswith("gemma") else 1.0  # of the norms' weights
    for name, p in model.named_parameters():
        if "norm" in name or ".ln_" in name:
            p.data = (centre if name.endswith("weight") else 0.0) + 0.4 * normal(p)
        elif name.endswith("bias"):
            p.data = 0.3 * normal(p)
        elif "embed_out" not in name and any(x in name for x in ("embed", ".wte", ".wpe")):
            p.data = normal(p)
        elif name.endswith("sinks"):
            p.data = normal(p)
        else:
            stacked = model.config.model_type == "gpt_oss" and p.dim() == 3  # [experts, in, out]
            fan_in = p.shape[0] if model.config.model_type == "gpt2" else p.shape[1 if stacked else -1]
            p.data = 1.5 / math.sqrt(fan_in) * normal(p)
    model.tie_weights()


def old_spelling(config, key):
    """config.json as checkpoints before transformers 5 wrote it; `key`: "type" or "rope_type"."""
    config = dict(config)
    config["torch_dtype"] = config.pop("dtype")
    config.pop("layer_types", None)
    rope = config.pop("rope_parameters", None)
    if rope is None:
        return config
    if "full_attention" in rope:
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
    rope = dict(rope)
    base, share = ("rotary_emb_base", "rotary_pct") if config["model_type"] == "gpt_neox" else (
        "rope_theta", "partial_rotary_factor")  # fmt: skip
    config[base] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope:
        config[share] = rope.pop("partial_rotary_factor")
    kind = rope.pop("rope_type")
    config["rope_scaling"] = None if kind == "default" else {key: kind, **rope}
    return config


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_configs(folder, options):
    """Writes config.json in the wanted spelling and, where rotary is used, the other one beside it."""
    new = json.loads((folder / "config.json").read_text()) | options.get("set", {})
    old = old_spelling(new, options.get("old", options.get("spelling", "type")))
    old |= options.get("old_set", {})
    first, second = (old, new) if "spelling" in options else (new, old)
    first = {key: value for key, value in first.items() if key not in options.get("drop", ())}
    write_json(folder / "config.json", first)
    if "rope_parameters" in new:
        write_json(folder / "config.alternate.json", second)


def add_checkpoint_relics(folder, model, options):
    """Tensors and names that real, older checkpoints carry and that a reader has to accept."""
    path = folder / "model.safetensors"
    if options.get("inv_freq_buffers"):
        tensors = load_file(path)
        for i in range(model.config.num_hidden_layers):
            name = f"model.layers.{i}.self_attn.rotary_emb.inv_freq"
            tensors[name] = model.model.rotary_emb.inv_freq.clone()
        save_file(tensors, path, metadata={"format": "pt"})
    old, new = options.get("old_prefix", ("", ""))
    if options.get("bare_names"):
        old = model.base_model_prefix + "."
    if old:
        tensors = {new + k.removeprefix(old) if k.startswith(old) else k: v
                   for k, v in load_file(path).items()}  # fmt: skip
        save_file(tensors, path, metadata={"format": "pt"})
    masks = {"gpt2": "h.{}.attn.bias", "gpt_neox": "gpt_neox.layers.{}.attention.bias"}
    if options.get("mask_buffers") or (options.get("bare_names") and model.config.model_type == "gpt2"):
        tensors, n = load_file(path), model.config.max_position_embeddings
        for i in range(model.config.num_hidden_layers):
            name = masks[model.config.model_type].format(i)
            tensors[name] = torch.ones(n, n).tril().view(1, 1, n, n)
        save_file(tensors, path, metadata={"format": "pt"})


def save_model(folder, model, options):
    shutil.rmtree(folder, ignore_errors=True)
    model = model.to(options.get("dtype", torch.float32))
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    limit = "1GB" if "shards" not in options else int(size / options["shards"] * 1.15)
    model.save_pretrained(folder, max_shard_size=limit)
    shards = len(list(folder.glob("*.safetensors")))
    assert shards == options.get("shards", 1), f"{folder.name}: {shards} shards"
    add_checkpoint_relics(folder, model, options)
    write_configs(folder, options)


def load(folder):
    """The model as HF loads it, weights widened to fp32."""
    alibi = json.loads((folder / "config.json").read_text()).get("alibi", False)
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32,
        # Falcon's eager attention adds ALiBi twice (transformers 5.23).
        attn_implementation="sdpa" if alibi else "eager",
    ).eval()  # fmt: skip


def check_alternate_config(folder, sequences):
    """HF must give the same logits from config.alternate.json."""
    if not (folder / "config.alternate.json").exists():
        return
    with tempfile.TemporaryDirectory() as temporary:
        copy = pathlib.Path(temporary) / "model"
        shutil.copytree(folder, copy)
        shutil.move(copy / "config.alternate.json", copy / "config.json")
        for tokens in sequences:
            one, other = (load(f)(torch.tensor([tokens])).logits for f in (folder, copy))
            assert torch.equal(one, other), f"{folder.name}: the two config spellings disagree"


def well_conditioned_sites(folder, length, generator, bos):
    """Random tokens (the first one BOS if `bos`) and their sites, drawn again until HF's own fp32 rounding is far below the parity
    tolerance (a logit that happens to be almost zero would otherwise be judged by its rounding)."""
    for _ in range(100):
        model = load(folder)  # a fresh one: HF's dynamic rotary keeps state between calls
        tokens = torch.randint(0, model.config.vocab_size, (length,), generator=generator).tolist()
        if bos and model.config.bos_token_id is not None:
            tokens[0] = model.config.bos_token_id
        values = sites.capture(model, tokens)
        try:
            sites.check_conditioning(load(folder), tokens, values)
            return tokens, values
        except sites.InconsistentError as error:
            last = error
    raise last


def spread(tensors):
    """Share of attention rows (of at least 5 keys) whose largest probability is above 0.5."""
    rows = [v[:, 4:].amax(-1).flatten() for k, v in tensors.items() if k.endswith("hook_pattern")]
    return (torch.cat(rows) > 0.5).double().mean().item()


def make(name, out):
    config, options = TABLE[name]
    # Another seed where a value that is almost zero by chance would be judged by its rounding.
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()) + options.get("seed", 0))
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    randomise(model, generator)
    save_model(out / name, model, options)
    tensors, sequences = {}, []
    for n, length in enumerate(options.get("lengths", LENGTHS)):
        tokens, values = well_conditioned_sites(out / name, length, generator, bos=n == 1)
        sequences.append(tokens)
        tensors[f"seq{n}/tokens"] = torch.tensor(tokens)
        tensors |= {f"seq{n}/{site}": value.float() for site, value in values.items()}
    check_alternate_config(out / name, sequences)
    save_file(tensors, out / name / "sites.safetensors")
    size = sum(f.stat().st_size for f in (out / name).iterdir())
    print(f"{name:22} {size // 1024:5} KiB, peaked attention rows {spread(tensors):.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=MODELS)
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with torch.no_grad():
        for name in arguments.names or TABLE:
            make(name, arguments.out)


if __name__ == "__main__":
    main()
