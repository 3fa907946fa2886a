"""The pipelines of the families' tokenizer.json files, without their vocabularies.

`shapes()` gives (name, model, parts): `model` names one of the small models that
make_tokenizer_shapes.py trains, `parts` are the other sections of a tokenizer.json (and `options`, which
change the model's fields). The configurations are facts of the families' published files.
"""

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{ENDING}|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{ENDING}|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = O200K.replace(ENDING, "").replace(r"\p{N}{1,3}", r"\p{N}")
BLOOM = " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"
CLIP = (r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|"
        r"[^\s\p{L}\p{N}]+")
DEEPSEEK_V3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
               r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
def _characters(text):
    """`text` with its \\uXXXX turned into characters and everything else left alone."""
    out, at = "", 0
    while at < len(text):
        if text.startswith("\\u", at):
            out += chr(int(text[at + 2:at + 6], 16))
            at += 6
        else:
            out += text[at]
            at += 1
    return out


# DeepSeek's first tokenizer: letters of scripts with case, punctuation, ideographs.
DEEPSEEK_LETTERS = _characters(
    r"\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
    r"\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1"
    r"\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u1e00-\u1f15"
    r"\uff21-\uff3a\uff41-\uff5a]+")
DEEPSEEK_SYMBOLS = _characters(r"\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+")
DEEPSEEK_IDEOGRAPHS = _characters(r"[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+")


def sequence(kind, *parts):
    return {"type": "Sequence", kind: list(parts)}


def split(pattern, behavior="Isolated", invert=False, regex=True):
    return {"type": "Split", "pattern": {"Regex" if regex else "String": pattern},
            "behavior": behavior, "invert": invert}


def byte_level(add_prefix_space=False, use_regex=True):
    return {"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": True,
            "use_regex": use_regex}


def replace(pattern, content, regex=False):
    return {"type": "Replace", "pattern": {"Regex" if regex else "String": pattern},
            "content": content}


def token(content, **flags):
    return {"content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True, **flags}


def pre(*parts):
    return {"pre_tokenizer": sequence("pretokenizers", *parts)}


def metaspace(**fields):
    return {"type": "Metaspace", "replacement": "\u2581", **fields}


def byte_level_shapes():
    plain = byte_level(use_regex=False)
    spaces = [token(" " * n, special=False, normalized=True) for n in (2, 3, 4, 8)]
    yield "gpt2", {"pre_tokenizer": byte_level()}
    yield "opt", {"pre_tokenizer": byte_level(), "added_tokens": [
        token("</s>", normalized=True), token("<pad>", normalized=True)]}
    yield "gptj", {"pre_tokenizer": byte_level(), "added_tokens": [
        token("<|endoftext|>", normalized=True), token("<|extratoken_1|>", special=False)]}
    yield "phi2", {"pre_tokenizer": byte_level(), "added_tokens": [token("<|endoftext|>")] + [
        token(text, special=False, normalized=True) for text in ("  ", "   ", "\t\t", "\t\t\t")]}
    yield "neox", {"normalizer": {"type": "NFC"}, "pre_tokenizer": byte_level(),
                   "added_tokens": [token("<|endoftext|>")] + spaces}
    yield "llama3", {**pre(split(LLAMA3), plain), "options": {"ignore_merges": True},
                     "added_tokens": [token("<|begin_of_text|>")]}
    yield "qwen2", {"normalizer": {"type": "NFC"}, **pre(split(QWEN2), plain),
                    "added_tokens": [token("<|endoftext|>"), token("<|im_start|>")]}
    yield "falcon", {**pre({"type": "Punctuation", "behavior": "Contiguous"}, byte_level(),
                           {"type": "Digits", "individual_digits": False}, split("[0-9][0-9][0-9]")),
                     "added_tokens": [token(">>TITLE<<"), token("<|endoftext|>")]}
    yield "bloom", {**pre(split(BLOOM), plain), "added_tokens": [token("<unk>"), token("<s>")]}
    yield "starcoder2", {**pre({"type": "Digits", "individual_digits": True}, byte_level()),
                         "added_tokens": [token("<fim_prefix>")]}
    yield "gpt-oss", {**pre(split(O200K), plain), "options": {"ignore_merges": True}}
    yield "tekken", {**pre(split(TEKKEN), plain), "options": {"ignore_merges": True}}
    yield "deepseek-llm", {**pre(split("[\r\n]"), split(DEEPSEEK_LETTERS), split(DEEPSEEK_SYMBOLS),
                                 split(r"\s+$"), split(DEEPSEEK_IDEOGRAPHS),
                                 {"type": "Digits", "individual_digits": True}, plain)}
    yield "deepseek-v3", {"normalizer": sequence("normalizers"),
                          **pre(split(r"\p{N}{1,3}"),
                                split(_characters(r"[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+")),
                                split(DEEPSEEK_V3), plain)}
    yield "deepseek-coder", {**pre(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"),
                                   split(DEEPSEEK_IDEOGRAPHS),
                                   {"type": "Digits", "individual_digits": True}, plain)}
    yield "superbpe", {**pre(split(r"\p{N}+"), split(r"(?=(\d{3})+(?!\d))"), plain)}
    yield "flags", {"normalizer": {"type": "NFKC"}, "pre_tokenizer": byte_level(True),
                    "added_tokens": [
                        token("<left>", lstrip=True), token("<right>", rstrip=True, special=False),
                        token("<word>", single_word=True), token("<norm\u00e9>", normalized=True),
                        token("the", single_word=True, lstrip=True, rstrip=True, special=False),
                        token("\u00e9", normalized=True, special=False)]}
    yield "byte-normalizer", {"normalizer": {"type": "ByteLevel"}, "pre_tokenizer": None}


def metaspace_shapes():
    to_mark = replace(" ", "\u2581")
    specials = [token("<s>"), token("</s>")]
    yield "llama2", {"normalizer": sequence("normalizers", {"type": "Prepend", "prepend": "\u2581"},
                                            to_mark), "added_tokens": specials}
    yield "phi3", {"normalizer": sequence("normalizers", {"type": "Prepend", "prepend": "\u2581"},
                                          to_mark),
                   "added_tokens": specials + [token("<|end|>", rstrip=True),
                                               token("<|user|>", rstrip=True)]}
    yield "gemma", {"normalizer": to_mark, "added_tokens": [
        token("<bos>"), token("\n\n", special=False), token("\u2581\u2581", special=False),
        token("<h1>", special=False)],
        "pre_tokenizer": split(" ", "MergedWithPrevious", regex=False)}
    for scheme in ("always", "first", "never"):
        for cut in (True, False):
            yield f"metaspace-{scheme}-{'split' if cut else 'whole'}", {
                "pre_tokenizer": metaspace(prepend_scheme=scheme, split=cut),
                "added_tokens": specials}
    yield "no-bytes", {"normalizer": to_mark, "options": {"byte_fallback": False}}
    yield "unknown-apart", {"normalizer": to_mark,
                            "options": {"byte_fallback": False, "fuse_unk": False}}


def word_shapes():
    bert = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
            "strip_accents": None, "lowercase": True}
    yield "bert", "wordpiece", {"normalizer": bert, "pre_tokenizer": {"type": "BertPreTokenizer"},
                                "added_tokens": [token("[UNK]"), token("[CLS]")],
                                "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True}}
    yield "bert-cased", "wordpiece", {
        "normalizer": {**bert, "lowercase": False}, "pre_tokenizer": {"type": "BertPreTokenizer"},
        "options": {"max_input_chars_per_word": 5}}
    yield "wordlevel", "wordlevel", {
        "normalizer": sequence("normalizers", {"type": "Strip", "strip_left": True,
                                               "strip_right": True}, {"type": "NFKD"},
                               {"type": "StripAccents"}, {"type": "Lowercase"}),
        "pre_tokenizer": {"type": "Whitespace"}}
    yield "wordlevel-cuts", "wordlevel", {
        "pre_tokenizer": sequence(
            "pretokenizers", {"type": "WhitespaceSplit"}, {"type": "CharDelimiterSplit",
                                                           "delimiter": "e"},
            {"type": "Punctuation", "behavior": "MergedWithPrevious"},
            {"type": "Digits", "individual_digits": False},
            split(r"\b", "Isolated"), split(r"\w+", "MergedWithNext", invert=True))}
    yield "t5", "unigram", {"normalizer": {"type": "Precompiled"},
                            "pre_tokenizer": sequence("pretokenizers", {"type": "WhitespaceSplit"},
                                                      metaspace(prepend_scheme="always")),
                            "added_tokens": [token("</s>")]}
    yield "xlm-roberta", "unigram", {
        "normalizer": sequence("normalizers", {"type": "Precompiled"},
                               {"type": "Strip", "strip_left": False, "strip_right": True},
                               replace(" {2,}", "\u2581", regex=True)),
        "pre_tokenizer": metaspace(prepend_scheme="always")}
    yield "unigram-bytes", "unigram", {"options": {"byte_fallback": True},
                                       "pre_tokenizer": metaspace(prepend_scheme="first")}
    yield "clip", "clip", {
        "normalizer": sequence("normalizers", {"type": "NFC"}, replace(r"\s+", " ", regex=True),
                               {"type": "Lowercase"}),
        **pre(split(CLIP, "Removed", invert=True), byte_level()),
        "added_tokens": [token("<|startoftext|>"), token("<|endoftext|>", normalized=True)]}
    yield "clip-merging", "prefixed", {"pre_tokenizer": {"type": "Whitespace"}}


def shapes():
    for name, parts in byte_level_shapes():
        yield name, "bytes", parts
    for name, parts in metaspace_shapes():
        yield name, "marks", parts
    yield from word_shapes()
