"""Judges by lm-evaluation-harness itself: rolling perplexity and multiple choice.

1. Checks perplexity.json's lm-eval cases of the planted model (numbers) and the windows of all
   (ids) against the harness's own code.
2. Writes tests/golden/eval/choices.json: for the small task files in tests/golden/eval/tasks (in the
   data sets' own formats) every request string the harness makes, its token split, log-likelihood
   and greedy flag, and acc, acc_norm, acc_bytes per document, on the planted model.

Run in the environment of requirements-lmeval.txt: python lmeval_oracle.py [--shared DIR]
"""

import argparse
import json
import logging
import math
import os
import pathlib
import tempfile

os.environ["HF_DATASETS_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"

import lm_eval.tasks
import lm_eval.utils
import transformers
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks._yaml_loader import load_yaml

import make_models
import scoring

GOLDEN = make_models.MODELS.parent
TASKS = {  # name: the harness's own definition
    "boolq": "super_glue/boolq/default.yaml",
    "piqa": "piqa/piqa.yaml",
    "winogrande": "winogrande/default.yaml",
    "arc_easy": "arc/arc_easy.yaml",
    "hellaswag": "hellaswag/hellaswag.yaml",
}
FILES = {"arc_easy": "arc.jsonl"}  # where the name differs
METRICS = ("acc", "acc_norm", "acc_bytes")
PIQA_DOCUMENTS = 40  # of the real PIQA validation set


def read_jsonl(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def as_harness_documents(task, documents, labels=None):
    """From a data set's own format to the columns that the harness's hub copies have."""
    if task == "boolq":
        return [d | {"label": int(d["answer"])} for d in documents]
    if task == "piqa":
        return [d | {"label": label} for d, label in zip(documents, labels, strict=True)]
    if task.startswith("arc"):
        columns = lambda choices: {k: [c[k] for c in choices] for k in ("text", "label")}
        return [
            dict(id=d["id"], question=d["question"]["stem"], answerKey=d["answerKey"],
                 choices=columns(d["question"]["choices"]))
            for d in documents
        ]  # fmt: skip
    return documents


def load_task(name, documents):
    """The harness's task on our documents instead of the hub's."""
    definition = pathlib.Path(lm_eval.tasks.__file__).parent / TASKS[name]
    config = load_yaml(definition)
    for key in ("training_split", "test_split", "dataset_name", "tag"):
        config.pop(key, None)
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        file.write("\n".join(json.dumps(d) for d in documents))
    config |= dict(
        dataset_path="json", dataset_kwargs={"data_files": {"validation": file.name}},
        metric_list=[dict(metric=m, aggregation="mean", higher_is_better=True) for m in METRICS],
    )  # fmt: skip
    return ConfigurableTask(config=config)


def requests_of(task, document):
    made = task.construct_requests(document, task.fewshot_context(document, num_fewshot=0))
    return [(i.args[0], i.args[1]) for i in made]


def run_document(model, task, document):
    """Requests of one document with the harness's scores, and its metrics."""
    pairs = requests_of(task, document)
    instances = [Instance("loglikelihood", {}, pair, n) for n, pair in enumerate(pairs)]
    scores = model.loglikelihood(instances, disable_tqdm=True)
    requests = []
    for (context, continuation), (score, greedy) in zip(pairs, scores, strict=True):
        context_ids, continuation_ids = model._encode_pair(context, continuation)
        requests.append(dict(context=context, continuation=continuation, context_ids=context_ids,
                             continuation_ids=continuation_ids, log_likelihood=score, greedy=greedy))  # fmt: skip
    metrics = task.process_results(document, scores)
    return dict(requests=requests, metrics={m: float(metrics[m]) for m in METRICS if m in metrics})


def summary(documents):
    """Mean and standard error (sample deviation / sqrt(n)) of every metric, as the harness prints."""
    result = {}
    for metric in documents[0]["metrics"]:
        values = [d["metrics"][metric] for d in documents]
        mean = sum(values) / len(values)
        variance = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
        result[metric] = dict(value=mean, stderr=math.sqrt(variance / len(values)))
    return result


def choices(models, shared):
    results = {}
    folder = GOLDEN / "eval/tasks"
    sets = {n: (folder / FILES.get(n, f"{n}.jsonl"), folder / "piqa-labels.lst", None) for n in TASKS}
    if shared:
        piqa = shared / "data/piqa-raw"
        sets["piqa_real"] = (piqa / "valid.jsonl", piqa / "valid-labels.lst", PIQA_DOCUMENTS)
    for name, (path, label_path, count) in sets.items():
        kind = name.removesuffix("_real")
        labels = [int(x) for x in label_path.read_text().split()][:count]
        raw = read_jsonl(path)[:count]
        task = load_task(kind, as_harness_documents(kind, raw, labels))
        for bos, model in models.items():
            documents = [run_document(model, task, d) for d in task.validation_docs()]
            entry = results[f"{name}/bos-{bos}"] = dict(summary=summary(documents))
            if count is None:
                entry["documents"] = documents
            else:  # numbers only: the texts are not ours to commit
                entry["log_likelihoods"] = [
                    [r["log_likelihood"] for r in d["requests"]] for d in documents
                ]
    return results


def check_windows():
    """scoring.rolling_windows gives the harness's own disjoint windows, for many lengths."""
    for size in range(1, 60):
        ids = list(range(100, 100 + size))
        for seq_len in (1, 2, 7, 16, 64):
            theirs = lm_eval.utils.get_rolling_token_windows(ids, 1, seq_len, 1)
            theirs = [lm_eval.utils.make_disjoint_window(pair) for pair in theirs]
            ours = scoring.rolling_windows(ids, seq_len, 1)
            assert [(w[:f], w[f:]) for w, f in ours] == theirs, (size, seq_len)


def check_rolling(model, text, case):
    """The harness's own rolling log-likelihood of the committed text is the committed one."""
    (score,) = model.loglikelihood_rolling([Instance("loglikelihood_rolling", {}, (text,), 0)], True)
    relative = abs(score / case["log_likelihood"] - 1)
    assert relative < 1e-6, (score, case["log_likelihood"])
    print(f"rolling log-likelihood {score:.6f}, ours differs by {relative:.1e} relative")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shared", type=pathlib.Path)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    check_windows()

    folder = GOLDEN / "models/planted"
    network, tokenizer = make_models.load(folder), transformers.AutoTokenizer.from_pretrained(folder)
    harness = lambda length, bos: HFLM(pretrained=network, tokenizer=tokenizer, max_length=length,
                                       add_bos_token=bos, batch_size=1, device="cpu")  # fmt: skip
    perplexities = json.loads((GOLDEN / "eval/perplexity.json").read_text())["cases"]
    (case,) = [c for c in perplexities if c["case"] == "planted/lm-eval/bos-yes"]
    check_rolling(harness(case["seq_len"], False), (GOLDEN / case["text_file"]).read_text(), case)

    conventions = (
        "Strings, token split, log-likelihoods and metrics are lm-evaluation-harness 0.4.13's. bos-no: "
        "add_bos_token=False; bos-yes: add_bos_token=True (the tokenizer's BOS is the first context id; "
        "also what the harness does by default for a tokenizer that adds one). At most 512 ids are read: of "
        "context and continuation together the last 513, the last one being a target only. stderr: sample deviation / sqrt(n)."
    )
    results = choices({"no": harness(512, False), "yes": harness(512, True)}, arguments.shared)
    (GOLDEN / "eval/choices.json").write_text(
        json.dumps(dict(conventions=conventions, model="models/planted", tasks=results), indent=1) + "\n"
    )
    for name, entry in results.items():
        print(name, {k: round(v["value"], 3) for k, v in entry["summary"].items()})


if __name__ == "__main__":
    main()
