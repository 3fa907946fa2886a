"""Writes tests/golden/planted-vit/: a tiny ViT in which one neuron writes outlier patches, pictures for it,
and what moving that neuron to an added token does to it (expected.json), by Hugging Face.

Everything is small and random except (blocks counted from 0):
- a picture has 4 x 4 patches of one colour each: around its class's colour, but one or two of them white;
- one neuron of block 1's MLP fires on white patches and writes two huge opposite scalars; another neuron
  there is always on and writes next to nothing: activation alone does not tell them apart;
- in blocks 2 and 3 every query looks for the key that the huge scalars make, and the value there is almost
  zero: an attention sink. Values of other patches are large: without the sink they drown the class token;
- the classifier is fitted (convex) on other pictures.

Run: python make_planted_vit.py [--out DIR]
"""

import argparse
import json
import math
import pathlib
import shutil

import numpy
import torch
import transformers
from PIL import Image

import make_test_time
import make_vision
import vision_sites

OUT = make_vision.VISION.parent / "planted-vit"
WIDTH, HEADS, NEURONS, LAYERS, SIDE, PATCH = 24, 3, 32, 4, 16, 4
DIMS, VALUE = (5, 19), 400.0
MARK, WRITER, NEURON, DECOY, SINKS = 2, 1, 13, 7, (2, 3)
COLOURS = [(200, 90, 90), (90, 200, 90), (90, 90, 200), (60, 160, 160)]
TRAINING, PICTURES = 600, 40
LAYER, RATIO = 2, 3.0  # behind which the outliers are, and what they are


def picture(label, generator):
    """[3, 16, 16] bytes."""
    noise = 30.0 * torch.randn((3, 16), generator=generator)
    places = torch.randperm(16, generator=generator)[: 1 + int(torch.rand((), generator=generator) < 0.5)]
    patches = (torch.tensor(COLOURS[label])[:, None] + noise).clamp(0, 235)
    patches[:, places] = 255.0
    return patches.byte().reshape(3, 4, 4).repeat_interleave(PATCH, 1).repeat_interleave(PATCH, 2)


def pixels_of(image):
    return image.float() / 255 / 0.5 - 1


def small_random_model(generator):
    config = transformers.ViTConfig(
        hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=NEURONS,
        image_size=SIDE, patch_size=PATCH, num_labels=len(COLOURS), attn_implementation="eager")  # fmt: skip
    model = transformers.ViTForImageClassification(config).eval()
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if "layernorm" in name:
            p.data = 1.0 + 0.1 * noise if name.endswith("weight") else torch.zeros_like(p)
        elif "patch_embeddings" in name or "token" in name or "position" in name:
            scale = 1.0 / math.sqrt(p[0].numel()) if p.dim() == 4 else 0.3
            p.data = scale * noise
        elif name.endswith("bias"):
            p.data = 0.02 * noise
        else:
            p.data = 0.5 / math.sqrt(p.shape[-1]) * noise
        writes = "o_proj" in name or "mlp.fc2" in name or "embeddings" in name
        if writes:  # nothing else in the huge dimensions, nor in the mark's
            own = p.data if p.dim() != 3 else p.data[0].T
            own[[*DIMS, MARK]] *= 0.01
        elif p.dim() == 2 and "classifier" not in name:
            p.data[:, list(DIMS)] = 0.0
    return model


def plant(model):
    part, _ = vision_sites.tower(model)
    projection = part.embeddings.patch_embeddings.projection
    projection.weight.data[MARK] = 5.0 / projection.weight[0].numel()  # 5 times the mean of the pixels
    modules = [dict(model.named_modules())[vision_sites.role_names(model, i)["block"]] for i in range(LAYERS)]
    mlp = modules[WRITER].mlp
    mlp.fc1.weight.data[[NEURON, DECOY]] = 0.0
    mlp.fc1.weight.data[NEURON, MARK] = 8.0
    mlp.fc1.bias.data[NEURON], mlp.fc1.bias.data[DECOY] = -18.0, 60.0
    mlp.fc2.weight.data[:, DECOY] *= 1e-3
    mlp.fc2.weight.data[:, NEURON] = 0.0
    for block in SINKS:
        attention = modules[block].attention
        for head in range(HEADS):
            row = head * WIDTH // HEADS
            attention.q_proj.weight.data[row] = 0.0
            attention.q_proj.bias.data[row] = 20.0
            attention.k_proj.weight.data[row] = 0.0
            attention.k_proj.weight.data[row, list(DIMS)] = torch.tensor([-0.5, 0.5])
        attention.v_proj.weight.data *= 4.0
        attention.o_proj.weight.data *= 25.0
    return mlp


@torch.no_grad()
def set_value(model, mlp, image):
    """The writer's weights: on a white patch exactly +-VALUE."""
    pixels = pixels_of(image)[None]
    kept = {}
    handle = mlp.fc2.register_forward_pre_hook(lambda _, args: kept.update(post=args[0]))
    model(pixel_values=pixels)
    handle.remove()
    activation = kept["post"][0, 1:, NEURON].max()
    mlp.fc2.weight.data[list(DIMS), NEURON] = torch.tensor([-VALUE, VALUE]) / activation


def fit_classifier(model, images, labels):
    with torch.no_grad():
        pixels = torch.stack([pixels_of(image) for image in images])
        x = vision_sites.tower(model)[0](pixel_values=pixels).last_hidden_state[:, 0]
    weight, bias = model.classifier.weight, model.classifier.bias
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=300, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(x @ weight.T + bias, labels) + 1e-3 * weight.pow(2).sum()
        value.backward()
        return value

    optimiser.step(loss)


class Zero(make_test_time.Added):
    """No token: the neurons are set to zero at the patches."""

    def insert(self, x):
        return x

    def drop(self, x):
        return x

    def move(self, x, neurons, gated):
        x = x.clone()
        x[0, self.first : self.last, neurons] = 0.0
        return x


@torch.no_grad()
def measure(model, image, moves, kind):
    """(answer, largest norm of a patch behind LAYER, outliers there)."""
    pixels, kept = pixels_of(image)[None], {}
    added = kind(model, 1, pixels)
    block = dict(model.named_modules())[vision_sites.role_names(model, LAYER - 1)["block"]]
    with make_test_time.test_time_registers(model, moves, added):
        handle = block.register_forward_hook(lambda _, __, output: kept.update(h=output))
        logits = model(pixel_values=pixels).logits[0]
        handle.remove()
    h = kept["h"][0] if isinstance(kept["h"], tuple) else kept["h"]
    norms = h.reshape(-1, WIDTH)[added.first : added.last].norm(dim=-1)
    median = norms.sort().values[(len(norms) - 1) // 2]
    return logits.argmax().item(), norms.max().item(), (norms >= RATIO * median).sum().item()


def save_pictures(folder, images, labels):
    for n, (image, label) in enumerate(zip(images, labels)):
        path = folder / "images" / f"{n:02}-{label}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(numpy.ascontiguousarray(image.permute(1, 2, 0).numpy())).save(path, optimize=True)
    lines = [f"{n:02}-{label}.png,LABEL_{label}" for n, label in enumerate(labels)]
    (folder / "images/list.csv").write_text("\n".join(["path,label", *lines]) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    folder = parser.parse_args().out
    generator = torch.Generator().manual_seed(20261123)
    draw = lambda count: [i % len(COLOURS) for i in range(count)]
    labels, training = draw(PICTURES), draw(TRAINING)
    images = [picture(label, generator) for label in labels]
    others = [picture(label, generator) for label in training]
    model = small_random_model(generator)
    mlp = plant(model)
    set_value(model, mlp, images[0])
    fit_classifier(model, others, torch.tensor(training))

    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder / "model")
    processor = dict(image_processor_type="ViTImageProcessor", size=dict(height=SIDE, width=SIDE),
                     image_mean=[0.5] * 3, image_std=[0.5] * 3)  # fmt: skip
    (folder / "model/preprocessor_config.json").write_text(json.dumps(processor, indent=2) + "\n")
    save_pictures(folder, images, labels)
    model = make_vision.load("ViTForImageClassification", folder / "model")
    planted, expected = [(WRITER, [NEURON])], dict(layer=LAYER, neuron=NEURON, decoy=DECOY, variants={})
    evaluated = [n for n in range(PICTURES) if n % 5 != 0]  # massact's split: every fifth calibrates
    for name, moves, kind in (("original", [], Zero), ("token alone", [], make_test_time.Added),
                              ("test-time registers", planted, make_test_time.Added),
                              ("neurons zero", planted, Zero)):  # fmt: skip
        rows = [(labels[n], *measure(model, images[n], moves, kind)) for n in evaluated]
        mean = lambda values: sum(values) / len(rows)
        expected["variants"][name] = dict(top1=mean([a == l for l, a, _, _ in rows]),
                                          largest_norm=mean([norm for _, _, norm, _ in rows]),
                                          outliers=mean([count for *_, count in rows]))  # fmt: skip
        print(name, expected["variants"][name])
    (folder / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")


if __name__ == "__main__":
    main()
