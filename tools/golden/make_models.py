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
from transformers import GPT2Config, LlamaConfig, MistralConfig, Qwen2Config

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
}  # fmt: skip


def randomise(model, generator):
    """Weights large enough that attention is far from uniform, norms far from 1, biases from 0."""
    normal = lambda p: torch.randn(p.shape, generator=generator)
    for name, p in model.named_parameters():
        if "norm" in name or ".ln_" in name:
            p.data = (1.0 if name.endswith("weight") else 0.0) + 0.4 * normal(p)
        elif name.endswith("bias"):
            p.data = 0.3 * normal(p)
        elif "embed" in name or ".wte" in name or ".wpe" in name:
            p.data = normal(p)
        else:
            fan_in = p.shape[0] if model.config.model_type == "gpt2" else p.shape[1]
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
    rope = dict(rope)
    config["rope_theta"] = rope.pop("rope_theta")
    kind = rope.pop("rope_type")
    config["rope_scaling"] = None if kind == "default" else {key: kind, **rope}
    return config


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_configs(folder, options):
    """Writes config.json in the wanted spelling and, where rotary is used, the other one beside it."""
    new = json.loads((folder / "config.json").read_text()) | options.get("set", {})
    old = old_spelling(new, options.get("old", options.get("spelling", "type")))
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
    if options.get("bare_names"):
        tensors = {k.removeprefix("transformer."): v for k, v in load_file(path).items()}
        n = model.config.n_positions
        for i in range(model.config.n_layer):
            tensors[f"h.{i}.attn.bias"] = torch.ones(n, n).tril().view(1, 1, n, n)
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
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()


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


def well_conditioned_sites(folder, length, generator):
    """Random tokens and their sites, drawn again until HF's own fp32 rounding is far below the parity
    tolerance (a logit that happens to be almost zero would otherwise be judged by its rounding)."""
    for _ in range(100):
        model = load(folder)  # a fresh one: HF's dynamic rotary keeps state between calls
        tokens = torch.randint(0, model.config.vocab_size, (length,), generator=generator).tolist()
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
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    randomise(model, generator)
    save_model(out / name, model, options)
    tensors, sequences = {}, []
    for n, length in enumerate(options.get("lengths", LENGTHS)):
        tokens, values = well_conditioned_sites(out / name, length, generator)
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
