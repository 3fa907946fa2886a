"""Writes tests/golden/models/ for families with experts: mixtral, qwen2-moe, qwen3-moe, gpt-oss.

Sizes are awkward (heads x head size differs from the width, an odd number of experts), except for
gpt-oss-mxfp4, whose rows are whole blocks of 32. Run: python make_moe.py [NAME ...]
"""

import json
import sys

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import GptOssConfig, MixtralConfig, Qwen2MoeConfig, Qwen3MoeConfig

import make_models

BASE = dict(vocab_size=61, hidden_size=20, intermediate_size=13, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, head_dim=6, max_position_embeddings=64,
            num_experts_per_tok=2, bos_token_id=1, eos_token_id=2)  # fmt: skip
QWEN = BASE | dict(num_experts=5, moe_intermediate_size=9)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16, rope_theta=100.0,
            beta_fast=2.0, beta_slow=0.5, truncate=False)  # fmt: skip
OSS = BASE | dict(num_local_experts=5, sliding_window=4, rope_parameters=YARN)
E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])

make_models.TABLE |= {
    "mixtral": (MixtralConfig(**BASE, num_local_experts=5), {}),
    "mixtral-window": (
        MixtralConfig(**BASE | dict(num_experts_per_tok=1), num_local_experts=3, sliding_window=5),
        dict(spelling="type", lengths=(17,)),
    ),
    "qwen2-moe": (
        Qwen2MoeConfig(**QWEN, shared_expert_intermediate_size=11, norm_topk_prob=False), dict(lengths=(1, 17))
    ),
    "qwen2-moe-step": (
        Qwen2MoeConfig(**QWEN | dict(num_hidden_layers=3), shared_expert_intermediate_size=7,
                       norm_topk_prob=True, decoder_sparse_step=2),
        dict(spelling="rope_type", lengths=(7,)),
    ),
    "qwen3-moe": (Qwen3MoeConfig(**QWEN, norm_topk_prob=True), dict(lengths=(1, 17))),
    "qwen3-moe-mlp-only": (
        Qwen3MoeConfig(**QWEN | dict(num_hidden_layers=3), mlp_only_layers=[1]), dict(lengths=(7,))
    ),
    "gpt-oss": (GptOssConfig(**OSS), dict(lengths=(1, 17))),
    "gpt-oss-mxfp4": (
        GptOssConfig(**OSS | dict(hidden_size=32, intermediate_size=32, num_local_experts=3)),
        dict(lengths=(7,)),
    ),
}  # fmt: skip


def to_mxfp4(weight):
    """[experts, in, out] as blocks and scales of [experts, out, in], and the values these stand for."""
    groups = weight.transpose(1, 2).unflatten(-1, (-1, 32))
    exponent = (groups.abs().amax(-1) / 6).log2().ceil()
    scaled = groups / exponent.exp2()[..., None]
    codes = (scaled.abs()[..., None] - E2M1).abs().argmin(-1)
    value = (E2M1[codes] * scaled.sign() * exponent.exp2()[..., None]).flatten(-2).transpose(1, 2)
    codes = codes + 8 * (scaled < 0)
    blocks = (codes[..., 0::2] | codes[..., 1::2] << 4).to(torch.uint8)
    return blocks, (exponent + 127).to(torch.uint8), value.contiguous()


def save_mxfp4(save, packed):
    """Saves the model with its experts rounded to MXFP4; `packed` gets the tensors of the real file."""

    def saved(folder, model, options):
        save(folder, model, options)
        plain = load_file(folder / "model.safetensors")
        for name, tensor in plain.items():
            if not name.endswith(("gate_up_proj", "down_proj")):
                packed[name] = tensor
                continue
            packed[name + "_blocks"], packed[name + "_scales"], plain[name] = to_mxfp4(tensor)
        save_file(plain, folder / "model.safetensors", metadata={"format": "pt"})

    return saved


def load(folder):
    """As make_models.load; HF's fused experts want aligned sizes."""
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
    ).eval()


def make(name):
    save, packed = make_models.save_model, {}
    if name.endswith("mxfp4"):
        make_models.save_model = save_mxfp4(save, packed)
    make_models.make(name, make_models.MODELS)
    make_models.save_model = save
    if packed:
        folder = make_models.MODELS / name
        save_file(packed, folder / "model.safetensors", metadata={"format": "pt"})
        for config in folder.glob("config*.json"):
            content = json.loads(config.read_text())
            content["quantization_config"] = dict(quant_method="mxfp4")
            make_models.write_json(config, content)


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    names = sys.argv[1:] or [n for n in make_models.TABLE if n.startswith(("mixtral", "qwen2-moe", "qwen3-moe", "gpt-oss"))]
    make_models.load = load
    with torch.no_grad():
        for each in names:
            make(each)
