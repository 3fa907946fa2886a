"""Zeroes scalars of the start token in a Llama or GPT-2 with HF's forward hooks, and measures perplexity.

The independent count beside `massact ablate` on the shipped models (docs/eab.md):

    hf_zero.py MODEL_DIR VAL.bin --layer L --dimensions D[,D...] [--chunks 100] [--seq-len 128]

VAL.bin: token ids as `massact-train prepare` writes them (uint16). Chunks are consecutive, each with BOS in
front. The scalars are those of position 0 behind layer L (counted from 1, as massact does).
"""

import argparse
import math

import numpy
import torch
import transformers


def chunks_of(path, bos, count, length):
    ids = numpy.fromfile(path, dtype=numpy.uint16).astype(numpy.int64)
    step = length - 1
    return [torch.tensor([[bos, *ids[i : i + step]]]) for i in range(0, count * step, step)]


def perplexity(model, chunks):
    """exp of the mean over chunks of the mean loss: chunks are of one length."""
    with torch.no_grad():
        losses = [model(chunk, labels=chunk).loss.item() for chunk in chunks]
    return math.exp(sum(losses) / len(losses))


def blocks_of(model):
    return model.model.layers if hasattr(model, "model") else model.transformer.h


def edited(model, chunks, layer, dimensions, values):
    """Perplexity with the scalars set to `values`."""

    def hook(module, arguments, output):
        hidden = output[0] if isinstance(output, tuple) else output
        hidden[:, 0, dimensions] = torch.tensor(values)
        return output

    handle = blocks_of(model)[layer - 1].register_forward_hook(hook)
    try:
        return perplexity(model, chunks)
    finally:
        handle.remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("tokens")
    parser.add_argument("--layer", type=int, required=True)
    parser.add_argument("--dimensions", type=lambda text: [int(d) for d in text.split(",")], required=True)
    parser.add_argument("--chunks", type=int, default=100)
    parser.add_argument("--seq-len", type=int, default=128)
    arguments = parser.parse_args()

    model = transformers.AutoModelForCausalLM.from_pretrained(
        arguments.model, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    chunks = chunks_of(arguments.tokens, model.config.bos_token_id, arguments.chunks, arguments.seq_len)
    with torch.no_grad():
        # The last entry of HF's hidden states is behind the final norm: take the block's own output.
        seen = []
        handle = blocks_of(model)[arguments.layer - 1].register_forward_hook(
            lambda module, inputs, output: seen.append(
                (output[0] if isinstance(output, tuple) else output)[0, 0, arguments.dimensions].clone()
            )
        )
        for chunk in chunks:
            model(chunk)
        handle.remove()
    mean = torch.stack(seen).mean(0).tolist()
    zero = [0.0] * len(mean)
    original = perplexity(model, chunks)
    print(f"values  {', '.join(f'{value:.4g}' for value in mean)} (mean of {len(chunks)} chunks)")
    for name, values in (("zero", zero), ("mean", mean)):
        result = edited(model, chunks, arguments.layer, arguments.dimensions, values)
        print(f"{name}    {result:.4f} ({100 * (result / original - 1):+.2f} %)")
    print(f"none    {original:.4f}")


if __name__ == "__main__":
    main()
