"""Writes tests/golden/heads/: a tiny random DINOv2 with registers, linear classifiers in files of their own as
Meta publishes them, pictures, and the classifiers' logits, also with an edited model.

Run: python make_heads.py [--out DIR]
"""

import argparse
import json
import pathlib
import shutil

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel, DINOv3ViTModel

from make_vision import VISION, randomise
from make_zeroshot import SIDE, make_pixels

HEADS = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/heads"
CLASSES = 7
WIDTH = 16
REGISTERS = 2
EDITED_LAYER, CLEARED = 3, [0, 2, 5]  # layers count from 1; positions


def features(model, pixels):
    """What the official wrapper concatenates: class tokens of the last layers, mean of the last patches."""
    states = model(pixels, output_hidden_states=True).hidden_states[-4:]
    normed = [model.layernorm(state) for state in states]
    patches = normed[-1][:, 1 + REGISTERS :].mean(1)
    return {"linear": torch.cat([normed[-1][:, 0], patches], 1),
            "linear4": torch.cat([state[:, 0] for state in normed] + [patches], 1)}  # fmt: skip


def edit(model):
    def clear(_module, _arguments, output):
        hidden = output[0] if isinstance(output, tuple) else output
        hidden[:, CLEARED] = 0
        return output

    return model.encoder.layer[EDITED_LAYER - 1].register_forward_hook(clear)


def dinov3(folder, generator):
    """A head for the golden DINOv3, on its own golden images."""
    source = VISION / "dinov3"
    model = DINOv3ViTModel.from_pretrained(source, dtype=torch.float32, attn_implementation="eager").eval()
    values = load_file(source / "sites.safetensors")
    head = torch.nn.Linear(2 * model.config.hidden_size, CLASSES)
    head.weight.data = torch.randn(head.weight.shape, generator=generator)
    head.bias.data = torch.randn(CLASSES, generator=generator)
    torch.save(head.state_dict(), folder / "dinov3_linear_head.pth")
    states = model(values["img0/pixels"][None]).last_hidden_state
    first = 1 + model.config.num_register_tokens
    return {"dinov3/logits": head(torch.cat([states[:, 0], states[:, first:].mean(1)], 1))}


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=HEADS)
    folder = parser.parse_args().out
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    generator = torch.Generator().manual_seed(7)
    config = Dinov2WithRegistersConfig(hidden_size=WIDTH, num_hidden_layers=5, num_attention_heads=2, mlp_ratio=2,
                                       image_size=SIDE, patch_size=5, num_register_tokens=REGISTERS)  # fmt: skip
    config._attn_implementation = "eager"
    model = Dinov2WithRegistersModel(config).eval()
    randomise(model, generator)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(dict(
        image_processor_type="BitImageProcessor", size=dict(height=SIDE, width=SIDE), do_center_crop=False,
        image_mean=[0.5] * 3, image_std=[0.2] * 3)) + "\n")  # fmt: skip

    pictures = make_pixels(generator)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(folder / f"images/{number:02}.png", optimize=True)
    pixels = (pictures / 255 - 0.5) / 0.2
    original = features(model, pixels)
    hook = edit(model)
    edited = features(model, pixels)
    hook.remove()
    tensors = {}
    for name, values in original.items():
        head = torch.nn.Linear(values.shape[1], CLASSES)
        head.weight.data = torch.randn(head.weight.shape, generator=generator) / values.shape[1] ** 0.5
        head.bias.data = torch.randn(CLASSES, generator=generator)
        torch.save(head.state_dict(), folder / f"{name}_head.pth")
        if name == "linear":
            save_file(head.state_dict(), folder / "linear_head.safetensors")
        tensors[f"{name}/logits"] = head(values)
        tensors[f"{name}/edited_logits"] = head(edited[name])
    tensors |= dinov3(folder, generator)
    save_file(tensors, folder / "expected.safetensors")
    # Right for every other image under the first head.
    order = tensors["linear/logits"].argsort(dim=1, descending=True)
    lines = [f"images/{i:02}.png,{order[i, (0, 2, 0, 6)[i % 4]]}" for i in range(len(pictures))]
    (folder / "images.csv").write_text("path,label\n" + "\n".join(lines) + "\n")
    print(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) // 1024, "KiB")


if __name__ == "__main__":
    main()
