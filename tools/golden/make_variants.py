"""Writes tests/golden/variants/<gpt2|llama>-<variant>/: tiny models of every attention variant.

Expected values come from variants.py (fp64), which is first checked: against HF for the default
attention, against HF's gpt-oss for the learned sink, and by identities between the variants.

Run: python make_variants.py [--out DIR]
"""

import argparse
import json
import pathlib
import shutil
import tempfile
import types
import zlib

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.models.gpt_oss.modeling_gpt_oss import eager_attention_forward as gpt_oss_attention

import make_models
import sites
import variants

OUT = make_models.MODELS.parent / "variants"
LENGTH = 6
BASES = {
    "gpt2": make_models.gpt2(vocab_size=31, n_embd=12, n_inner=19, n_positions=9, activation_function="gelu"),
    "llama": make_models.llama(
        vocab_size=31, hidden_size=12, intermediate_size=17, num_key_value_heads=2, head_dim=4
    ),
}  # fmt: skip
CLIP = {"gamma": -0.07, "eta": 1.04}


def write_model(folder, base, variant, generator):
    """An HF directory with the variant's extra tensors and config."""
    shutil.rmtree(folder, ignore_errors=True)
    model = transformers.AutoModelForCausalLM.from_config(BASES[base]).eval()
    make_models.randomise(model, generator)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    config["massact"] = {"attention": variant} | (CLIP if variant == "clipped-softmax" else {})
    make_models.write_json(folder / "config.json", config)

    size, tensors = variants.Sizes(config), load_file(folder / "model.safetensors")
    layer = "transformer.h.{}.attn." if base == "gpt2" else "model.layers.{}.self_attn."
    for i in range(size.layers):
        for name, letters in variants.PARAMETERS[variant].items():
            tensors[layer.format(i) + name] = torch.randn(size.shape(letters), generator=generator)
    if variant == "sink-token":
        prefix = "transformer" if base == "gpt2" else "model"
        tensors[f"{prefix}.sink_token"] = 2.0 * torch.randn(size.d, generator=generator)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def changed(folder, attention, tensors=None, **extra):
    """A temporary copy of a model with another variant (and edited tensors)."""
    copy = pathlib.Path(tempfile.mkdtemp()) / "model"
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text())
    config["massact"] = {"attention": attention} | extra
    make_models.write_json(copy / "config.json", config)
    stored = load_file(copy / "model.safetensors")
    for name in list(stored):
        if tensors and name.split(".")[-1] in tensors:
            stored[name] = tensors[name.split(".")[-1]](stored[name])
    save_file(stored, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


def same(name, one, other, sites_too=True):
    for site in one if sites_too else ["hook_logits"]:
        sites.expect_close(f"{name}: {site}", one[site], other[site], 1e-9)


def check_default(base, folder, tokens):
    """variants.py without a variant is what HF computes in fp64 (rotary angles are fp32 in HF)."""
    hf = make_models.load(changed(folder, "default"))
    expected = sites.capture(hf.double(), tokens)
    got = variants.sites(changed(folder, "default"), tokens)
    assert set(got) == set(expected), set(got) ^ set(expected)
    for site, value in expected.items():
        sites.expect_close(f"{base} default {site}", got[site], value.double(), 1e-5)


def check_identities(out, base, tokens):
    """Relations between variants that hold exactly, whatever the weights."""
    run = lambda folder: variants.sites(folder, tokens)
    zeros = torch.zeros_like
    eab, sink = out / f"{base}-eab", out / f"{base}-learned-sink"
    off = run(changed(eab, "softmax-off-by-one"))
    same("eab with k' = v' = 0", run(changed(eab, "eab", dict(eab_k=zeros, eab_v=zeros))), off)
    same("k-bias with k' = 0", run(changed(eab, "k-bias", dict(eab_k=zeros))), off)
    same("eab with v' = 0", run(changed(eab, "eab", dict(eab_v=zeros))), run(changed(eab, "k-bias")))
    zero_sink = run(changed(sink, "learned-sink", dict(sinks=zeros)))
    same("sink 0", zero_sink, run(changed(sink, "softmax-off-by-one")))
    plain = run(changed(sink, "default"))
    no_sink = run(changed(sink, "learned-sink", dict(sinks=lambda s: s - 1e9)))
    same("sink at -infinity", no_sink, plain, sites_too=False)
    clip = changed(out / f"{base}-clipped-softmax", "clipped-softmax", gamma=0.0, eta=1.0)
    same("clip of [0, 1]", run(clip), run(changed(clip, "default")))
    gate = changed(out / f"{base}-gated", "gated", dict(weight=lambda w: w))
    halved = {k: v for k, v in load_file(gate / "model.safetensors").items()}
    for name in halved:
        if name.endswith("gate.weight"):
            halved[name] = zeros(halved[name])
    save_file(halved, gate / "model.safetensors", metadata={"format": "pt"})
    first = "blocks.0.attn.hook_z"
    sites.expect_close("gate 0", run(gate)[first] * 2, run(changed(gate, "default"))[first], 1e-9)


def check_learned_sink(folder, tokens):
    """The learned sink's pattern and z are those of HF's gpt-oss attention."""
    values = variants.sites(folder, tokens)
    size = variants.Sizes(json.loads((folder / "config.json").read_text()))
    heads = lambda x: x.transpose(0, 1)[None]
    mask = torch.full((len(tokens), len(tokens)), -torch.inf, dtype=torch.float64).triu(1)[None, None]
    for i in range(size.layers):
        at = f"blocks.{i}.attn"
        module = types.SimpleNamespace(
            num_key_value_groups=size.heads // size.groups,
            training=False,
            sinks=load_file(folder / "model.safetensors")[f"model.layers.{i}.self_attn.sinks"].double(),
        )
        z, pattern = gpt_oss_attention(
            module, heads(values[f"{at}.hook_rot_q"]), heads(values[f"{at}.hook_rot_k"]),
            heads(values[f"{at}.hook_v"]), mask, scaling=size.c**-0.5)  # fmt: skip
        sites.expect_close(f"{at} gpt-oss pattern", values[f"{at}.hook_pattern"][..., 1:], pattern[0], 1e-9)
        sites.expect_close(f"{at} gpt-oss z", values[f"{at}.hook_z"], z[0], 1e-9)


def make(out, base, variant):
    folder = out / f"{base}-{variant}"
    generator = torch.Generator().manual_seed(zlib.crc32(folder.name.encode()))
    write_model(folder, base, variant, generator)
    tokens = torch.randint(0, BASES[base].vocab_size, (LENGTH,), generator=generator).tolist()
    values = variants.sites(folder, tokens)
    tensors = {f"seq0/{name}": v.float().contiguous().clone() for name, v in values.items()}
    save_file({"seq0/tokens": torch.tensor(tokens)} | tensors, folder / "sites.safetensors")
    return tokens


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    out = parser.parse_args().out
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for base in BASES:
        for variant in variants.PARAMETERS:
            if variant != "default":
                tokens = make(out, base, variant)
                check_default(base, out / f"{base}-{variant}", tokens)
        check_identities(out, base, tokens)
    check_learned_sink(out / "llama-learned-sink", tokens)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
