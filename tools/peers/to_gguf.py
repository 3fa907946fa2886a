"""A random Llama directory (massact bench --file) as GGUF files without a tokenizer.

python to_gguf.py MODEL OUT.gguf bf16|q8_0
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors import safe_open

BLOCK_NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
OTHER_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def gguf_name(name):
    stem = name.removesuffix(".weight")
    if stem in OTHER_NAMES:
        return OTHER_NAMES[stem] + ".weight"
    _, _, layer, rest = stem.split(".", 3)
    return f"blk.{layer}.{BLOCK_NAMES[rest]}.weight"


def permuted(weight, heads):
    """Rows of q and k in the order of llama.cpp's rotary pairs."""
    rows = weight.shape[0]
    pairs = weight.reshape(heads, 2, rows // heads // 2, weight.shape[1])
    return pairs.transpose(1, 2).reshape(weight.shape)


def main():
    source, out, kind = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    config = json.loads((source / "config.json").read_text())
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    types = {"bf16": gguf.GGMLQuantizationType.BF16, "q8_0": gguf.GGMLQuantizationType.Q8_0}
    with safe_open(source / "model.safetensors", "pt") as tensors:
        for name in tensors.keys():
            weight = tensors.get_tensor(name).float()
            if name.endswith("q_proj.weight"):
                weight = permuted(weight, config["num_attention_heads"])
            if name.endswith("k_proj.weight"):
                weight = permuted(weight, config["num_key_value_heads"])
            values = weight.contiguous().numpy()
            if values.ndim == 1:
                writer.add_tensor(gguf_name(name), values)
            else:
                packed = gguf.quants.quantize(np.ascontiguousarray(values), types[kind])
                writer.add_tensor(gguf_name(name), packed, raw_dtype=types[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()
