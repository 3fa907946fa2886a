#!/usr/bin/env python3
"""Golden requests of multiple-choice tasks, built by lm-evaluation-harness itself.

Developer's tool: needs lm_eval (0.4) and datasets, no network. Writes for every task a small file
in the dataset's own format (texts of our own) and the requests that lm_eval makes of it, to
tests/golden/tasks.

    python tools/golden/make_tasks.py
"""

import importlib.util
import json
import os
import pathlib
import tempfile
import types

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"

import lm_eval.tasks  # noqa: E402
import yaml  # noqa: E402
from lm_eval.api.model import TemplateLM  # noqa: E402
from lm_eval.api.task import ConfigurableTask  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests" / "golden" / "tasks"
TASKS = pathlib.Path(lm_eval.tasks.__file__).parent

DOCS = {
    "boolq": ("super_glue/boolq/default.yaml", [
        {"passage": "Kettles boil water.  Most have a lid.", "question": "do most kettles have a lid", "label": 1},
        {"passage": " \u00c9t\u00e9 means summer.\n", "question": "is \u00e9t\u00e9 a winter", "label": 0},
        {"passage": "{{braces}} stay", "question": "is it 100%", "label": 1},
    ]),
    "piqa": ("piqa/piqa.yaml", [
        {"goal": "Dry a wet shoe.", "sol1": "Fill it with paper.", "sol2": "Fill it with soup.", "label": 0},
        {"goal": "It's \"quoted\" ", "sol1": "say 'yes'", "sol2": " two  spaces ", "label": 1},
        {"goal": "back\\slash", "sol1": "tab\there", "sol2": "\u4f60\u597d \U0001F600", "label": 1},
    ]),
    "winogrande": ("winogrande/default.yaml", [
        {"sentence": "The lid did not fit the pot because _ was too small.", "option1": "the lid",
         "option2": "the pot", "answer": "1"},
        {"sentence": "_ slept, and  Ann read.", "option1": "Bo", "option2": "Ann", "answer": "1"},
        {"sentence": "Ann met Bo, then _\u00a0 left_ again ", "option1": "Ann", "option2": "Bo", "answer": "2"},
    ]),
    "arc_easy": ("arc/arc_easy.yaml", [
        {"question": "What melts?", "choices": {"text": ["ice", "fire", "light"], "label": ["A", "B", "C"]},
         "answerKey": "A"},
        {"question": "Which is 'it'?\n", "choices": {"text": ["it's", "\"that\"", "1", "None"],
                                                      "label": ["1", "2", "3", "4"]}, "answerKey": "4"},
    ]),
    "hellaswag": ("hellaswag/hellaswag.yaml", [
        {"activity_label": "Making tea", "ctx_a": "A man boils water.", "ctx_b": "he",
         "endings": ["pours it.", "eats it.", " flies  away.", "sleeps"], "label": "0"},
        {"activity_label": "Cooking", "ctx_a": "[header] How to cook [title] Wash [substeps] it", "ctx_b": "",
         "endings": ["a [title] b", "[step] c [d", "e] f [] g", "h   i    j"], "label": "3"},
        {"activity_label": " Sprachen", "ctx_a": "[a\nb] x", "ctx_b": "\u00dfA \u039f\u0394\u039f\u03a3 \u01c6X Z\u00dcRICH it's O'NEIL",
         "endings": ["\u00a0q\u2003", "\x1cr", "\u200bs", "\u1e9e"], "label": "1"},
    ]),
}


def load_functions(path, config):
    """Resolves `!function module.name` of a task's file."""
    loader = type("Loader", (yaml.SafeLoader,), {})

    def function(_, node):
        module, name = node.value.rsplit(".", 1)
        spec = importlib.util.spec_from_file_location(module, path.parent / f"{module}.py")
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        return getattr(loaded, name)

    loader.add_constructor("!function", function)
    config.update(yaml.load(path.read_text(), loader))


def make(name, yaml_file, docs):
    lines = "".join(json.dumps(doc) + "\n" for doc in docs)
    (OUT / f"{name}.jsonl").write_text(lines)
    config = {}
    load_functions(TASKS / yaml_file, config)
    for key in ["training_split", "test_split", "tag", "dataset_name"]:
        config.pop(key, None)
    with tempfile.TemporaryDirectory() as cache:
        config.update(dataset_path="json", validation_split="validation", num_fewshot=0, dataset_kwargs={
            "data_files": {"validation": str(OUT / f"{name}.jsonl")}, "cache_dir": cache})
        task = ConfigurableTask(config=config)
        with open(OUT / f"{name}.expected.jsonl", "w") as file:
            for index, doc in enumerate(task.validation_docs()):
                context = task.fewshot_context(doc, num_fewshot=0)
                requests = task.construct_requests(doc=doc, ctx=context, metadata=(name, index, 1))
                pairs = [list(request.args) for request in requests]
                gold = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
                file.write(json.dumps({"requests": pairs, "choices": task.doc_to_choice(doc),
                                       "answer": int(gold)}) + "\n")


PAIRS = [("Question: a\nAnswer:", " yes"), ("the model  ", "sink"), ("ends in \u2003\n", " token"),
         ("un", "known"), ("it", "'s"), ("1 2", "34")]


def make_pairs():
    """How lm_eval splits a request into tokens, with the small tokenizer of make_tokenizers.py."""
    tokenizer = Tokenizer.from_file(str(ROOT / "tests/golden/tokenizers/llama3.json"))
    model = types.SimpleNamespace(
        backend="causal",
        tok_encode=lambda text, **_: tokenizer.encode(text, add_special_tokens=False).ids)
    with open(OUT / "pairs.jsonl", "w") as file:
        for context, continuation in PAIRS:
            first, second = TemplateLM._encode_pair(model, context, continuation)
            file.write(json.dumps({"context": context, "continuation": continuation,
                                   "context_ids": first, "continuation_ids": second}) + "\n")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    make_pairs()
    for name, (yaml_file, docs) in DOCS.items():
        make(name, yaml_file, docs)


if __name__ == "__main__":
    main()
