"""Writes tests/golden/models/planted-{alibi,learned}/: tiny models without rotary positions (a BLOOM and
an OPT) with massive activations put in by hand, as make_planted.py does it for a llama.

A neuron of block 1's MLP fires on the start token, another on token STOP; each writes two huge scalars,
which stay in the stream to the end. tokens.npy holds the texts; expected.json what the strict rule finds
at each layer and what zeroing that at layer EDIT does to the loss, all from HF's own hidden states.

Run: python make_planted_positions.py [--out DIR]
"""

import argparse
import copy
import json
import pathlib
import shutil

import numpy
import torch
import transformers
from safetensors.torch import save_file

import check_sites
import make_models
import planted_measures
import sites

WIDTH, LAYERS, VOCABULARY = 32, 3, 61
BOS, STOP, LENGTH, TEXTS = 1, 5, 24, 8
DIMS = (5, 19)  # the massive dimensions
MARKS = {BOS: 7, STOP: 3}  # embedding dimensions that say which token it is
VALUES = {BOS: (-2400.0, 3600.0), STOP: (-1840.0, 1480.0)}
NEURONS = {BOS: 13, STOP: 29}
WRITER, EDIT = 1, 2  # a block; the layer (counting from 1) behind it

CONFIGS = {
    "alibi": transformers.BloomConfig(vocab_size=VOCABULARY, hidden_size=WIDTH, n_layer=LAYERS, n_head=4,
                                      bos_token_id=BOS, tie_word_embeddings=False),
    "learned": transformers.OPTConfig(vocab_size=VOCABULARY, hidden_size=WIDTH, ffn_dim=48,
                                      num_hidden_layers=LAYERS, num_attention_heads=4,
                                      max_position_embeddings=64, bos_token_id=BOS,
                                      tie_word_embeddings=False),
}  # fmt: skip
# name: block's MLP projections, token embedding
PARTS = {
    "alibi": ("transformer.h.{}.mlp.dense_h_to_4h", "transformer.h.{}.mlp.dense_4h_to_h",
              "transformer.word_embeddings"),
    "learned": ("model.decoder.layers.{}.fc1", "model.decoder.layers.{}.fc2",
                "model.decoder.embed_tokens"),
}  # fmt: skip


def small_random_model(kind, generator):
    """Every part small and random, writing little to the massive and the marking dimensions."""
    config = CONFIGS[kind]
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    apart = list(DIMS) + list(MARKS.values())
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if "norm" in name or ".ln_" in name:
            p.data = (1.0 if name.endswith("weight") else 0.0) + 0.1 * noise
        elif name.endswith("bias"):
            p.data = 0.02 * noise
        elif "embed" in name:
            p.data = 0.5 * noise
            p.data[:, apart] *= 0.01
        else:
            p.data = noise / p.shape[1] ** 0.5
        if name.endswith(("dense.weight", "out_proj.weight", "4h_to_h.weight", "fc2.weight")):
            p.data *= 0.1
            p.data[apart] *= 0.01
    embedding = model.get_submodule(PARTS[kind][2]).weight.data
    for token, mark in MARKS.items():
        embedding[token, mark] = 8.0
    return model


@torch.no_grad()
def plant(kind, model):
    """Block WRITER's neurons: off for all tokens but one, whose activation becomes the wanted values."""
    into, out = (model.get_submodule(name.format(WRITER)) for name in PARTS[kind][:2])
    for token, neuron in NEURONS.items():
        into.weight.data[neuron] = 0.0
        into.weight.data[neuron, MARKS[token]] = 10.0
        into.bias.data[neuron] = -20.0
        out.weight.data[:, neuron] = 0.0
    for token, neuron in NEURONS.items():
        tokens = [BOS, 9, 11, STOP]
        post = sites.capture(model, tokens)[f"blocks.{WRITER}.mlp.hook_post"]
        activations = post[:, neuron]
        at = tokens.index(token)
        others = activations[[t for t in range(len(tokens)) if t != at]]
        assert activations[at] > 1 and others.abs().max() < 1e-3 * activations[at], activations
        for dim, value in zip(DIMS, VALUES[token]):
            out.weight.data[dim, neuron] = value / activations[at]


def losses(model, tokens, layer=None, places=()):
    """Mean cross-entropy of one text, with these scalars zeroed behind block layer - 1."""
    block = make_block(model, layer - 1) if layer else None

    def hook(_, __, output):
        hidden = (output[0] if isinstance(output, tuple) else output).clone()
        for position, dim in places:
            hidden.view(-1, WIDTH)[position, dim] = 0.0
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    handle = block.register_forward_hook(hook) if block else None
    logits = model(torch.tensor([tokens]), use_cache=False).logits[0, :-1]
    if handle:
        handle.remove()
    return torch.nn.functional.cross_entropy(logits, torch.tensor(tokens[1:])).item()


def make_block(model, index):
    layers = model.transformer.h if hasattr(model, "transformer") else model.model.decoder.layers
    return layers[index]


def expectations(model, texts):
    """Per layer and text what the strict rule finds; the losses with and without what it finds at EDIT."""
    found, loss = [], []
    for number, tokens in enumerate(texts):
        values = sites.capture(model, tokens)
        for layer in range(1, LAYERS + 1):
            hidden = values[f"blocks.{layer - 1}.hook_resid_post"]
            places, median = planted_measures.massive_places(hidden)
            found += [dict(layer=layer, sequence=number, position=p, dimension=d, median=median,
                           value=hidden[p, d].item()) for p, d in places]  # fmt: skip
            if layer == EDIT:
                loss.append(dict(original=losses(model, tokens),
                                 zero=losses(model, tokens, EDIT, places)))  # fmt: skip
    return dict(edit_layer=EDIT, massive=found, losses=loss)


def well_conditioned(model, tokens):
    """The sites of one text, without those that rounding decides."""
    values = sites.capture(model, tokens)
    exact = sites.capture(copy.deepcopy(model).double(), tokens)
    kept = {name: v for name, v in values.items() if check_sites.verdict(v, exact[name], 1e-4)[0] < 0.2}
    print("left to rounding:", sorted(set(values) - set(kept)))
    return kept


def make(kind, out):
    generator = torch.Generator().manual_seed(20260720)
    model = small_random_model(kind, generator)
    plant(kind, model)
    folder = out / f"planted-{kind}"
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    model = make_models.load(folder)
    texts = torch.randint(8, VOCABULARY, (TEXTS, LENGTH), generator=generator)
    texts[:, 0] = BOS
    for number in range(1, TEXTS):  # the first text has no STOP
        texts[number, 3 + 2 * number] = STOP
    numpy.save(folder / "tokens.npy", texts.numpy().astype(numpy.int32))
    expected = expectations(model, texts.tolist())
    counts = {layer: sum(m["layer"] == layer for m in expected["massive"]) for layer in range(LAYERS + 1)}
    assert counts[1] == 0 and all(counts[l] == 2 * (2 * TEXTS - 1) for l in range(EDIT, LAYERS + 1)), counts
    make_models.write_json(folder / "expected.json", expected)
    tensors = {}
    for n, tokens in enumerate(([BOS], texts[1].tolist()[:7])):
        tensors[f"seq{n}/tokens"] = torch.tensor(tokens)
        tensors |= {f"seq{n}/{site}": v for site, v in well_conditioned(model, tokens).items()}
    save_file(tensors, folder / "sites.safetensors")
    print(kind, counts, expected["losses"][:2])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=make_models.MODELS)
    out = parser.parse_args().out
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with torch.no_grad():
        for kind in CONFIGS:
            make(kind, out)


if __name__ == "__main__":
    main()
