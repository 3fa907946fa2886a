"""Writes tests/golden/torch/openai-clip.pt: a tiny random CLIP as OpenAI publishes its models, a TorchScript
archive with half-precision weights under OpenAI's names, and what HF's CLIP computes with them
(openai-clip.safetensors).

Run: python make_openai_clip.py
"""

import pathlib
import warnings

import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel

import make_vision

TORCH = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/torch"
TEXTS = [[48, 5, 7, 49], [48, 49]]  # the end of a text is the largest id


class Module(torch.nn.Module):
    """Attributes by name, and a program that uses one of them."""

    def forward(self, x):
        return x + 1


def put(root, name, tensor, buffer=False):
    *path, last = name.split(".")
    for part in path:
        if not hasattr(root, part):
            root.add_module(part, Module())
        root = getattr(root, part)
    if buffer:
        root.register_buffer(last, tensor)
    else:
        root.register_parameter(last, torch.nn.Parameter(tensor, requires_grad=False))


def make_model(generator):
    """HF's CLIP in OpenAI's proportions: heads are 64 wide."""
    image = dict(hidden_size=128, num_attention_heads=2, num_hidden_layers=1, intermediate_size=64,
                 image_size=15, patch_size=5)  # fmt: skip
    text = dict(hidden_size=64, num_attention_heads=1, num_hidden_layers=2, intermediate_size=32,
                vocab_size=50, max_position_embeddings=9, eos_token_id=2)  # fmt: skip
    config = CLIPConfig(vision_config=image, text_config=text, projection_dim=9)
    config._attn_implementation = "eager"
    model = CLIPModel(config).eval()
    make_vision.randomise(model, generator)
    return model.half().float()


def openai_names(model, folder):
    """The weights under OpenAI's names, which OpenCLIP took over."""
    model.save_pretrained(folder)
    make_vision.rename_as_open_clip(folder)
    return load_file(folder / "open_clip_model.safetensors")


def save_archive(tensors, path):
    root = Module()
    for name, tensor in tensors.items():
        half = name.split(".")[-2:][0].startswith("ln_") or name == "logit_scale"  # those stay in fp32
        put(root, name, tensor if half else tensor.half())
    for name, value in dict(input_resolution=15, context_length=9, vocab_size=50).items():
        put(root, name, torch.tensor(value), buffer=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(root, torch.ones(1)), path)


@torch.no_grad()
def main():
    generator = torch.Generator().manual_seed(12)
    model = make_model(generator)
    scratch = TORCH / "scratch"
    save_archive(openai_names(model, scratch), TORCH / "openai-clip.pt")
    for file in scratch.iterdir():
        file.unlink()
    scratch.rmdir()
    pixels = torch.randn((3, 15, 15), generator=generator)
    vision = model.vision_model(pixels[None], output_hidden_states=True)
    values = {"img0/pixels": pixels, "img0/blocks.0.hook_resid_post": vision.hidden_states[1][0],
              "img0/hook_logits": model.visual_projection(vision.pooler_output)}  # fmt: skip
    similarity = []
    for n, tokens in enumerate(TEXTS):
        ids = torch.tensor(tokens)
        values[f"seq{n}/tokens"] = ids
        text = model.text_model(ids[None])
        values[f"seq{n}/hook_logits"] = model.text_projection(text.pooler_output)
        similarity.append(model(input_ids=ids[None], pixel_values=pixels[None]).logits_per_image[0, 0])
    values["similarity"] = torch.stack(similarity)
    save_file({name: value.contiguous() for name, value in values.items()},
              TORCH / "openai-clip.safetensors")  # fmt: skip


if __name__ == "__main__":
    main()
