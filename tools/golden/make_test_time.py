"""Writes tests/golden/test-time/<name>.safetensors: vision models of tests/golden/vision with an untrained
token and the activations of a few neurons moved to it (test-time registers, arXiv 2506.08010), every site.

The judge is Hugging Face's model with three hooks: one appends a row of zeros to the embeddings (before
CLIP's first norm), one rewrites the input of an MLP's output projection, one takes the row away again before
the final norm. DINOv3 turns whatever stands behind its registers: there the row is put before the patches,
and what was captured is put in massact's order.

Run: python make_test_time.py [--out DIR] [NAME ...]
"""

import argparse
import contextlib
import copy
import functools
import json
import pathlib
import zlib

import torch
from safetensors.torch import save_file

import make_vision
import sites
import vision_sites

OUT = make_vision.VISION.parent / "test-time"

# name: moves as (block, neurons). In "dinov2" two tokens are added.
TABLE = {
    "vit": [(0, [3, 11]), (1, [0])],
    "clip-vision": [(0, [5]), (1, [36, 2, 7])],
    "dinov2": [(1, [8, 9])],
    "dinov2-swiglu": [(0, [1, 4])],
    "siglip-vision": [(0, [6, 30])],
    "dinov3": [(0, [2, 12]), (1, [5])],
}
ADDED = {"dinov2": 2}


def prefix_rows(model):
    """Rows before the patches: class token and registers."""
    part, _ = vision_sites.tower(model)
    e = part.embeddings
    classes = sum(hasattr(e, name) for name in ("cls_token", "class_embedding"))
    return classes + getattr(part.config, "num_register_tokens", 0)


def replace_input(module, change):
    """A hook that changes what `module` is called with."""

    def hook(_, args, kwargs):
        if args:
            return (change(args[0]), *args[1:]), kwargs
        name = next(iter(kwargs))
        return args, kwargs | {name: change(kwargs[name])}

    return module.register_forward_pre_hook(hook, with_kwargs=True)


class Added:
    """Where the added rows of a model's images are, [at, at + count), and its patches, [first, last)."""

    def __init__(self, model, count, pixels):
        part, _ = vision_sites.tower(model)
        before, patches = prefix_rows(model), vision_sites.patch_count(model, pixels)
        among = part.config.model_type == "dinov3_vit"
        self.count = count
        self.at = before if among else before + patches
        self.first = before + count if among else before
        self.last = self.first + patches

    def insert(self, x):
        return torch.cat([x[:, : self.at], x.new_zeros(1, self.count, x.shape[-1]), x[:, self.at :]], 1)

    def drop(self, x):
        if x.dim() < 3:  # CLIP's last norm reads the class token alone
            return x
        return torch.cat([x[:, : self.at], x[:, self.at + self.count :]], 1)

    def move(self, x, neurons, gated):
        """x [1, T, f]: each neuron's strongest activation over the patches goes to the added rows."""
        x = x.clone()
        for n in neurons:
            column = x[0, self.first : self.last, n]
            strongest = column[column.abs().argmax()] if gated else column.max()
            x[0, self.at : self.at + self.count, n] = strongest
            x[0, self.first : self.last, n] = 0.0
        return x

    def to_end(self, x, dim):
        order = [i for i in range(x.shape[dim]) if not self.at <= i < self.at + self.count]
        return x.index_select(dim, torch.tensor([*order, *range(self.at, self.at + self.count)]))

    def as_massact(self, site, x):
        """The added rows behind all others."""
        if site.endswith(("attn_scores", "pattern")):
            return self.to_end(self.to_end(x, 1), 2)
        return self.to_end(x, 0)


@contextlib.contextmanager
def test_time_registers(model, moves, added):
    part, _ = vision_sites.tower(model)
    names = [vision_sites.role_names(model, i) for i in range(vision_sites.block_count(part))]
    modules = dict(model.named_modules())
    first = getattr(part, "pre_layrnorm", modules[names[0]["block"]])
    handles = [replace_input(first, added.insert), replace_input(modules[names[0]["final"]], added.drop)]
    for block, neurons in moves:
        move = functools.partial(added.move, neurons=neurons, gated="w_up" in names[block])
        handles.append(replace_input(modules[names[block]["w_out"]], move))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def capture(model, pixels, moves, count):
    """Every site from the first block on, for one image [channels, height, width]."""
    modules, pixels = {}, pixels[None]
    added = Added(model, count, pixels)
    with test_time_registers(model, moves, added), sites.recorded_modules(model, modules):
        output = model(pixel_values=pixels)
    part, _ = vision_sites.tower(model)
    result = {}
    for i in range(vision_sites.block_count(part)):
        result |= vision_sites.block_sites(model, modules, i)
        last = result[f"blocks.{i}.hook_resid_post"]
    result = {site: added.as_massact(site, value) for site, value in result.items()}
    final = model.get_submodule(vision_sites.role_names(model, 0)["final"])
    result["ln_final.hook_out"] = final(added.drop(last[None]))[0]
    if vision_sites.answer(model, output) is not None:
        result["hook_logits"] = vision_sites.answer(model, output)
    return {site: value.detach().clone().contiguous() for site, value in result.items()}


def well_conditioned(model, moves, count, generator):
    """A random image and its sites, drawn again where HF's own rounding would decide."""
    exact = copy.deepcopy(model).double()
    for _ in range(100):
        pixels = torch.randn((3, 17, 17), generator=generator)
        values = capture(model, pixels, moves, count)
        wanted = capture(exact, pixels.double(), moves, count)
        try:
            for name, value in values.items():
                sites.expect_close(name, value, wanted[name].double(), 2e-5)
            return pixels, values
        except sites.InconsistentError as error:
            last = error
    raise last


def make(name, out):
    model = make_vision.load(make_vision.TABLE[name][0], make_vision.VISION / name)
    moves, count = TABLE[name], ADDED.get(name, 1)
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()) + 1)
    tensors = {}
    for n in range(2):
        pixels, values = well_conditioned(model, moves, count, generator)
        tensors[f"img{n}/pixels"] = pixels
        tensors |= {f"img{n}/{site}": value.float() for site, value in values.items() if kept(n, site)}
    edits = [dict(site=f"blocks.{block}.mlp.hook_post", positions="patch", dimensions=neurons, action="move")
             for block, neurons in moves]  # fmt: skip
    variant = dict(name="test-time registers", added_tokens=count, edits=edits)
    plan = {"schema": "massact.edit-plan", "schema_version": 1, "variants": [variant]}
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / f"{name}.safetensors")
    (out / f"{name}.json").write_text(json.dumps(plan, indent=2) + "\n")
    print(f"{name:22} {(out / f'{name}.safetensors').stat().st_size // 1024:5} KiB")


def kept(n, site):
    """Of the second image, what tells the images apart is enough."""
    return n == 0 or site.endswith(("hook_resid_post", "hook_post", "hook_out", "hook_logits"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    for name in arguments.names or TABLE:
        make(name, arguments.out)


if __name__ == "__main__":
    main()
