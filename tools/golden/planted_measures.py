"""What a scan and an ablation of the planted model must find, computed with HF forward hooks."""

import math
import statistics

import torch

import sites

SEQ_LEN = 64
ABSOLUTE, RATIO = 100.0, 1000.0  # the strict rule
EDIT_LAYER = 2  # user-facing: the first layer where the massive activations appear
SINK_LAYERS = (3, 4, 5)  # user-facing layers whose attention has the sink


def chunks_with_bos(tokenizer, text, bos):
    """Consecutive full chunks: the start token, then SEQ_LEN - 1 tokens of the text."""
    ids, step = tokenizer.encode(text, add_special_tokens=False).ids, SEQ_LEN - 1
    return [[bos] + ids[i : i + step] for i in range(0, len(ids) - step + 1, step)]


def lower_median(values):
    return values.flatten().sort().values[(values.numel() - 1) // 2].item()


def massive_places(hidden):
    """[(position, dimension)] that meet the strict rule in one layer of one sequence, and the median."""
    magnitude = hidden.abs()
    median = lower_median(magnitude)
    found = (magnitude > ABSOLUTE) & (magnitude >= RATIO * median)
    return [tuple(place) for place in found.nonzero().tolist()], median


def layer_table(model, tokenizer, chunks):
    """Per user-facing layer what the strict rule finds, over all chunks."""
    layers = model.config.num_hidden_layers
    table = [dict(layer=l + 1, medians=[], top=[], scalars={}) for l in range(layers)]
    for chunk in chunks:
        values = sites.capture(model, chunk)
        for entry in table:
            hidden = values[f"blocks.{entry['layer'] - 1}.hook_resid_post"]
            places, median = massive_places(hidden)
            entry["medians"].append(median)
            entry["top"].append(hidden.abs().max().item())
            for position, dim in places:
                key = (tokenizer.id_to_token(chunk[position]), dim)
                entry["scalars"].setdefault(key, []).append(hidden[position, dim].item())
    return table


def summary(entry):
    """One layer of expected.json."""
    return dict(
        layer=entry["layer"],
        median=statistics.fmean(entry["medians"]),
        top1=statistics.fmean(entry["top"]),
        massive=[
            dict(token=token, dim=dim, count=len(v), mean=statistics.fmean(v), std=statistics.pstdev(v))
            for (token, dim), v in sorted(entry["scalars"].items())
        ],
    )


def sink_share(model, chunks):
    """Mean probability that queries from position 1 on give to position 0, per user-facing layer."""
    totals = {}
    for chunk in chunks:
        values = sites.capture(model, chunk)
        for layer in range(1, model.config.num_hidden_layers + 1):
            pattern = values[f"blocks.{layer - 1}.attn.hook_pattern"]
            totals.setdefault(layer, []).append(pattern[:, 1:, 0].mean().item())
    return {str(layer): statistics.fmean(v) for layer, v in totals.items()}


@torch.no_grad()
def log_probs(model, chunk, edit=None):
    """Log-probabilities [T, vocab]; `edit(hidden [T, d])` changes layer EDIT_LAYER's output in place."""
    handles = []
    if edit:

        def hook(_, args, output):
            hidden = output[0] if isinstance(output, tuple) else output
            edit(hidden[0])
            return output

        handles.append(model.model.layers[EDIT_LAYER - 1].register_forward_hook(hook))
    try:
        return model(torch.tensor([chunk]), use_cache=False).logits[0].double().log_softmax(-1)
    finally:
        for handle in handles:
            handle.remove()


def editor(kind, chunk, places, means):
    """The edit of one variant in one chunk; `means` is by (token, dimension)."""

    def edit(hidden):
        for position, dim in places:
            if kind == "zero":
                hidden[position, dim] = 0.0
            elif kind == "mean":
                hidden[position, dim] = means[chunk[position], dim]
            elif kind == "control":  # as many scalars of the same tokens, in dimensions next to them
                hidden[position, dim + 1] = 0.0

    return None if kind == "original" else edit


def measure(model, chunks, places, means):
    """Perplexity of every variant and its mean KL divergence and top-1 agreement with the original."""
    results = {}
    for kind in ("original", "zero", "mean", "control"):
        losses, divergences, agreements = [], [], []
        for chunk, found in zip(chunks, places):
            original = log_probs(model, chunk)
            edited = log_probs(model, chunk, editor(kind, chunk, found, means))
            targets = torch.tensor(chunk[1:])[:, None]
            losses.append(-edited[:-1].gather(1, targets).mean().item())
            divergences.append((original.exp() * (original - edited)).sum(-1).mean().item())
            agreements.append((original.argmax(-1) == edited.argmax(-1)).double().mean().item())
        results[kind] = dict(
            perplexity=math.exp(statistics.fmean(losses)),
            mean_kl=statistics.fmean(divergences),
            top1_agreement=statistics.fmean(agreements),
        )
    return results


def expected(model, tokenizer, chunks, dims):
    """The contents of expected.json; raises if the model is not what it was made to be."""
    table = layer_table(model, tokenizer, chunks)
    stop = tokenizer.token_to_id(".")
    for entry in table:
        wanted = {(t, d) for t in ("<s>", ".") for d in dims} if 2 <= entry["layer"] <= 4 else set()
        assert set(entry["scalars"]) == wanted, (entry["layer"], entry["scalars"])
        starts = [len(entry["scalars"][t, d]) for t, d in wanted if t == "<s>"]
        stops = [len(entry["scalars"][t, d]) for t, d in wanted if t == "."]
        assert all(n == len(chunks) for n in starts)
        assert all(n == sum(c.count(stop) for c in chunks) for n in stops)

    places, means = [], {}
    calibration = max(1, len(chunks) // 5)
    for n, chunk in enumerate(chunks):
        hidden = sites.capture(model, chunk)[f"blocks.{EDIT_LAYER - 1}.hook_resid_post"]
        places.append(massive_places(hidden)[0])
        for position, dim in places[-1] if n < calibration else ():
            means.setdefault((chunk[position], dim), []).append(hidden[position, dim].item())
    means = {key: statistics.fmean(v) for key, v in means.items()}
    variants = measure(model, chunks[calibration:], places[calibration:], means)
    assert variants["zero"]["perplexity"] > 5 * variants["original"]["perplexity"], variants
    for quiet in ("mean", "control"):
        ratio = variants[quiet]["perplexity"] / variants["original"]["perplexity"]
        assert abs(ratio - 1) < 1e-2, variants
    shares = sink_share(model, chunks)
    assert all(shares[str(layer)] > 0.5 for layer in SINK_LAYERS), shares

    return dict(
        conventions=(
            "Layers from 1, dimensions and tokens from 0. Chunks: the start token <s>, then seq_len-1 "
            "consecutive text tokens, full chunks only. Rule: |h| > 100 and |h| >= 1000 x the lower "
            "median of |h| of that layer and chunk. median, top1: means over chunks. Variants edit all "
            "scalars that meet the rule in the original at edit_layer; mean: the signed mean of that "
            "(token, dimension) over the calibration chunks; control: zeroes the next dimension "
            "instead. Perplexity: exp(mean over evaluation chunks of the mean loss of the seq_len-1 "
            "text tokens). mean_kl: KL(original || variant) in nats, mean over all positions. "
            "sink_share: mean probability given to position 0 by queries from position 1 on."
        ),
        seq_len=SEQ_LEN, chunks=len(chunks), rule=[ABSOLUTE, RATIO],
        first_layer=2, last_layer=4, dims=list(dims),
        tokens={"<s>": tokenizer.token_to_id("<s>"), ".": stop},
        layers=[summary(entry) for entry in table],
        sink_share=shares, edit_layer=EDIT_LAYER, calibration_chunks=[0, calibration],
        evaluation_chunks=[calibration, len(chunks)],
        means=[dict(token=tokenizer.id_to_token(t), dim=d, value=v) for (t, d), v in sorted(means.items())],
        variants=variants,
    )  # fmt: skip
