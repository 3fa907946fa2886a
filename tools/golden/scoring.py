"""The three perplexity conventions, written out plainly. Everything works on token ids.

A window is (ids, first): the ids from index `first` on are the targets, each predicted from all ids of
the window before it.
"""

import math
import re

import torch


def hf_windows(ids, seq_len, bos=None):
    """Full consecutive chunks; all but a chunk's first token are scored. With `bos`, every chunk is
    that token followed by seq_len - 1 of the text's."""
    step = seq_len - (bos is not None)
    starts = range(0, len(ids) - step + 1, step)
    return [(([bos] if bos is not None else []) + ids[i : i + step], 1) for i in starts]


def llama_cpp_windows(ids, seq_len, bos=None):
    """Full consecutive chunks; if the tokenizer adds a BOS, the stream starts with one and each
    chunk's first token is replaced by it; targets are the positions after seq_len / 2."""
    ids = ([bos] if bos is not None else []) + ids
    chunks = [ids[i : i + seq_len] for i in range(0, len(ids) - seq_len + 1, seq_len)]
    if bos is not None:
        chunks = [[bos] + chunk[1:] for chunk in chunks]
    return [(chunk, seq_len // 2 + 1) for chunk in chunks]


def rolling_windows(ids, seq_len, prefix):
    """lm-evaluation-harness's rolling windows with one token of context: every id is a target once.
    The first window reads the prefix token and seq_len - 1 ids, each later one the id before its first
    target and seq_len - 1 more. The last window is as long as the others: it reaches back into
    targets that were scored before, which are then only context."""
    ids = [prefix] + ids
    last = len(ids) - 1
    windows = [(ids[: min(seq_len, last) + 1], 1)]
    for done in range(seq_len, last, seq_len):
        end = min(done + seq_len, last)
        windows.append((ids[end - seq_len : end + 1], seq_len + 1 - (end - done)))
    return windows


@torch.no_grad()
def target_log_probs(model, window, first):
    """Log-probabilities (fp64 from HF's fp32 logits) of window[first:]; the last id is only a target."""
    logits = model(torch.tensor([window[:-1]]), use_cache=False).logits[0, first - 1 :].double()
    targets = torch.tensor(window[first:])[:, None]
    return logits.log_softmax(-1).gather(1, targets)[:, 0]


def perplexity(model, convention, ids, seq_len, bos=None, sequences=None):
    """The convention's numbers, and the log-probabilities of all scored tokens in order."""
    make_windows = {"hf": hf_windows, "lm-eval": rolling_windows, "llama.cpp": llama_cpp_windows}
    windows = make_windows[convention](ids, seq_len, bos)[:sequences]
    scores = [target_log_probs(model, window, first) for window, first in windows]
    flat = torch.cat(scores)
    result = dict(windows=len(scores), scored=len(flat), log_likelihood=flat.sum().item())
    if convention == "hf":
        result["perplexity"] = math.exp(-sum(s.mean().item() for s in scores) / len(scores))
    elif convention == "llama.cpp":
        result["perplexity"] = math.exp(-flat.mean().item())
    return result, flat


def text_measures(log_likelihood, text):
    """lm-evaluation-harness's word and byte measures: words are what \\s+ separates."""
    words, size = len(re.split(r"\s+", text)), len(text.encode())
    return dict(
        words=words,
        bytes=size,
        word_perplexity=math.exp(-log_likelihood / words),
        byte_perplexity=math.exp(-log_likelihood / size),
        bits_per_byte=-log_likelihood / size / math.log(2),
    )
