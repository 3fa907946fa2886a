#!/usr/bin/env python3
"""Golden files of the families' tokenizer pipelines: tests/golden/tokenizers/shapes.

Developer's tool: needs tokenizers 0.23.3 and sentencepiece. The vocabularies are trained here, on
text whose words are not kept apart, so that tokens reach across every place a pipeline may cut.

    python tools/golden/make_tokenizer_shapes.py                 # the committed files
    python tools/golden/make_tokenizer_shapes.py --out DIR --seed 7 --strings 20000
    MASSACT_TOKENIZER_SHAPES=DIR build/release/tests/unit/text/text_test --gtest_filter='*Shape*'
    python tools/golden/make_tokenizer_shapes.py --show NAME INDEX     # what HF gives for a string

Expected ids are stored as eight hex digits of FNV-1a per string, in one line per shape.
"""

import argparse
import base64
import json
import pathlib
import random

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

import make_tokenizers as base
import tokenizer_shapes

OUT = base.OUT / "shapes"
VOCABULARY = 500
MORE_SPECIALS = ["<|im_start|>", "<|extratoken_1|>", ">>TITLE<<", "<fim_prefix>", "<|end|>", "<bos>", "<h1>",
                 "[CLS]", "[UNK]", "<|startoftext|>", "\n\n", "\u2581\u2581", "    ", "\t\t\t", "the", "\u00e9"]
# Things that single steps treat in a way of their own.
ODD = ["\u0130", "\u03a3", "\u00df", "\u1e9e", "\ufb03", "\u2460", "\u3000", "\u00ad", "\u0000", "\ufffd", "\u200d", "\u0345", "\u24b6", "\u216b", "\u00b2",
       "\u9fff", "\uf900", "\U00020000", "\u3042\u3099", "\u0e33", "\u0f77", "\ud55c", "\u1112\u1161\u11ab", "\U0001F1E9\U0001F1EA", "$1,234.56",
       "1234567", "\u0661\u0662\u0663\u0664", "a\u0308\u0323b", "\r\n\r\n", "x\u00a0y", "/\n/", "CamelCaseWORD's", "don\u2019t"]


def strings(seed, count):
    rng = random.Random(seed)
    texts = ["", " ", "\n", "  a", "a  ", "\u2581a", "<s>a", " </s> "] + ODD
    while len(texts) < count:
        parts = []
        for _ in range(rng.choice([1, 2, 3, 5, 8, 13])):
            kind = rng.random()
            parts.append(rng.choice(ODD) if kind < 0.12 else
                         rng.choice(MORE_SPECIALS) if kind < 0.2 else base.random_piece(rng))
        texts.append("".join(parts))
    return texts


def training_texts():
    rng = random.Random(base.SEED + 2)
    return ["".join(base.random_piece(rng) if rng.random() < 0.8 else rng.choice(ODD)
                    for _ in range(12)) for _ in range(4000)] + base.training_lines()


def train(model, trainer, pre_tokenizer=None, texts=None):
    tokenizer = Tokenizer(model)
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(texts or training_texts(), trainer)
    return json.loads(tokenizer.to_str())["model"]


def bpe_trainer(**options):
    return trainers.BpeTrainer(vocab_size=VOCABULARY, show_progress=False, min_frequency=2, **options)


def words(text):
    return text.replace("\u2581", " ").split()


def charsmap():
    """A small table of replacements, as sentencepiece compiles it."""
    import io
    import tempfile

    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2 as protocol
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        rules.write("A0\t20\nFB03\t66 66 69\n3000\t20\n65 301\tE9\nAD\t\nFF11\t31\n9\t20\nA\t20\n2460\t31\n"
                    "3042 3099\t3042\nE9\t65\n1F1E9 1F1EA\t44 45\n")
        rules.flush()
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(base.training_lines()), model_writer=model, model_type="unigram",
            vocab_size=120, num_threads=1, minloglevel=2, normalization_rule_tsv=rules.name)
    proto = protocol.ModelProto()
    proto.ParseFromString(model.getvalue())
    return base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()


def make_models():
    bytes_alphabet = pre_tokenizers.ByteLevel.alphabet()
    marked = [" ".join(words(text)).replace(" ", "\u2581") for text in training_texts()]
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    split_words = [" ".join(words(text)) for text in base.training_lines()]
    whitespace = pre_tokenizers.Whitespace()
    unigram = train(models.Unigram(), trainers.UnigramTrainer(
        vocab_size=300, show_progress=False, unk_token="<unk>", special_tokens=["<unk>"]),
        pre_tokenizers.Metaspace(), split_words)
    unigram["vocab"] += [[text, 0.0] for text in byte_tokens]
    return {
        "bytes": train(models.BPE(), bpe_trainer(initial_alphabet=bytes_alphabet),
                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)),
        "marks": train(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True),
                       bpe_trainer(special_tokens=["<unk>"] + byte_tokens, limit_alphabet=90),
                       None, marked),
        "clip": train(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"),
                      bpe_trainer(initial_alphabet=bytes_alphabet, end_of_word_suffix="</w>",
                                  special_tokens=["<|startoftext|>", "<|endoftext|>"]),
                      pre_tokenizers.ByteLevel(add_prefix_space=False),
                      [text.lower() for text in split_words]),
        "prefixed": train(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##"),
                          bpe_trainer(special_tokens=["[UNK]"], continuing_subword_prefix="##"),
                          whitespace, split_words),
        "wordpiece": train(models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(
            vocab_size=VOCABULARY, show_progress=False, special_tokens=["[UNK]", "[CLS]"]),
            whitespace, split_words),
        "wordlevel": train(models.WordLevel(unk_token="<unk>"), trainers.WordLevelTrainer(
            vocab_size=200, show_progress=False, special_tokens=["<unk>"]), whitespace,
            split_words),
        "unigram": unigram,
    }


def fill_charsmap(part, table):
    if isinstance(part, dict):
        if part.get("type") == "Precompiled":
            part["precompiled_charsmap"] = table
        for value in part.values():
            fill_charsmap(value, table)
    elif isinstance(part, list):
        for value in part:
            fill_charsmap(value, table)


def document(model, parts):
    """A whole tokenizer.json; the added tokens that the model lacks get the ids behind it."""
    parts = json.loads(json.dumps(parts))
    model = {**model, **parts.pop("options", {})}
    vocab = model["vocab"]
    known = dict(vocab) if isinstance(vocab, dict) else {entry[0]: i for i, entry in enumerate(vocab)}
    next_id = len(vocab)
    for token in parts.setdefault("added_tokens", []):
        if token["content"] in known:
            token["id"] = known[token["content"]]
        else:
            token["id"], next_id = next_id, next_id + 1
    parts["added_tokens"].sort(key=lambda token: token["id"])
    return {"version": "1.0", "truncation": None, "padding": None, "normalizer": None,
            "pre_tokenizer": None, "post_processor": None, "decoder": None, **parts, "model": model}


def digest(ids):
    return base.digest(ids)[8:16]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    parser.add_argument("--seed", type=int, default=base.SEED + 3)
    parser.add_argument("--strings", type=int, default=600)
    parser.add_argument("--show", nargs=2, metavar=("NAME", "INDEX"))
    arguments = parser.parse_args()
    texts = strings(arguments.seed, arguments.strings)
    if arguments.show:
        name, index = arguments.show[0], int(arguments.show[1])
        model_of = {entry["name"]: entry for entry in json.loads((arguments.out / "shapes.json").read_text())}
        shape = model_of[name]
        trained = json.loads((arguments.out / f"model-{shape['model']}.json").read_text())
        tokenizer = Tokenizer.from_str(json.dumps(document(trained, shape["parts"])))
        encoding = tokenizer.encode(texts[index], add_special_tokens=False)
        print(json.dumps(texts[index]), encoding.ids, encoding.tokens)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    trained = make_models()
    table = charsmap()
    for name, model in trained.items():
        if "merges" in model:
            model["merges"] = [" ".join(merge) for merge in model["merges"]]
        (arguments.out / f"model-{name}.json").write_text(
            json.dumps(model, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    written, expected = [], []
    for name, model, parts in tokenizer_shapes.shapes():
        fill_charsmap(parts, table)
        whole = document(trained[model], parts)
        tokenizer = Tokenizer.from_str(json.dumps(whole))
        parts["added_tokens"] = whole["added_tokens"]
        written.append({"name": name, "model": model, "parts": parts})
        expected.append(name + " " + "".join(
            digest(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts))
    (arguments.out / "shapes.json").write_text(
        "[" + ",\n".join(json.dumps(shape) for shape in written) + "]\n", encoding="utf-8")
    (arguments.out / "strings.jsonl").write_text(
        "".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    (arguments.out / "expected.txt").write_text("\n".join(expected) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
