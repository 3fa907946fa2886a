"""Reads llama2.c's legacy files (model .bin, tokenizer .bin) and turns them into HF ones.

Run: python llama2c.py FOLDER_WITH_stories260K.bin_AND_tok512.bin OUT_DIRECTORY
writes an HF directory (not committed) after checking that greedy decoding gives the published story.
"""

import argparse
import functools
import pathlib
import struct

import numpy
import torch
import transformers

BOS = 1
PUBLISHED = "stories260K.md"


class Tokenizer:
    """llama2.c's encoder: characters (or bytes + 3), then the best-scored merge until none is left."""

    def __init__(self, path, vocab_size):
        data, at = path.read_bytes(), 4
        self.pieces, self.scores = [], []
        for _ in range(vocab_size):
            score, length = struct.unpack_from("<fi", data, at)
            self.pieces.append(data[at + 8 : at + 8 + length])
            self.scores.append(score)
            at += 8 + length
        assert at == len(data), "expected the file to end after the last piece"
        # Only a piece's first byte is ever a space, so that no merge crosses the start of a word.
        assert not any(b" " in piece[1:] for piece in self.pieces)
        self.ids = {piece: i for i, piece in enumerate(self.pieces)}
        self.encode_word = functools.cache(self._encode_word)

    def _encode_word(self, word):
        ids = []
        for character in word:
            piece = character.encode()
            ids += [self.ids[piece]] if piece in self.ids else [byte + 3 for byte in piece]
        while True:
            merges = [
                (self.scores[merged], -i, merged)
                for i in range(len(ids) - 1)
                if (merged := self.ids.get(self.pieces[ids[i]] + self.pieces[ids[i + 1]])) is not None
            ]
            if not merges:
                return tuple(ids)
            _, place, merged = max(merges)
            ids[-place : -place + 2] = [merged]

    def encode(self, text):
        """Token ids without BOS; llama2.c puts a space before a text."""
        words = (" " + text).split(" ")[1:] if text else []
        return [i for word in words for i in self.encode_word(" " + word)]

    def decode(self, ids):
        pieces = [self.pieces[i] for i in ids]
        data = b"".join(bytes([i - 3]) if 3 <= i < 259 else p for i, p in zip(ids, pieces))
        return data.decode(errors="replace").removeprefix(" ")


def half_split(weight, heads):
    """Rows of a q or k projection from interleaved rotary pairs to HF's two halves."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)


def load_model(path):
    """HF's LlamaForCausalLM of a llama2.c legacy .bin, fp32, eager attention."""
    data = path.read_bytes()
    dim, hidden, layers, heads, groups, vocab, context = struct.unpack_from("<7i", data)
    numbers = torch.from_numpy(numpy.frombuffer(data, numpy.float32, offset=28).copy())
    at = 0

    def take(*shape):
        nonlocal at
        count = numpy.prod(shape)
        at += count
        return numbers[at - count : at].reshape(shape)

    c = dim // heads
    config = transformers.LlamaConfig(
        vocab_size=abs(vocab), hidden_size=dim, intermediate_size=hidden, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=groups, max_position_embeddings=context,
        rms_norm_eps=1e-5, bos_token_id=BOS, eos_token_id=2, tie_word_embeddings=vocab > 0,
        attn_implementation="eager")  # fmt: skip
    state = {"model.embed_tokens.weight": take(abs(vocab), dim)}

    def each_layer(name, *shape, permuted_heads=None):
        for i, weight in enumerate(take(layers, *shape)):
            weight = half_split(weight, permuted_heads) if permuted_heads else weight
            state[f"model.layers.{i}.{name}.weight"] = weight

    each_layer("input_layernorm", dim)
    each_layer("self_attn.q_proj", heads * c, dim, permuted_heads=heads)
    each_layer("self_attn.k_proj", groups * c, dim, permuted_heads=groups)
    each_layer("self_attn.v_proj", groups * c, dim)
    each_layer("self_attn.o_proj", dim, heads * c)
    each_layer("post_attention_layernorm", dim)
    each_layer("mlp.gate_proj", hidden, dim)
    each_layer("mlp.down_proj", dim, hidden)
    each_layer("mlp.up_proj", hidden, dim)
    state["model.norm.weight"] = take(dim)
    take(2, context, c // 2)  # the rotary tables
    state["lm_head.weight"] = state["model.embed_tokens.weight"] if vocab > 0 else take(-vocab, dim)
    assert at == len(numbers), "expected the file to end after the last tensor"
    model = transformers.LlamaForCausalLM(config).eval()
    model.load_state_dict(state)
    return model


@torch.no_grad()
def check_published_story(model, tokenizer, page):
    """The published greedy text, teacher-forced: the arg-max at every position is the next token."""
    listing = page.read_text().split("-t 0.0\n", 1)[1].split("```", 1)[0].strip("\n")
    ids = [BOS] + tokenizer.encode(listing)
    predicted = model(torch.tensor([ids])).logits[0].argmax(-1)[:-1]
    wrong = (predicted != torch.tensor(ids[1:])).nonzero().flatten().tolist()
    assert not wrong, f"positions {wrong} of {len(ids)} differ from the published story"
    return len(ids)


def load(folder):
    """(model, tokenizer) of stories260K, checked against its published story."""
    model = load_model(folder / "stories260K.bin")
    tokenizer = Tokenizer(folder / "tok512.bin", model.config.vocab_size)
    check_published_story(model, tokenizer, folder / PUBLISHED)
    return model, tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    arguments = parser.parse_args()
    model, _ = load(arguments.source)
    model.save_pretrained(arguments.out)
    print("greedy decoding gives the published story; wrote", arguments.out)


if __name__ == "__main__":
    main()
