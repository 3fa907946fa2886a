"""Writes tests/golden/zeroshot/<clip|open-clip|siglip>/: tiny random models with two towers and real tokenizers,
class names, templates, pictures, and HF's zero-shot logits, also with an edited vision tower.

Run: python make_zeroshot.py [--out DIR] [NAME ...]
"""

import argparse
import io
import json
import os
import pathlib
import random
import shutil
import zlib

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import sentencepiece
import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (CLIPConfig, CLIPModel, CLIPTokenizer, SiglipConfig, SiglipModel,
                          SiglipTokenizer)  # fmt: skip

from make_vision import IMAGE, TEXT, randomise, rename_as_open_clip

ZEROSHOT = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/zeroshot"
SIDE = 17
CLEARED = [1, 3, 4, 8]  # positions
LENGTH = 12  # of texts: the long name's prompts are cut
PICTURES = 12

# As people have them: WordNet ids, further names, cases and punctuation that tokenizers take away.
CLASSES = """n02123045 Tabby cat, tabby
n02106662 German  Shepherd, Alsatian

n01443537 goldfish
n03028079 church, church building
n99999999 an old grey stone church beside a quiet green river in the morning light
n04146614 child's school-bus
"""
NAMES = ["Tabby cat", "German  Shepherd", "goldfish", "church",
         "an old grey stone church beside a quiet green river in the morning light",
         "child's school-bus"]  # fmt: skip
TEMPLATES = "a photo of a {}.\nA drawing of the  {}!\nit's {} - (a {})\n"
# What images of each class are called: by name, further name, id; underscores and case do not matter.
FOLDERS = ["tabby_cat", "Alsatian", "goldfish", "church_building", "n99999999", "n04146614"]


def prompts():
    forms = TEMPLATES.strip().split("\n")
    return [form.replace("{}", name) for name in NAMES for form in forms]


def training_lines():
    rng = random.Random(0)
    words = " ".join(prompts()).lower().split()
    return [" ".join(rng.choice(words) for _ in range(8)) for _ in range(400)]


def clip_tokenizer():
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trained.normalizer = normalizers.Lowercase()
    trained.pre_tokenizer = CLIPTokenizer().backend_tokenizer.pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=110, end_of_word_suffix="</w>", show_progress=False)
    trained.train_from_iterator(training_lines(), trainer)
    model = json.loads(trained.to_str())["model"]
    vocabulary = model["vocab"]
    for special in ("<|startoftext|>", "<|endoftext|>"):
        vocabulary[special] = len(vocabulary)
    return CLIPTokenizer(vocab=vocabulary, merges=[tuple(merge) for merge in model["merges"]])


def siglip_tokenizer(folder):
    """As SigLIP's: unigram, the end token is 1 and pads as well."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(training_lines()), model_writer=model, vocab_size=60,
        model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1, normalization_rule_name="identity",
        minloglevel=2)  # fmt: skip
    path = folder / "spiece.model"
    path.write_bytes(model.getvalue())
    return SiglipTokenizer(str(path), model_input_names=["input_ids"])


def make_model(name, folder, generator):
    text = TEXT | dict(max_position_embeddings=LENGTH)
    if name != "siglip":
        tokenizer = clip_tokenizer()
        ids = dict(vocab_size=len(tokenizer), bos_token_id=tokenizer.bos_token_id,
                   eos_token_id=tokenizer.eos_token_id)  # fmt: skip
        model = CLIPModel(CLIPConfig(vision_config=IMAGE, text_config=text | ids, projection_dim=9))
    else:
        tokenizer = siglip_tokenizer(folder)
        text |= dict(hidden_size=20, num_attention_heads=4, vocab_size=len(tokenizer))
        model = SiglipModel(SiglipConfig(vision_config=IMAGE, text_config=text))
    randomise(model, generator)
    model.logit_scale.data.fill_(1.3)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def to_open_clip(folder, vocabulary):
    rename_as_open_clip(folder)
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text())
    config["model_cfg"]["text_cfg"] |= dict(context_length=LENGTH, vocab_size=vocabulary)
    path.write_text(json.dumps(config, indent=2) + "\n")


def make_pixels(generator):
    """Pictures of few colours, so that the files stay small."""
    colours = torch.randint(0, 256, (PICTURES, 3, 3, 3), generator=generator).float()
    large = torch.nn.functional.interpolate(colours, size=(SIDE, SIDE), mode="nearest")
    return large.round().to(torch.uint8)


def encode(tokenizer, name):
    padding = "max_length" if name == "siglip" else True
    return tokenizer(prompts(), padding=padding, truncation=True, max_length=LENGTH,
                     return_tensors="pt")["input_ids"]  # fmt: skip


def direction(vectors):
    return vectors / vectors.norm(dim=-1, keepdim=True)


@torch.no_grad()
def evaluate(model, pixels, ids):
    """(HF's similarity of images and prompts; the same with the mean direction of each class's prompts)."""
    # Only ids: SigLIP was trained without a mask, and its published tokenizers give none.
    each = model(input_ids=ids, pixel_values=pixels)
    classes = direction(direction(each.text_embeds).unflatten(0, (len(NAMES), -1)).mean(1))
    bias = getattr(model, "logit_bias", torch.zeros(()))
    logits = model.logit_scale.exp() * direction(each.image_embeds) @ classes.T + bias
    return each.logits_per_image, classes, logits


def edited(model):
    """Zeroes some patches behind the first layer."""
    def clear(_module, _arguments, output):
        hidden = output[0] if isinstance(output, tuple) else output
        hidden[:, CLEARED] = 0
        return output

    return model.vision_model.encoder.layers[0].register_forward_hook(clear)


def choose_labels(logits):
    """Right for every other image, for the others the third or the last choice."""
    order = logits.argsort(dim=1, descending=True)
    return [int(order[i, (0, 2, 0, 5)[i % 4]]) for i in range(len(logits))]


def save_pictures(name, folder, pictures, labels):
    """CLIP's in a folder per class, SigLIP's with a list; returns the order in which they are read."""
    (folder / "images").mkdir()
    paths = [f"{FOLDERS[label]}/{i:02}.png" if name != "siglip" else f"{i:02}.png"
             for i, label in enumerate(labels)]  # fmt: skip
    for path, picture in zip(paths, pictures):
        file = folder / "images" / path
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(file, optimize=True)
    if name == "siglip":
        lines = [f"images/{path},{FOLDERS[label]}" for path, label in zip(paths, labels)]
        (folder / "images.csv").write_text("path,label\n" + "\n".join(lines) + "\n")
    return sorted(range(len(paths)), key=lambda i: paths[i])


def make(name, out):
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    model, tokenizer = make_model(name, folder, generator)
    if name == "open-clip":
        to_open_clip(folder, len(tokenizer))
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
    processor = "SiglipImageProcessor" if name == "siglip" else "CLIPImageProcessor"
    (folder / "preprocessor_config.json").write_text(json.dumps(dict(
        image_processor_type=processor, size=dict(height=SIDE, width=SIDE), do_center_crop=False,
        image_mean=mean, image_std=std)) + "\n")  # fmt: skip
    (folder / "classes.txt").write_text(CLASSES)
    (folder / "templates.txt").write_text(TEMPLATES)

    pictures, ids = make_pixels(generator), encode(tokenizer, name)
    pixels = (pictures / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    each, classes, logits = evaluate(model, pixels, ids)
    hook = edited(model)
    changed = evaluate(model, pixels, ids)[2]
    hook.remove()
    labels = choose_labels(logits)
    order = save_pictures(name, folder, pictures, labels)
    tensors = dict(ids=ids, class_vectors=classes, logits_per_image=each[order], logits=logits[order],
                   edited_logits=changed[order], labels=torch.tensor(labels)[order])  # fmt: skip
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()},
              folder / "expected.safetensors")  # fmt: skip
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{name:8} {size // 1024:5} KiB; longest text {int((ids != ids[0, -1]).sum(1).max())} ids")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=ZEROSHOT)
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    for name in arguments.names or ("clip", "open-clip", "siglip"):
        make(name, arguments.out)


if __name__ == "__main__":
    main()
