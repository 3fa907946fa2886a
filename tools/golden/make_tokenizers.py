#!/usr/bin/env python3
"""Golden files of the tokenizers: fuzzed strings, small tokenizers, and the ids HF gives.

The families' pipelines are in make_tokenizer_shapes.py.

Developer's tool: needs tokenizers 0.23.3, transformers and sentencepiece; writes tests/golden/tokenizers.
Expected ids are stored as one FNV-1a digest per string (16 hex digits and the count), which keeps
them small; `--show NAME INDEX` prints the ids behind one of them.

    python tools/golden/make_tokenizers.py [--shared ../shared] [--show NAME INDEX]
"""

import argparse
import gzip
import io
import json
import pathlib
import random
import tempfile

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers
from transformers import CLIPTokenizer

SEED = 20240227
STRINGS = 2000
ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests" / "golden" / "tokenizers"

LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2_SPLIT = LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")

# Ranges of characters that have been in Unicode for long: the libraries' tables differ in age.
RANGES = {
    "ascii": [(0x21, 0x7E)],
    "latin": [(0xC0, 0x17F), (0x1E00, 0x1EFF)],
    "greek_cyrillic": [(0x391, 0x3A1), (0x3B1, 0x3C9), (0x410, 0x44F)],
    "hebrew_arabic": [(0x5D0, 0x5EA), (0x621, 0x63A), (0x641, 0x64A), (0x660, 0x669)],
    "indic": [(0x905, 0x939), (0x93E, 0x94C), (0xB95, 0xB95), (0xBAE, 0xBB5), (0x966, 0x96F)],
    "thai": [(0xE01, 0xE2E), (0xE30, 0xE3A), (0xE47, 0xE4D)],
    "cjk": [(0x4E00, 0x4FFF), (0x3041, 0x3096), (0x30A1, 0x30FA)],
    "hangul": [(0xAC00, 0xAFFF), (0x1100, 0x1112), (0x1161, 0x1175)],
    "combining": [(0x300, 0x345), (0x483, 0x487), (0x591, 0x5AF), (0x20D0, 0x20DC)],
    "symbols": [(0xA1, 0xBF), (0x2010, 0x2027), (0x2030, 0x205E), (0x20A0, 0x20B5), (0x2190, 0x21FF),
                (0x2460, 0x24FF), (0x2200, 0x22FF), (0xFF01, 0xFF5E), (0xFB00, 0xFB06)],
    "numbers": [(0xB2, 0xB3), (0xBC, 0xBE), (0x2160, 0x2183), (0x2080, 0x2089), (0x3021, 0x3029)],
    "emoji": [(0x1F300, 0x1F5FF), (0x1F600, 0x1F64F), (0x1F680, 0x1F6C5)],
    "control": [(0x01, 0x08), (0x0E, 0x1F), (0x7F, 0x84), (0x86, 0x9F), (0xAD, 0xAD), (0x200B, 0x200F),
                (0x202A, 0x202E), (0xFEFF, 0xFEFF), (0x180E, 0x180E), (0xFFFD, 0xFFFD)],
    "private": [(0xE000, 0xE010), (0x10FFFD, 0x10FFFD)],
}
SPACES = [" ", " ", " ", "\n", "\t", "\r", "\r\n", "\v", "\f", "\u0085", "\u00a0", "\u1680", "\u2003",
          "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"]
SPECIALS = ["<s>", "</s>", "<unk>", "<|endoftext|>", "<|begin_of_text|>", "[INST]", "[/INST]",
            "<left>", "<right>", "<word>", "<norm\u00e9>", "<0x0A>", "\u2581", "<", "<|", "[control_8]"]
CONTRACTIONS = ["'s", "'S", "'t", "'re", "'RE", "'ve", "'m", "'ll", "'LL", "'d", "'\u017f", "'x", "\u2019s"]
WORDS = ("the quick brown fox jumps over a lazy dog and then it was that massive activation which is "
         "of model layer token attention hidden state zero mean bias norm sink value query key he said "
         "she went in to town with them because there were thousands under water hello world").split()
MORE_WORDS = ["stra\u00dfe", "caf\u00e9", "na\u00efve", "\u041f\u0440\u0438\u0432\u0435\u0442", "\u043c\u0438\u0440", "\u4f60\u597d", "\u4e16\u754c", "\u3053\u3093\u306b\u3061\u306f", "\u0645\u0631\u062d\u0628\u0627",
              "\u05e9\u05dc\u05d5\u05dd", "\u0928\u092e\u0938\u094d\u0924\u0947", "\ud55c\uad6d\uc5b4"]
SEQUENCES = ["\U0001F468\u200D\U0001F469\u200D\U0001F467", "\U0001F44D\U0001F3FD", "\u2764\ufe0f", "e\u0301", "a\u030a\u0323", "\u1112\u1161\u11ab", "\u00c5\u0301", "\u0344"]


def random_piece(rng):
    kind = rng.random()
    if kind < 0.22:
        return rng.choice(WORDS)
    if kind < 0.27:
        return rng.choice(WORDS).capitalize()
    if kind < 0.32:
        return rng.choice(MORE_WORDS)
    if kind < 0.50:
        return rng.choice(SPACES) * rng.choice([1, 1, 1, 2, 3])
    if kind < 0.56:
        return "".join(rng.choice("0123456789") for _ in range(rng.choice([1, 2, 3, 4, 7])))
    if kind < 0.61:
        return rng.choice(CONTRACTIONS)
    if kind < 0.66:
        return rng.choice(SPECIALS)
    if kind < 0.70:
        return rng.choice(SEQUENCES)
    ranges = RANGES[rng.choice(list(RANGES))]
    text = ""
    for _ in range(rng.choice([1, 1, 2, 3])):
        low, high = rng.choice(ranges)
        text += chr(rng.randint(low, high))
    return text


def fuzz_strings():
    rng = random.Random(SEED)
    strings = ["", " ", "  ", "\n", " \n", "\n ", "a", " a", "a ", "\u2581", " \u2581", "'", "<s>", " <s> ",
               "<s><s>", "a<word>b", "a <word> b", " <left> x <right> ", "aaaa" * 100, " " * 300,
               "\n" * 200, "ab" * 300, "\u4f60" * 200, "1" * 301, "e" + "\u0301" * 50, "!?" * 150]
    while len(strings) < STRINGS:
        strings.append("".join(random_piece(rng) for _ in range(rng.choice([1, 2, 3, 4, 6, 9]))))
    return strings


def training_lines():
    rng = random.Random(SEED + 1)
    lines = []
    for _ in range(3000):
        words = [rng.choice(WORDS + MORE_WORDS) for _ in range(rng.randint(3, 9))]
        if rng.random() < 0.3:
            words.append(str(rng.randint(0, 99999)))
        lines.append(" ".join(words) + rng.choice([".", "!", "?", ", it's", ";", "\n"]))
    return lines


def save(tokenizer, name, pairs):
    """Writes tokenizer.json; merges as pairs (new files) or as strings (old ones)."""
    document = json.loads(tokenizer.to_str())
    if not pairs:
        document["model"]["merges"] = [" ".join(merge) for merge in document["model"]["merges"]]
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    (OUT / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def train_byte_level(name, split, special, normalizer, ignore_merges, bos, pairs):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(split), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=640, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(training_lines(), trainer)
    for token in special:
        tokenizer.add_tokens([token])
    byte_level = processors.ByteLevel(trim_offsets=False)
    if bos:
        template = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))])
        tokenizer.post_processor = processors.Sequence([byte_level, template])
    else:
        tokenizer.post_processor = byte_level
    save(tokenizer, name, pairs)


def train_metaspace():
    """As LLaMA 2's file: normalizers instead of a pre-tokenizer, bytes for unknown characters."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=700, show_progress=False, special_tokens=special)
    tokenizer.train_from_iterator(training_lines(), trainer)
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = document["added_tokens"][:3]
    tokenizer = Tokenizer.from_str(json.dumps(document))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.pre_tokenizer = None
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(),
                                           decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A",
                                                             special_tokens=[("<s>", 1)])
    save(tokenizer, "metaspace", pairs=False)


def train_sentencepiece(name, kind):
    """`kind` bpe as LLaMA's models (byte fallback, nothing removed); unigram with clean-up of spaces
    and a small normalisation table of its own (the built-in ones take 240 KB)."""
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        rules.write("A0\t20\nFB01\t66 69\n3000\t20\n65 301\tE9\nAD\t\nFF11\t31\n9\t20\n")
        rules.flush()
        options = {"byte_fallback": True, "normalization_rule_name": "identity",
                   "remove_extra_whitespaces": False} if kind == "bpe" else {
                       "normalization_rule_tsv": rules.name}
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(training_lines()), model_writer=model, model_type=kind,
            vocab_size=600 if kind == "bpe" else 220, num_threads=1, minloglevel=2,
            character_coverage=0.9995, **options)
    (OUT / f"{name}.model").write_bytes(model.getvalue())


def make_tokenizers():
    special = [AddedToken("<|begin_of_text|>", special=True), AddedToken("<|endoftext|>", special=True)]
    train_byte_level("llama3", LLAMA3_SPLIT, special, None, True, "<|begin_of_text|>", pairs=True)
    flags = [AddedToken("<|endoftext|>", special=True), AddedToken("<left>", lstrip=True),
             AddedToken("<right>", rstrip=True), AddedToken("<word>", single_word=True),
             AddedToken("<norm\u00e9>", normalized=True)]
    train_byte_level("qwen2", QWEN2_SPLIT, flags, normalizers.NFC(), False, None, pairs=False)
    train_metaspace()
    train_sentencepiece("sp_bpe", "bpe")
    train_sentencepiece("sp_unigram", "unigram")


def digest(ids):
    value = 0xCBF29CE484222325
    for token in ids:
        for byte in token.to_bytes(4, "little"):
            value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x} {len(ids)}"


def clip_tokenizer(path):
    """OpenAI CLIP's vocabulary file in HF's pipeline for it."""
    lines = gzip.open(path, "rt", encoding="utf-8").read().split("\n")
    merges = [tuple(line.split()) for line in lines[1:49152 - 256 - 2 + 1]]
    themselves = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or 0xAE <= b]
    letters = [chr(b) for b in themselves] + [chr(256 + i) for i in range(256 - len(themselves))]
    tokens = letters + [letter + "</w>" for letter in letters] + ["".join(merge) for merge in merges]
    vocab = {token: i for i, token in enumerate(tokens + ["<|startoftext|>", "<|endoftext|>"])}
    tokenizer = CLIPTokenizer(vocab=vocab, merges=merges)
    return tokenizer.backend_tokenizer


def encoders(shared):
    for name in ["llama3", "qwen2", "metaspace"]:
        tokenizer = Tokenizer.from_file(str(OUT / f"{name}.json"))
        yield name, lambda text, t=tokenizer: t.encode(text, add_special_tokens=False).ids
    for name in ["gpt2", "mistral"]:
        tokenizer = Tokenizer.from_file(str(shared / f"data/{name}-tokenizer/tokenizer.json"))
        yield name, lambda text, t=tokenizer: t.encode(text, add_special_tokens=False).ids
    clip = clip_tokenizer(shared / "data/clip-tokenizer/bpe_simple_vocab_16e6.txt.gz")
    yield "clip", lambda text: clip.encode(text, add_special_tokens=False).ids
    for name in ["sp_bpe", "sp_unigram"]:
        processor = sentencepiece.SentencePieceProcessor(model_file=str(OUT / f"{name}.model"))
        yield name, processor.encode


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=pathlib.Path, default=ROOT.parent / "shared")
    parser.add_argument("--show", nargs=2, metavar=("NAME", "INDEX"))
    arguments = parser.parse_args()
    strings = fuzz_strings()
    if arguments.show:
        name, index = arguments.show[0], int(arguments.show[1])
        text = strings[index]
        print(json.dumps(text), dict(encoders(arguments.shared))[name](text))
        return
    OUT.mkdir(parents=True, exist_ok=True)
    make_tokenizers()
    with open(OUT / "strings.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(text) + "\n" for text in strings)
    for name, encode in encoders(arguments.shared):
        with open(OUT / f"{name}.expected", "w", encoding="utf-8") as file:
            file.writelines(digest(encode(text)) + "\n" for text in strings)


if __name__ == "__main__":
    main()
