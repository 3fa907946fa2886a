"""Writes tests/golden/models/llama-{fp8,gptq,gptq-act,awq,nf4,nf4-nested}: a tiny llama whose
projections are quantised in each format, packed here in plain numpy after the formats' definitions.

The expected sites are HF's, of the weights that the packed values stand for: dequantised here with
the formulas written out (weight = scale * (q - zero), …), independently of how massact reads them.
Run: python make_quantised.py [NAME ...]
"""

import json
import sys

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

import make_models

MODELS = make_models.MODELS
rng = np.random.default_rng(5)
NF4 = np.array([-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
                -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
                0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
                0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0], np.float32)  # fmt: skip
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


def pack_words(values, order=range(8)):
    """uint32 words along the last axis: field i of a word is value order[i] of its eight."""
    words = values.reshape(*values.shape[:-1], -1, 8).astype(np.uint32)
    packed = np.zeros(words.shape[:-1], np.uint32)
    for field, place in enumerate(order):
        packed |= words[..., place] << np.uint32(4 * field)
    return torch.from_numpy(packed.view(np.int32))


def to_groups(weight, group_of):
    """[inputs, outputs] in groups of inputs: q, zeros [groups, outputs], scales as float16."""
    groups = group_of.max() + 1
    low = np.stack([weight[group_of == g].min(0) for g in range(groups)])
    high = np.stack([weight[group_of == g].max(0) for g in range(groups)])
    scales = ((high - low) / 15).astype(np.float16)
    zeros = np.clip(np.round(-low / scales.astype(np.float32)), 1, 15).astype(np.int64)
    q = np.round(weight / scales.astype(np.float32)[group_of]) + zeros[group_of]
    return np.clip(q, 0, 15).astype(np.int64), zeros, scales


def int4(weight, group_of):
    q, zeros, scales = to_groups(weight.T, group_of)
    value = scales.astype(np.float32)[group_of] * (q - zeros[group_of]).astype(np.float32)
    return q, zeros, scales, value.T


def gptq(stem, weight, act_order=False):
    inputs = weight.shape[1]
    group_of = np.arange(inputs) // 8
    if act_order:
        group_of = rng.permutation(group_of)
    q, zeros, scales, value = int4(weight, group_of)
    packed = pack_words(q.T).t().contiguous()  # along the inputs
    return {f"{stem}.qweight": packed, f"{stem}.qzeros": pack_words(zeros - 1),
            f"{stem}.scales": torch.from_numpy(scales),
            f"{stem}.g_idx": torch.from_numpy(group_of.astype(np.int32))}, value  # fmt: skip


def awq(stem, weight):
    q, zeros, scales, value = int4(weight, np.arange(weight.shape[1]) // 8)
    return {f"{stem}.qweight": pack_words(q, AWQ_ORDER), f"{stem}.qzeros": pack_words(zeros, AWQ_ORDER),
            f"{stem}.scales": torch.from_numpy(scales)}, value  # fmt: skip


def nf4(stem, weight, nested=False, block=16):
    flat = weight.reshape(-1)
    padded = np.concatenate([flat, np.zeros(-flat.size % block, np.float32)]).reshape(-1, block)
    absmax = np.abs(padded).max(1).astype(np.float32)
    state = dict(quant_type="nf4", blocksize=block, dtype="float32", shape=list(weight.shape))
    tensors = {f"{stem}.weight.quant_map": torch.tensor(NF4)}
    if nested:
        offset, groups = float(absmax.mean()), 4
        code = np.linspace(-1, 1, 256, dtype=np.float32)
        rest = np.concatenate([absmax - offset, np.zeros(-absmax.size % groups)]).reshape(-1, groups)
        scale = np.abs(rest).max(1).astype(np.float32) + 1e-6
        codes = np.abs(rest[..., None] / scale[:, None, None] - code).argmin(-1)
        absmax = (code[codes] * scale[:, None] + np.float32(offset)).reshape(-1)[: absmax.size]
        tensors |= {f"{stem}.weight.absmax": torch.from_numpy(codes.reshape(-1)[: absmax.size].astype(np.uint8)),
                    f"{stem}.weight.nested_absmax": torch.from_numpy(scale),
                    f"{stem}.weight.nested_quant_map": torch.tensor(code)}  # fmt: skip
        state |= dict(nested_blocksize=groups, nested_dtype="float32", nested_offset=offset)
    else:
        tensors[f"{stem}.weight.absmax"] = torch.from_numpy(absmax)
    codes = np.abs(padded[..., None] / absmax[:, None, None] - NF4).argmin(-1)
    value = (NF4[codes] * absmax[:, None]).reshape(-1)[: flat.size].reshape(weight.shape)
    codes = codes.reshape(-1)[: flat.size + flat.size % 2].astype(np.uint8)
    tensors[f"{stem}.weight"] = torch.from_numpy((codes[0::2] << 4 | codes[1::2])[:, None].copy())
    text = json.dumps(state).encode()
    tensors[f"{stem}.weight.quant_state.bitsandbytes__nf4"] = torch.tensor(list(text), dtype=torch.uint8)
    return tensors, value


def fp8(stem, weight, tile=(8, 16)):
    rows, columns = (-(-size // t) for size, t in zip(weight.shape, tile))
    scale = np.zeros((rows, columns), np.float32)
    spread = lambda s: np.repeat(np.repeat(s, tile[0], 0), tile[1], 1)[: weight.shape[0], : weight.shape[1]]
    for r in range(rows):
        for c in range(columns):
            part = weight[r * tile[0] : (r + 1) * tile[0], c * tile[1] : (c + 1) * tile[1]]
            scale[r, c] = np.abs(part).max() / 448
    q = torch.from_numpy(weight / spread(scale)).to(torch.float8_e4m3fn)
    value = q.float().numpy() * spread(scale)
    return {f"{stem}.weight": q, f"{stem}.weight_scale_inv": torch.from_numpy(scale)}, value


FORMATS = {
    "llama-fp8": (fp8, dict(quant_method="fp8", fmt="e4m3", activation_scheme="dynamic",
                            weight_block_size=[8, 16])),
    "llama-gptq": (gptq, dict(quant_method="gptq", bits=4, group_size=8, desc_act=False, sym=False)),
    "llama-gptq-act": (lambda s, w: gptq(s, w, True),
                       dict(quant_method="gptq", bits=4, group_size=8, desc_act=True, sym=False,
                            checkpoint_format="gptq")),
    "llama-awq": (awq, dict(quant_method="awq", bits=4, group_size=8, version="gemm", zero_point=True)),
    "llama-nf4": (nf4, dict(quant_method="bitsandbytes", load_in_4bit=True, bnb_4bit_quant_type="nf4")),
    "llama-nf4-nested": (lambda s, w: nf4(s, w, True),
                         dict(quant_method="bitsandbytes", load_in_4bit=True,
                              bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)),
}  # fmt: skip


def quantise(name):
    """Replaces the projections of the model HF just wrote, first by the values, then by the codes."""
    pack, config = FORMATS[name]
    folder = MODELS / name
    plain, packed = {}, {}
    for key, tensor in load_file(folder / "model.safetensors").items():
        if "_proj.weight" not in key:
            plain[key] = packed[key] = tensor
            continue
        codes, value = pack(key.removesuffix(".weight"), tensor.numpy())
        plain[key] = torch.from_numpy(np.ascontiguousarray(value, np.float32))
        packed |= codes
    save_file(plain, folder / "model.safetensors", metadata={"format": "pt"})
    return packed, config


def make(name):
    """As make_models.make, with the quantised values as the weights that HF runs."""
    save = make_models.save_model
    state = {}

    def save_quantised(folder, model, options):
        save(folder, model, options)
        state["packed"], state["config"] = quantise(name)

    # Quantised inputs come in whole words: sizes are multiples of 8.
    model = make_models.llama(hidden_size=24, intermediate_size=40, head_dim=8, num_key_value_heads=2)
    make_models.TABLE[name] = (model, dict(lengths=(7,)))
    make_models.save_model = save_quantised
    make_models.make(name, MODELS)
    make_models.save_model = save
    folder = MODELS / name
    save_file({k: v.contiguous() for k, v in state["packed"].items()}, folder / "model.safetensors",
              metadata={"format": "pt"})
    (folder / "config.alternate.json").unlink(missing_ok=True)
    config = json.loads((folder / "config.json").read_text())
    make_models.write_json(folder / "config.json", config | dict(quantization_config=state["config"]))


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with torch.no_grad():
        for name in sys.argv[1:] or FORMATS:
            make(name)
