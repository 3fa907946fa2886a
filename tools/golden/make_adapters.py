"""Writes tests/golden/adapters/NAME: LoRA adapters in PEFT's format for golden models, and what every
site is with the adapter merged.

The merge is plain arithmetic, W + s B A, done here before HF runs the model; PEFT is not needed.
Run: python make_adapters.py
"""

import json
import math
import pathlib
import shutil

import torch
import transformers
from safetensors.torch import save_file

import make_models
import sites

ADAPTERS = make_models.MODELS.parent / "adapters"

# name: (base model, adapter_config, names of the changed modules' parents, modules saved whole)
TABLE = {
    "llama-lora": ("llama-gqa-tied", dict(r=3, lora_alpha=6), ("q_proj", "v_proj", "down_proj"), ()),
    "llama-rslora": (
        "llama-bias",
        dict(r=4, lora_alpha=8, use_rslora=True, rank_pattern=dict(o_proj=2), alpha_pattern=dict(o_proj=3)),
        ("k_proj", "o_proj", "gate_proj"), ("lm_head", "model.norm"),
    ),
    "gpt2-lora": ("gpt2", dict(r=2, lora_alpha=3, fan_in_fan_out=True), ("c_attn", "c_fc", "wte"), ()),
}  # fmt: skip


def scale_and_rank(config, leaf):
    rank = config.get("rank_pattern", {}).get(leaf, config["r"])
    alpha = config.get("alpha_pattern", {}).get(leaf, config["lora_alpha"])
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank), rank


def add_low_rank(name, module, config, generator, tensors):
    """Changes the module's weight and stores its A and B under PEFT's names."""
    scale, rank = scale_and_rank(config, name.split(".")[-1])
    weight = module.weight.data
    embedding = isinstance(module, torch.nn.Embedding)
    turned = embedding or config.get("fan_in_fan_out", False)
    inputs, outputs = weight.shape if turned else weight.shape[::-1]
    a = torch.randn(rank, inputs, generator=generator) / math.sqrt(inputs)
    b = torch.randn(outputs, rank, generator=generator)
    change = scale * (b @ a)
    weight += change.T if turned else change
    a_name, b_name = ("lora_embedding_A", "lora_embedding_B") if embedding else ("lora_A.weight", "lora_B.weight")
    tensors[f"base_model.model.{name}.{a_name}"] = a
    tensors[f"base_model.model.{name}.{b_name}"] = b


def make(name):
    base, config, changed, saved = TABLE[name]
    folder = ADAPTERS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(7)
    model, tensors = make_models.load(make_models.MODELS / base), {}
    for module_name, module in model.named_modules():
        if module_name.split(".")[-1] in changed:
            add_low_rank(module_name, module, config, generator, tensors)
        if module_name in saved:
            module.weight.data += 0.1 * torch.randn(module.weight.shape, generator=generator)
            tensors[f"base_model.model.{module_name}.weight"] = module.weight.data.clone()
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = dict(peft_type="LORA", base_model_name_or_path=base, target_modules=changed, bias="none",
                  use_dora=False, modules_to_save=saved or None) | config  # fmt: skip
    make_models.write_json(folder / "adapter_config.json", config)
    tokens = torch.randint(0, model.config.vocab_size, (7,), generator=generator).tolist()
    values = sites.capture(model, tokens)
    keep = lambda site: "resid_post" in site or "attn_out" in site or "embed" in site or site == "hook_logits"
    out = {"seq0/tokens": torch.tensor(tokens)}
    out |= {f"seq0/{site}": value for site, value in values.items() if keep(site)}
    save_file(out, folder / "sites.safetensors")


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    with torch.no_grad():
        for name in TABLE:
            make(name)
