"""Writes tests/golden/vision/<name>/: tiny random HF vision transformers, images (random pixels) and the
expected value of every site.

Run: python make_vision.py [--out DIR] [NAME ...]
"""

import argparse
import math
import os
import pathlib
import shutil
import zlib

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
import transformers
from safetensors.torch import save_file
from transformers import Dinov2Config, Dinov2WithRegistersConfig

import sites
import vision_sites

VISION = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/vision"

SIZES = dict(hidden_size=20, num_hidden_layers=2, num_attention_heads=4, image_size=17, patch_size=5,
             num_labels=7)  # fmt: skip
SIZED = SIZES | dict(intermediate_size=37)

# name: (class, configuration, image sizes). Sizes leave pixels over; grids of another size than the
# positions were learned for have those interpolated.
TABLE = {
    "dinov2": ("Dinov2ForImageClassification", Dinov2Config(**(SIZES | dict(mlp_ratio=3))),
               [(17, 17), (26, 16)]),
    "dinov2-swiglu": ("Dinov2Model", Dinov2Config(**SIZES, use_swiglu_ffn=True, qkv_bias=False),
                      [(17, 17)]),
    "dinov2-registers": (
        "Dinov2WithRegistersForImageClassification",
        Dinov2WithRegistersConfig(**(SIZES | dict(image_size=22)), num_register_tokens=3),
        [(22, 22), (22, 22), (17, 30)]),
}  # fmt: skip


def randomise(model, generator):
    """Weights large enough that attention is far from uniform, norms far from 1, biases from 0."""
    normal = lambda p: torch.randn(p.shape, generator=generator)
    for name, p in model.named_parameters():
        if name.endswith("bias"):
            p.data = 0.3 * normal(p)
        elif "lambda1" in name or "norm" in name or "ln_" in name:
            p.data = 1.0 + 0.4 * normal(p)
        elif "projection.weight" in name or "patch_embedding" in name:
            p.data = 1.5 / math.sqrt(p[0].numel()) * normal(p)
        elif "embeddings" in name:
            p.data = normal(p)
        else:
            p.data = 1.5 / math.sqrt(p.shape[-1]) * normal(p)


def load(kind, folder):
    model = getattr(transformers, kind).from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    return model.eval()


def well_conditioned_sites(model, size, generator):
    """A random image and its sites; drawn again where HF's own rounding would decide."""
    for _ in range(100):
        pixels = torch.randn((model.config.num_channels, *size), generator=generator)
        values = vision_sites.capture(model, pixels)
        try:
            vision_sites.check_conditioning(model, pixels, values)
            return pixels, values
        except sites.InconsistentError as error:
            last = error
    raise last


def make(name, out):
    kind, config, image_sizes = TABLE[name]
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    config._attn_implementation = "eager"
    model = getattr(transformers, kind)(config).eval()
    randomise(model, generator)
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    tensors, model = {}, load(kind, folder)
    for n, size in enumerate(image_sizes):
        pixels, values = well_conditioned_sites(model, size, generator)
        tensors[f"img{n}/pixels"] = pixels
        tensors |= {f"img{n}/{site}": value.float() for site, value in values.items()}
    save_file(tensors, folder / "sites.safetensors")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name:22} {size // 1024:5} KiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=VISION)
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    for name in arguments.names or TABLE:
        make(name, arguments.out)


if __name__ == "__main__":
    main()
