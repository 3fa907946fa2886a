"""Judges a trace of massact against Hugging Face: every site in TRACE.safetensors, for any HF directory.

TRACE is what `massact trace MODEL --site NAME … --out TRACE.safetensors` writes: a tensor `tokens`
(integers) and one tensor per site under its name; several sequences are told apart by a prefix
`seq{n}/`. Models with an attention variant are judged by variants.py. Sites are compared in fp32 with the tolerance of the parity tests: per element
|a-b| <= 1e-4 |b| + 1e-4 RMS of that token's vector, massive scalars left out of the RMS, -inf equal.

Run: python check_sites.py MODEL_DIRECTORY TRACE.safetensors [--tolerance 1e-4]
Exit status 1 if any site disagrees or is unknown.
"""

import argparse
import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import load_file

import sites
import variants


def row_rms(values):
    """RMS of each row without its massive scalars (|x| > 100 and 1000 x the row's median)."""
    magnitude = values.abs()
    median = magnitude.median(-1, keepdim=True).values
    ordinary = ~((magnitude > 100) & (magnitude >= 1000 * median))
    return (values.pow(2) * ordinary).sum(-1, keepdim=True).div(ordinary.sum(-1, keepdim=True)).sqrt()


def verdict(got, want, tolerance):
    """(largest error in units of the tolerance, message or None)."""
    if got.shape != want.shape:
        return None, f"shape {tuple(got.shape)}, expected {tuple(want.shape)}"
    got, want = got.double(), want.double()
    if not torch.equal(torch.isinf(got), torch.isinf(want)):
        return None, "-inf at other places"
    if torch.isnan(got).any():
        return None, "NaN"
    got, want = (torch.where(torch.isinf(x), 0.0, x) for x in (got, want))
    bound = tolerance * (want.abs() + row_rms(want))
    worst = ((got - want).abs() / bound.clamp_min(1e-30)).max().item()
    return worst, None if worst <= 1 else f"error is {worst:.2f} x the tolerance"


def split_sequences(trace):
    """{prefix: {site: tensor}}; the prefix is "" where the trace holds one sequence."""
    sequences = {}
    for name, value in trace.items():
        prefix, _, site = name.rpartition("/")
        sequences.setdefault(prefix, {})[site] = value
    return sequences


def expected_sites(folder, tokens):
    """HF's values, or the fp64 reference's for a model with an attention variant."""
    config = json.loads((folder / "config.json").read_text())
    if config.get("massact", {}).get("attention", "default") != "default":
        return variants.sites(folder, tokens)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    return sites.capture(model.eval(), tokens)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("trace", type=pathlib.Path)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()

    failures = 0
    for prefix, trace in sorted(split_sequences(load_file(arguments.trace)).items()):
        expected = expected_sites(arguments.model, trace.pop("tokens").flatten().tolist())
        for name, got in sorted(trace.items()):
            if name not in expected:
                worst, message = None, "no such site in this family"
            else:
                worst, message = verdict(got, expected[name], arguments.tolerance)
            failures += message is not None
            print(f"{'FAIL' if message else 'ok  '} {prefix}/{name}: {message or f'{worst:.3f}'}")
    print(f"{failures} of the sites disagree" if failures else "all sites agree")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
