"""Writes tests/golden/gguf: what the `gguf` package makes of random blocks of every type.

blocks.safetensors   per type: NAME.blocks (uint8 [n, block bytes]), NAME.values (float32 [n, block])
types.gguf           a file of gguf's own writer with all kinds of metadata and several tensor types
split-0000N-of-00002.gguf   the same tensors in two parts
tensors.safetensors  the values of types.gguf's tensors

Developer's tool: needs numpy, safetensors, gguf (0.19.0 wrote what is committed). Run from the
repository's root.
"""

import pathlib

import gguf
import numpy as np
from safetensors.numpy import save_file

OUT = pathlib.Path("tests/golden/gguf")
TYPES = [
    "F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
    "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4",
]
# Where the halves (scales, minima) of a block are. Random bits there may be NaN, whose payload
# numpy does not promise to keep; all other bits are random.
HALVES = {
    "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q2_K": [80, 82],
    "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0],
}


def finite_halves(rng, shape):
    """Halves of all magnitudes, subnormals included."""
    bits = rng.integers(0, 1 << 16, size=shape, dtype=np.uint16)
    return np.where((bits >> 10) & 31 == 31, bits & ~np.uint16(1 << 14), bits)


def random_blocks(rng, name, count):
    kind = gguf.GGMLQuantizationType[name]
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    if name in ("F32", "F16", "BF16"):
        values = rng.standard_normal((count, 32)).astype(np.float32)
        values[0, :4] = [0.0, -0.0, 1e-40 if name != "F16" else 1e-7, np.inf]
        return gguf.quants.quantize(values, kind).view(np.uint8).reshape(count, -1)
    blocks = rng.integers(0, 256, size=(count, size), dtype=np.uint8)
    for at in HALVES.get(name, []):
        blocks[:, at : at + 2] = finite_halves(rng, (count, 1)).view(np.uint8)
    if name == "MXFP4":
        blocks[:5, 0] = [0, 1, 2, 127, 255]
    return blocks


def dequantize(name, blocks):
    kind = gguf.GGMLQuantizationType[name]
    return gguf.quants.dequantize(blocks, kind).astype(np.float32)


def write_blocks(rng):
    tensors = {}
    for name in TYPES:
        elements = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]][0]
        blocks = random_blocks(rng, name, 4 if elements == 256 else 8)
        tensors[f"{name}.blocks"] = blocks
        tensors[f"{name}.values"] = dequantize(name, blocks)
    save_file(tensors, OUT / "blocks.safetensors")


def add_tensors(writer, tensors):
    for tensor, (name, blocks) in tensors.items():
        kind = gguf.GGMLQuantizationType[name]
        if name in ("F32", "F16"):
            writer.add_tensor(tensor, blocks.view(np.float32 if name == "F32" else np.float16))
        else:
            writer.add_tensor(tensor, blocks, raw_dtype=kind)


def write_files(rng):
    # Rows of 512 elements, so that a row has several blocks and the shapes have an order.
    tensors = {}
    for tensor, name, rows in [("norm.weight", "F32", 1), ("blk.0.attn_q.weight", "Q4_K", 3),
                               ("blk.0.ffn_up.weight", "Q8_0", 2), ("output.weight", "BF16", 2)]:
        elements = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]][0]
        per_row = 512 // (elements if elements > 1 else 32)
        blocks = random_blocks(rng, name, rows * per_row).reshape(rows, -1)
        tensors[tensor] = (name, blocks[0] if rows == 1 else blocks)
    save_file({t: dequantize(n, b) for t, (n, b) in tensors.items()}, OUT / "tensors.safetensors")

    writer = gguf.GGUFWriter(OUT / "types.gguf", "llama")
    writer.add_uint8("test.u8", 200)
    writer.add_int8("test.i8", -100)
    writer.add_uint16("test.u16", 60000)
    writer.add_int16("test.i16", -30000)
    writer.add_uint32("test.u32", 4000000000)
    writer.add_int32("test.i32", -2000000000)
    writer.add_uint64("test.u64", 1 << 63)
    writer.add_int64("test.i64", -(1 << 62))
    writer.add_float32("test.f32", 1.5)
    writer.add_float64("test.f64", 1e-300)
    writer.add_bool("test.bool", True)
    writer.add_string("test.string", "wörter")
    writer.add_array("test.tokens", ["<s>", "", "ab"])
    writer.add_array("test.scores", [0.5, -1.5])
    writer.add_array("test.types", [1, 2, 3])
    add_tensors(writer, tensors)
    finish(writer)

    names = list(tensors)
    for part, chosen in enumerate([names[:2], names[2:]]):
        writer = gguf.GGUFWriter(OUT / f"split-{part + 1:05}-of-00002.gguf", "llama")
        writer.add_uint16("split.no", part)
        writer.add_uint16("split.count", 2)
        writer.add_int32("split.tensors.count", len(tensors))
        add_tensors(writer, {name: tensors[name] for name in chosen})
        finish(writer)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(20240227)
    write_blocks(generator)
    write_files(generator)
