"""Does HF transformers load what massact-train writes, and does it compute the same?

Run by hand (it needs torch and transformers, which CI does not install):

    python tests/train/hf_check.py build/release/bin/massact-train SCRATCH TEXT...

Trains a few steps of a small default model of each architecture on TEXT in SCRATCH, loads the
checkpoints as GPT2LMHeadModel and LlamaForCausalLM and compares float32 logits with
`massact-train logits`; checks that HF's tokenizer gives the ids that `prepare` wrote. Then small
vision transformers, without and with registers, on images from `prepare --images`, read by HF's
image processor from its own preprocessor_config.json.
"""

import json
import pathlib
import subprocess
import sys

import numpy
import PIL.Image
import torch
import transformers


def run(*arguments):
    subprocess.run([str(a) for a in arguments], check=True)


def load(loader, checkpoint):
    model, info = loader.from_pretrained(checkpoint, output_loading_info=True, dtype=torch.float32)
    assert not any(info[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    return model.eval()


def compare(name, ours, theirs):
    error = numpy.abs(ours - theirs).max()
    print(f"{name}: largest difference of logits {error:.2e} "
          f"(largest logit {numpy.abs(theirs).max():.2f})")
    assert error < 1e-4 * numpy.abs(theirs).max() + 1e-5


def checked(program, scratch, texts, architecture):
    out = scratch / architecture
    run(program, "run", "--text", *texts, "--out", out, "--arch", architecture, "--layers", 3,
        "--width", 48, "--heads", 4, "--kv-heads", 2 if architecture == "llama" else 4,
        "--mlp", 100, "--context", 64, "--steps", 20, "--warmup", 5)
    checkpoint = out / "latest"
    model = load(transformers.AutoModelForCausalLM, checkpoint)
    ids = [1] + list(range(5, 55))
    run(program, "logits", "--checkpoint", checkpoint, "--ids", ",".join(map(str, ids)),
        "--out", scratch / "logits.npy")
    ours = numpy.load(scratch / "logits.npy")
    with torch.no_grad():
        theirs = model(torch.tensor([ids])).logits[0].numpy()
    compare(type(model).__name__, ours, theirs)

    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    data = json.loads((out / "data" / "data.json").read_text())
    width = {2: "<u2", 4: "<u4"}[data["token_bytes"]]
    stored = numpy.fromfile(out / "data" / "train.bin", width)
    text = pathlib.Path(texts[0]).read_text()
    theirs = tokenizer(text)["input_ids"]
    assert theirs[0] == data["bos_id"], theirs[:3]
    n = min(5000, data["train"]["tokens"] // 2)
    same = numpy.array_equal(numpy.array(theirs[1:1 + n]), stored[:n])
    print(f"{type(tokenizer).__name__}: BOS first, the first {n} ids of {texts[0]} "
          f"{'are' if same else 'ARE NOT'} those of prepare")
    assert same


def checked_vit(program, scratch, registers):
    out = scratch / f"vit-{registers}"
    run(program, "run", "--arch", "vit", "--out", out, "--layers", 3, "--width", 48, "--heads", 4,
        "--registers", registers, "--steps", 20, "--warmup", 5)
    images = scratch / f"images-{registers}"
    run(program, "prepare", "--images", "procedural", "--count", 12, "--out", images)
    files = sorted(images.glob("*/*.png"), key=lambda file: file.name)
    run(program, "logits", "--checkpoint", out / "latest", "--images",
        ",".join(str(int(file.stem)) for file in files), "--out", scratch / "logits.npy")
    model = load(transformers.AutoModelForImageClassification, out / "latest")
    processor = transformers.AutoImageProcessor.from_pretrained(out / "latest")
    pixels = processor([PIL.Image.open(file) for file in files], return_tensors="pt")
    with torch.no_grad():
        theirs = model(**pixels).logits.numpy()
    compare(type(model).__name__, numpy.load(scratch / "logits.npy"), theirs)
    assert set(model.config.id2label.values()) == {folder.name for folder in images.iterdir()}


if __name__ == "__main__":
    for name in ("llama", "gpt2"):
        checked(sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:], name)
    for registers in (0, 4):
        checked_vit(sys.argv[1], pathlib.Path(sys.argv[2]), registers)
