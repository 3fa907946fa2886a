"""Writes PyTorch checkpoints: golden models as people have them, and files for the fuzz targets.

  tests/golden/models/gpt2-torch            pytorch_model.bin
  tests/golden/models/llama-torch-sharded   pytorch_model-0000N-of-00002.bin with an index
  tests/golden/models/nanogpt, nanogpt-bare ckpt.pt as nanoGPT writes it, with and without biases
  tests/golden/torch                        odd tensors, with their values in values.safetensors
  tests/fuzz/seeds/torch, pickle            valid and refused files

The models' sites are HF's own, of the same weights in HF's layout. Run: python make_torch.py
"""

import collections
import io
import json
import os
import pathlib
import pickle
import shutil
import struct
import zipfile

import torch
import transformers
from safetensors.torch import load_file, save_file

import make_models

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = ROOT / "tests/golden/models"
SEEDS = ROOT / "tests/fuzz/seeds"

make_models.TABLE |= {
    "gpt2-torch": (make_models.gpt2(activation_function="gelu_new"), dict(lengths=(7,))),
    "llama-torch-sharded": (
        make_models.llama(num_key_value_heads=2), dict(shards=2, lengths=(7,), dtype=torch.bfloat16)
    ),
    "nanogpt": (
        make_models.gpt2(activation_function="gelu", n_inner=None), dict(lengths=(1, 7))
    ),
    "nanogpt-bare": (
        make_models.gpt2(activation_function="gelu", n_inner=None, n_embd=12), dict(lengths=(7,))
    ),
}  # fmt: skip


def to_bin(folder):
    """Replaces every safetensors file of a model by its PyTorch counterpart."""
    rename = lambda name: name.replace("model", "pytorch_model", 1).replace(".safetensors", ".bin")
    for path in sorted(folder.glob("model*.safetensors")):
        torch.save(collections.OrderedDict(load_file(path)), folder / rename(path.name))
        path.unlink()
    index = folder / "model.safetensors.index.json"
    if index.exists():
        content = json.loads(index.read_text())
        content["weight_map"] = {k: rename(v) for k, v in content["weight_map"].items()}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(content, indent=2) + "\n")
        index.unlink()


def to_nanogpt(folder, bias):
    """ckpt.pt as nanoGPT's train.py writes it: Linear layouts, a compiled model's names, options."""
    config = json.loads((folder / "config.json").read_text())
    state = collections.OrderedDict()
    for name, value in load_file(folder / "model.safetensors").items():
        if name.endswith(".bias") and not bias:
            continue
        if value.dim() == 2 and ".h." in name:
            value = value.t().contiguous()
        state["_orig_mod." + name] = value
    state["_orig_mod.lm_head.weight"] = state["_orig_mod.transformer.wte.weight"]
    args = {key: config[key] for key in ("n_layer", "n_head", "n_embd", "vocab_size")}
    args |= dict(block_size=config["n_positions"], bias=bias, dropout=0.0)
    moments = {0: dict(step=torch.tensor(3.0), exp_avg=torch.zeros(2))}
    checkpoint = dict(model=state, optimizer=dict(state=moments, param_groups=[dict(lr=1e-3)]),
                      model_args=args, iter_num=3, best_val_loss=torch.tensor(1.5),
                      config=dict(batch_size=4, device="cpu"))  # fmt: skip
    torch.save(checkpoint, folder / "ckpt.pt")
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        (folder / name).unlink()


def without_biases(model):
    for name, parameter in model.named_parameters():
        if name.endswith(".bias"):
            parameter.data.zero_()


def make_model_goldens():
    randomise = make_models.randomise
    for name in ("gpt2-torch", "llama-torch-sharded", "nanogpt", "nanogpt-bare"):
        if name == "nanogpt-bare":
            make_models.randomise = lambda model, g: (randomise(model, g), without_biases(model))
        make_models.make(name, MODELS)
        make_models.randomise = randomise
        if name.startswith("nanogpt"):
            to_nanogpt(MODELS / name, bias=name == "nanogpt")
        else:
            to_bin(MODELS / name)


def odd_tensors():
    """Everything a state dict may hold; small whole numbers, so that every type is exact."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    shared = torch.arange(10, dtype=torch.float32)
    return collections.OrderedDict(
        plain=base.clone(), transposed=base.t(), stepped=base[::2, 1::2], part=shared[3:7],
        tied=shared, scalar=torch.tensor(2.5), empty=torch.zeros(0, 3),
        permuted=torch.arange(24, dtype=torch.bfloat16).reshape(2, 3, 4).permute(2, 0, 1),
        half=torch.tensor([1.0, -2.0], dtype=torch.float16),
        double=torch.tensor([1.5, 2.5], dtype=torch.float64),
        whole=torch.tensor([3, -4], dtype=torch.int64), flags=torch.tensor([True, False]),
        parameter=torch.nn.Parameter(torch.tensor([7.0, 8.0])))  # fmt: skip


def make_odd_tensors():
    folder = ROOT / "tests/golden/torch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    tensors = odd_tensors()
    torch.save(tensors, folder / "odd.pth")
    torch.save(dict(teacher={f"module.{k}": v for k, v in tensors.items()}, epoch=3, args=[1, "x"]),
               folder / "wrapped.pth", pickle_protocol=4)  # fmt: skip
    # As the authors publish register means: a dict from block to [registers, width].
    means = torch.Generator().manual_seed(3)
    torch.save({block: torch.randn(3, 20, generator=means) for block in range(2)},
               folder / "register-means.pth")
    torch.save(dict(a=tensors["plain"]), folder / "legacy.pth", _use_new_zipfile_serialization=False)
    values = {k: v.detach().contiguous().clone() for k, v in tensors.items()}
    save_file(values, folder / "values.safetensors")


def archive(pkl, storages=(), name="archive", script=False, **zip_options):
    """A checkpoint with any pickle; a script also has constants."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **zip_options) as z:
        z.writestr(f"{name}/data.pkl", pkl)
        for key, data in storages:
            z.writestr(f"{name}/data/{key}", data)
        if script:
            z.writestr(f"{name}/constants.pkl", b"\x80\x02).")
    return out.getvalue()


def tensor_pickle(offset=0, shape=(2, 2), strides=(2, 1), count=4, kind="FloatStorage"):
    """The pickle of {"w": a tensor} with any description."""
    text = lambda s: b"X" + struct.pack("<I", len(s)) + s.encode()
    number = lambda n: b"\x8a\x08" + struct.pack("<q", n)
    numbers = lambda ns: b"(" + b"".join(map(number, ns)) + b"t"
    storage = b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text("0") + text("cpu")
    storage += number(count) + b"tQ"
    arguments = b"(" + storage + number(offset) + numbers(shape) + numbers(strides)
    arguments += b"\x89ccollections\nOrderedDict\n)Rt"
    return b"\x80\x02}" + text("w") + b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"Rs."


def named_tensor_pickles():
    """Names that are none, and a large dict under many names."""
    text = lambda s: b"X" + struct.pack("<I", len(s)) + s.encode()
    tensor = tensor_pickle()[len(b"\x80\x02}" + text("w")) : -2]
    long = b"\x80\x02}(" + text("w" * 2000) + b"q\x01" + tensor + b"q\x02" + b"h\x01h\x02" * 50 + b"u."
    control = b"\x80\x02}" + text("\x1b[31mw") + tensor + b"s."
    numbers_ = b"}q\x01(" + b"NN" * 500 + b"u"
    repeated = b"\x80\x02}(" + text("a") + numbers_ + b"".join(text(f"k{i}") + b"h\x01" for i in range(300)) + b"u."
    return {"long-name": long, "control-name": control, "repeated-dict": repeated}


class Command:
    def __reduce__(self):
        return os.system, ("touch executed",)


def make_script_seeds(write, floats):
    """TorchScript archives: data.pkl is an object of a class of the script's, with its attributes."""
    text = lambda s: b"X" + struct.pack("<I", len(s)) + s.encode()
    module = b"c__torch__\nM\n)\x81"
    tensor = tensor_pickle()[len(b"\x80\x02}" + text("w")) : -2]
    attributes = lambda *pairs: b"}(" + b"".join(text(name) + value for name, value in pairs) + b"ub"
    of = lambda *pairs: b"\x80\x02" + module + attributes(*pairs) + b"."
    script = lambda pkl: archive(pkl, [("0", floats)], script=True)
    inner = module + attributes(("w", tensor), ("training", b"\x89"))
    write("torch", "valid-script", script(of(("w", tensor), ("a", inner), ("n", b"N"))))
    write("torch", "refused-object", archive(of(("w", tensor)), [("0", floats)]))
    write("torch", "refused-script-empty", script(of(("n", b"K\x01"))))
    write("torch", "refused-script-code", script(pickle.dumps(dict(w=Command()), protocol=2)))
    write("torch", "refused-script-of-a-set", script(b"\x80\x02c__builtin__\nset\n)\x81."))
    # An object that is its own attribute, and forty of which each holds the next one twice.
    write("torch", "refused-script-cycle",
          script(b"\x80\x02" + module + b"q\x00" + attributes(("a", b"h\x00")) + b"."))  # fmt: skip
    laughs = inner
    for level in range(40):
        laughs = module + attributes(("a", laughs + b"q" + bytes([level])), ("b", b"h" + bytes([level])))
    write("torch", "refused-script-laughs", script(b"\x80\x02" + laughs + b"."))


def make_seeds():
    for kind in ("torch", "pickle"):
        shutil.rmtree(SEEDS / kind, ignore_errors=True)
        (SEEDS / kind).mkdir()
    floats = struct.pack("<4f", 1, 2, 3, 4)
    write = lambda kind, name, data: (SEEDS / kind / name).write_bytes(data)
    saved = io.BytesIO()
    torch.save(dict(model=dict(w=torch.ones(2, 3).t(), b=torch.zeros(2)), n=1), saved)
    write("torch", "valid-saved", saved.getvalue())
    write("torch", "valid-tensor", archive(tensor_pickle(), [("0", floats)]))
    write("torch", "valid-strided", archive(tensor_pickle(0, (2, 2), (1, 2)), [("0", floats)]))
    bad = dict(
        offset=tensor_pickle(offset=1), stride=tensor_pickle(strides=(3, 1)),
        shape=tensor_pickle(shape=(2**31, 2**31)), expanded=tensor_pickle(shape=(2**40,), strides=(0,)),
        negative=tensor_pickle(strides=(-2, 1)), count=tensor_pickle(count=2**61),
        ranks=tensor_pickle(shape=(2, 2), strides=(1,)), type=tensor_pickle(kind="DoubleStorage"),
        global_=tensor_pickle(kind="PickyStorage"), code=pickle.dumps(dict(w=Command()), protocol=2),
    )  # fmt: skip
    bad.update(named_tensor_pickles())
    for name, pkl in bad.items():
        write("torch", f"refused-{name.strip('_')}", archive(pkl, [("0", floats)]))
    write("torch", "refused-missing-storage", archive(tensor_pickle()))
    write("torch", "refused-compressed",
          archive(tensor_pickle(), [("0", floats * 99)], compression=zipfile.ZIP_DEFLATED))  # fmt: skip
    write("torch", "refused-truncated", archive(tensor_pickle(), [("0", floats)])[:-30])
    overlapping = bytearray(archive(tensor_pickle(), [("0", floats), ("1", floats)]))
    central = overlapping.rindex(b"PK\x01\x02")
    overlapping[central + 42 : central + 46] = overlapping[central + 46 - 4 : central + 46]
    first = overlapping.index(b"PK\x01\x02")
    second = overlapping.index(b"PK\x01\x02", first + 4)
    overlapping[central + 42 : central + 46] = overlapping[second + 42 : second + 46]
    write("torch", "refused-overlap", bytes(overlapping))

    make_script_seeds(write, floats)

    plain = dict(a=[1, -2, 3.5, None, True, "é", (), (1,), (1, 2, 3, 4), 2**40], b={"c": "d" * 300})
    for protocol in (2, 3, 4):
        write("pickle", f"valid-protocol-{protocol}", pickle.dumps(plain, protocol=protocol))
    write("pickle", "valid-dict", pickle.dumps(collections.OrderedDict(x=1), protocol=2))
    cycle = []
    cycle.append(cycle)
    write("pickle", "valid-cycle", pickle.dumps(cycle, protocol=2))
    laughs = "lol"
    for _ in range(40):
        laughs = [laughs, laughs]
    write("pickle", "valid-laughs", pickle.dumps(laughs, protocol=2))
    write("pickle", "refused-protocol-0", pickle.dumps(plain, protocol=0))
    write("pickle", "refused-protocol-5", b"\x80\x05K\x01.")
    write("pickle", "refused-system", pickle.dumps(Command(), protocol=2))
    write("pickle", "refused-system-4", pickle.dumps(Command(), protocol=4))
    write("pickle", "refused-builtins", b"\x80\x02c__builtin__\neval\nX\x03\0\0\x001+1\x85R.")
    write("pickle", "refused-inst", b"\x80\x02(X\x02\0\0\0idios\nsystem\n.")
    write("pickle", "refused-newobj", b"\x80\x02ccollections\nOrderedDict\n)\x81.")
    write("pickle", "refused-extension", b"\x80\x02\x82\x01.")
    write("pickle", "refused-memo", b"\x80\x02h\x07.")
    write("pickle", "refused-mark", b"\x80\x02K\x01t.")
    write("pickle", "refused-below-mark", b"\x80\x02](a.")
    write("pickle", "refused-empty", b"\x80\x02.")
    write("pickle", "refused-length", b"\x80\x02\x8d" + b"\xff" * 8 + b"x.")
    write("pickle", "refused-deep", b"\x80\x02" + b"(" * 1000 + b".")
    write("pickle", "refused-odd-dict", b"\x80\x02}(K\x01u.")


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with torch.no_grad():
        make_model_goldens()
    make_odd_tensors()
    make_seeds()
