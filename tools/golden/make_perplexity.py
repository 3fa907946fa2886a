"""Writes tests/golden/eval/: perplexities in the three conventions, and the log-probabilities behind them.

Run: python make_perplexity.py [--shared DIR] [--out DIR]
Without --shared (the project's shared data) the stories260K cases are left as they are not made.
lmeval_oracle.py checks the results with lm-evaluation-harness itself.
"""

import argparse
import json
import pathlib

import numpy
import torch
import transformers
from safetensors.torch import save_file

import llama2c
import make_models
import scoring

GOLDEN = make_models.MODELS.parent
CONVENTIONS = {
    "hf": "The ids (no BOS) are cut into full chunks of seq_len; a chunk's loss is the mean over its "
          "seq_len-1 targets; perplexity = exp(mean of the chunks' losses). With bos \"yes\" every "
          "chunk is BOS and seq_len-1 ids of the text, all of which are targets.",
    "lm-eval": "Rolling windows of seq_len targets, one token of context: BOS before the first window, "
               "the preceding id before the others; the last window reaches back, so that it reads seq_len "
               "ids too, and only its new ids count. word_perplexity = "
               "exp(-log_likelihood/words), words = re.split(r'\\s+', text); bytes of the UTF-8 text.",
    "llama.cpp": "With bos \"yes\" the ids start with a BOS and the first id of every chunk is replaced "
                 "by BOS. Full chunks of seq_len; targets are positions seq_len/2+1 … seq_len-1; "
                 "perplexity = exp(-mean log-probability of all targets).",
}  # fmt: skip
TINY = ("llama-gqa-tied", "gpt2-gelu", "mistral-window")


def cases_of(name, network, ids, bos, seq_len, arrays, sequences=None, text=None, keep=True, **source):
    """All conventions for one model and token stream."""
    cases = []
    for convention, with_bos in (("hf", None), ("hf", bos), ("lm-eval", bos), ("llama.cpp", bos),
                                 ("llama.cpp", None)):  # fmt: skip
        if convention == "lm-eval" and sequences is not None:
            continue  # it scores a whole document
        result, scores = scoring.perplexity(network, convention, ids, seq_len, with_bos, sequences)
        if convention == "lm-eval" and text is not None:
            result |= scoring.text_measures(result["log_likelihood"], text)
        policy = "no" if with_bos is None else "yes"
        label = f"{name}/{convention}/bos-{policy}"
        cases.append(dict(case=label, convention=convention, bos=policy, seq_len=seq_len,
                          sequences=sequences, **source, **result))  # fmt: skip
        if keep:
            arrays[f"{label}/log_probs"] = scores.float()
    return cases


def planted_cases(arrays):
    folder = GOLDEN / "models/planted"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    text = (GOLDEN / "texts/harbour.txt").read_text()
    ids = tokenizer.encode(text, add_special_tokens=False)
    arrays["planted/ids"] = torch.tensor(ids)
    return cases_of("planted", make_models.load(folder), ids, 0, 64, arrays, text=text,
                    model="models/planted", text_file="texts/harbour.txt", tokens=len(ids))  # fmt: skip


def tiny_cases(arrays, out):
    """Models without a tokenizer: a committed stream of random ids (.npy, as --tokens reads it)."""
    ids = torch.randint(0, 67, (211,), generator=torch.Generator().manual_seed(67)).tolist()
    numpy.save(out / "ids-67.npy", numpy.array(ids, numpy.int64))
    cases = []
    for name in TINY:
        folder = GOLDEN / "models" / name
        bos = json.loads((folder / "config.json").read_text())["bos_token_id"]
        cases += cases_of(name, make_models.load(folder), ids, bos, 17, arrays, model=f"models/{name}",
                          tokens_file="eval/ids-67.npy", tokens=len(ids))  # fmt: skip
    return cases


def dataset_rows(text):
    """wikitext-2-raw's rows as the datasets library gives them, joined as the paper's code does."""
    rows = ["" if line.strip() == "" else line + "\n" for line in text.removesuffix("\n").split("\n")]
    return "\n\n".join(rows)


def stories_cases(shared, arrays):
    """stories260K on the short text and on wikitext-2: numbers only."""
    model, tokenizer = llama2c.load(shared / "data/stories260K")
    name, cases = "stories260K", []
    text = (GOLDEN / "texts/harbour.txt").read_text()
    wiki = (shared / "data/wikitext2/wiki.test.raw").read_bytes().decode()
    for label, text_file, text, sequences, seq_len in (
        ("harbour", "texts/harbour.txt", text, None, 128),
        ("wikitext2", "shared:data/wikitext2/wiki.test.raw", wiki, 32, 256),
        ("wikitext2-rows", "shared:data/wikitext2/wiki.test.raw, rows joined", dataset_rows(wiki), 32, 256),
    ):  # fmt: skip
        ids = tokenizer.encode(text)
        keep = label == "harbour"
        cases += cases_of(f"{name}/{label}", model, ids, llama2c.BOS, seq_len, arrays, sequences,
                          text=text, keep=keep, model="shared:data/stories260K/stories260K.bin",
                          text_file=text_file, tokens=len(ids))  # fmt: skip
        if keep:
            arrays[f"{name}/{label}/ids"] = torch.tensor(ids)
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=GOLDEN / "eval")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    arguments.out.mkdir(parents=True, exist_ok=True)

    arrays = {}
    cases = planted_cases(arrays) + tiny_cases(arrays, arguments.out)
    if arguments.shared:
        cases += stories_cases(arguments.shared, arrays)
    save_file(arrays, arguments.out / "log_probs.safetensors")
    make_models.write_json(
        arguments.out / "perplexity.json", dict(conventions=CONVENTIONS, cases=cases)
    )
    for case in cases:
        shown = case.get("perplexity") or case.get("word_perplexity") or case["log_likelihood"]
        print(f"{case['case']:45} {case['scored']:6} scored  {shown:.6g}")


if __name__ == "__main__":
    main()
