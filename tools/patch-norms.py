"""How far the longest patches of a vision model stand out, from a trace of massact; needs numpy and safetensors.

    massact trace MODEL --images IMAGES --site resid_post --out trace.safetensors
    python3 tools/patch-norms.py trace.safetensors --leading 1     # class token and registers before the patches

By layer, means over images: the largest over the median norm of a patch, how many patches have more than twice the
median norm, and the cosine of the longest patches of different images (the mean over all pairs).
"""

import argparse

import numpy
from safetensors.numpy import load_file


def row_of(hidden):
    """hidden [images, patches, width] → ratio, count, cosine."""
    norms = numpy.linalg.norm(hidden, axis=-1)
    median = numpy.median(norms, axis=1, keepdims=True)
    longest = hidden[numpy.arange(len(hidden)), norms.argmax(1)]
    directions = longest / numpy.linalg.norm(longest, axis=-1, keepdims=True)
    count = len(directions)
    pairs = (numpy.square(directions.sum(0)).sum() - count) / (count * (count - 1))
    return (norms.max(1) / median[:, 0]).mean(), (norms > 2 * median).sum(1).mean(), pairs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trace")
    parser.add_argument("--leading", type=int, default=1, help="tokens before the patches")
    arguments = parser.parse_args()
    values = load_file(arguments.trace)
    print("layer  largest/median  above 2 x median  cosine of the longest")
    for block in range(len(values)):
        hidden = values[f"blocks.{block}.hook_resid_post"][:, arguments.leading :].astype(numpy.float64)
        ratio, count, cosine = row_of(hidden)
        print(f"{block + 1:5}  {ratio:14.3g}  {count:16.3g}  {cosine:21.3g}")


if __name__ == "__main__":
    main()
