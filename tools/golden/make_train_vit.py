"""Writes tests/golden/train/<dinov2|dinov2_with_registers>/: tiny random vision transformers as
massact-train reads them, and `golden.safetensors` with pixels and HF's logits.

Run: python make_train_vit.py [--out DIR]
"""

import argparse
import json
import pathlib
import shutil

import torch
import transformers
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/train"
SIZES = dict(hidden_size=20, num_hidden_layers=2, num_attention_heads=4, mlp_ratio=3, image_size=24,
             patch_size=8, num_labels=5)  # fmt: skip
CONFIGS = {
    "dinov2": transformers.Dinov2Config(**SIZES),
    "dinov2_with_registers": transformers.Dinov2WithRegistersConfig(**SIZES, num_register_tokens=3),
}


def write(folder, config):
    torch.manual_seed(5)
    config._attn_implementation = "eager"
    model = transformers.AutoModelForImageClassification.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Large enough that every part matters. Images are never masked here.
            parameter.normal_(1.0 if "norm" in name and "weight" in name else 0.0, 0.3)
            if "mask_token" in name:
                parameter.zero_()
        pixels = torch.randn(3, 3, config.image_size, config.image_size)
        logits = model(pixels).logits
        exact = model.double()(pixels.double()).logits
    assert (logits - exact).abs().max() < 1e-5 * exact.abs().max()
    shutil.rmtree(folder, ignore_errors=True)
    model.float().save_pretrained(folder)
    path = folder / "config.json"
    settings = json.loads(path.read_text()) | {"massact": {"attention": "default"}}
    path.write_text(json.dumps(settings, indent=2) + "\n")
    save_file({"pixels": pixels, "logits": logits}, folder / "golden.safetensors")
    print(folder.name, logits[0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    out = parser.parse_args().out
    for name, config in CONFIGS.items():
        write(out / name, config)
