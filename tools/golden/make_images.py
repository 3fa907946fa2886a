"""Goldens of src/massact/image: small generated pictures in every format, what PIL reads from them,
PIL's resizing, and what HF's image processors make of pictures.

    python tools/golden/make_images.py [tests/golden/images] [--photographs FOLDER]

FOLDER is data/images/skimage of the shared data: its photographs are not copied, only every 23rd
pixel of what PIL makes of them at 224 x 224.
"""
import argparse
import json
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

FILTERS = {"box": 4, "bilinear": 2, "hamming": 5, "bicubic": 3, "lanczos": 1}


pil_resize = Image.Image.resize


def rows_first(image, size, resample=None, box=None, reducing_gap=None):
    """Pillow 13 does the columns first where that is cheaper, which moves some values by one; all
    versions before, and massact, begin with the rows."""
    narrowed = pil_resize(image, (size[0], image.height), resample)
    return pil_resize(narrowed, size, resample)


def picture(width, height, seed=0):
    """Gradients, an edge and noise: something for every filter to get wrong."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [255 * x / width, 255 * y / height, 127 + 120 * np.sin(x / 3 + y / 5)]
    rgb = np.stack(planes, -1) + rng.normal(0, 12, (height, width, 3))
    rgb[height // 3 : height // 2, width // 2 :] = [250, 5, 128]
    return Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8), "RGB")


# Adam7: first row, first column, row step, column step of each pass.
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def write_png(path, values, interlaced=False):
    """What PIL does not write: 16-bit RGB, interlaced. values: [height, width, 1 or 3] u1 or u2."""
    height, width, channels = values.shape
    values = values.astype(values.dtype.newbyteorder(">"))
    passes = [values[y::dy, x::dx] for y, x, dy, dx in ADAM7] if interlaced else [values]
    rows = b"".join(b"\0" + row.tobytes() for part in passes for row in part if row.size)
    color = {1: 0, 3: 2}[channels]
    bits = 8 * values.dtype.itemsize

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(
            ">I", zlib.crc32(name + data))

    path.write_bytes(b"\x89PNG\r\n\x1a\n"
                     + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0,
                                                    int(interlaced)))
                     + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def write_files(folder):
    """Writes the pictures; returns {name: RGB array} as PIL (and Exif) understands them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    base = picture(37, 23)
    alpha = base.copy()
    alpha.putalpha(Image.fromarray((np.arange(37 * 23) % 256).astype(np.uint8).reshape(23, 37)))
    exif = Image.Exif()

    base.save(folder / "rgb.jpg", quality=90)
    base.save(folder / "progressive.jpg", quality=80, progressive=True)
    base.save(folder / "full-chroma.jpg", quality=85, subsampling=0)
    base.convert("L").save(folder / "grey.jpg", quality=90)
    base.convert("CMYK").save(folder / "cmyk.jpg", quality=90)
    base.save(folder / "rgb.png")
    base.convert("L").save(folder / "grey.png")
    base.convert("1").save(folder / "one-bit.png")
    base.quantize(16).save(folder / "palette.png")
    base.quantize(200).save(folder / "palette-transparent.png", transparency=3)
    alpha.save(folder / "alpha.png")
    alpha.convert("LA").save(folder / "grey-alpha.png")
    base.save(folder / "lossy.webp", quality=80)
    base.save(folder / "lossless.webp", lossless=True)
    alpha.save(folder / "alpha.webp", lossless=True, exact=True)
    rng = np.random.default_rng(5)
    sixteen = rng.integers(0, 65536, (9, 11, 3)).astype(np.uint16)
    write_png(folder / "rgb16.png", sixteen)
    write_png(folder / "interlaced.png", np.array(base), interlaced=True)
    # The same data declared as YCCK: the colours are odd, but every reader must agree on them.
    cmyk = (folder / "cmyk.jpg").read_bytes()
    adobe = cmyk.index(b"Adobe")
    (folder / "ycck.jpg").write_bytes(cmyk[: adobe + 11] + b"\2" + cmyk[adobe + 12 :])
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        picture(19, 11).save(folder / f"turned-{orientation}.jpg", quality=95, exif=exif)
    exif[0x0112] = 6
    picture(19, 11).save(folder / "turned.png", exif=exif)
    picture(19, 11).save(folder / "turned.webp", lossless=True, exif=exif)

    from PIL import ImageOps

    read = {}
    for path in sorted(folder.iterdir()):
        read[path.name] = np.array(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))

    # PIL saturates 16-bit grey when it becomes RGB; the higher byte is meant.
    write_png(folder / "grey16.png", sixteen[:, :, :1])
    read["grey16.png"] = np.repeat(sixteen[:, :, :1] >> 8, 3, -1).astype(np.uint8)
    base.save(folder / "animated.webp", save_all=True, append_images=[picture(37, 23, 1)])
    return read


def resized():
    cases = {}
    image = picture(41, 29)
    cases["input"] = np.array(image)
    for name, number in FILTERS.items():
        for width, height in [(16, 16), (41, 7), (9, 29), (64, 50), (1, 1), (40, 30)]:
            cases[f"{name}/{width}x{height}"] = np.array(image.resize((width, height), number))
    return cases


def processors():
    """HF's processors at small sizes; beside each the configuration as people's folders have it."""
    imagenet = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    return {
        "clip": CLIPImageProcessorPil(size={"shortest_edge": 20}, crop_size={"height": 16, "width": 16}),
        "clip-odd": CLIPImageProcessorPil(size={"shortest_edge": 19}, crop_size={"height": 22, "width": 13}),
        "vit": ViTImageProcessorPil(size={"height": 16, "width": 24}),
        "deit": DeiTImageProcessorPil(size={"height": 20, "width": 20}, crop_size={"height": 16, "width": 16}),
        "dinov2": BitImageProcessorPil(size={"shortest_edge": 18}, crop_size={"height": 14, "width": 14},
                                       **imagenet),
        "siglip": SiglipImageProcessorPil(size={"height": 16, "width": 16}),
        "mae": ViTImageProcessorPil(size={"height": 16, "width": 16}, resample=3, **imagenet),
        "sam": SamImageProcessorPil(size={"longest_edge": 24}, pad_size={"height": 24, "width": 24}),
        "raw": ViTImageProcessorPil(size={"height": 16, "width": 16}, do_normalize=False, resample=1),
    }


# The same models as older versions of transformers wrote them.
OLD_CONFIGS = {
    "clip-old": ("clip", {"feature_extractor_type": "CLIPFeatureExtractor", "size": 20, "crop_size": 16,
                          "do_center_crop": True, "do_normalize": True, "do_resize": True, "resample": 3,
                          "image_mean": [0.48145466, 0.4578275, 0.40821073],
                          "image_std": [0.26862954, 0.26130258, 0.27577711]}),
    "mae-old": ("mae", {"feature_extractor_type": "ViTFeatureExtractor", "size": 16, "resample": 3,
                        "do_normalize": True, "do_resize": True,
                        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}),
}


def timm_cases():
    """timm's evaluation transform, in PIL's terms (torchvision's rules for sizes and offsets)."""
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    base = {"input_size": [3, 16, 16], "interpolation": "bicubic", "crop_pct": 0.9,
            "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    configs = {"timm-center": {**base, "crop_mode": "center"},
               "timm-squash": {**base, "crop_mode": "squash", "crop_pct": 0.8},
               "timm-border": {**base, "crop_mode": "border", "crop_pct": 1.0}}

    def run(config, image):
        side = 16
        scaled = int(np.floor(side / config["crop_pct"]))
        width, height = image.size
        if config["crop_mode"] == "squash":
            size = (scaled, scaled)
        elif config["crop_mode"] == "border":
            ratio = max(height, width) / scaled
            size = (round(width / ratio), round(height / ratio))
        else:
            short, long = min(width, height), max(width, height)
            longer = int(scaled * long / short)
            size = (scaled, longer) if width <= height else (longer, scaled)
        image = image.resize(size, 3)
        width, height = size
        fill = tuple(round(255 * v) for v in config["mean"])
        page = Image.new("RGB", (max(width, side), max(height, side)),
                         fill if config["crop_mode"] == "border" else 0)
        page.paste(image, (max(0, (side - width) // 2), max(0, (side - height) // 2)))
        left, top = (int(round((n - side) / 2.0)) for n in page.size)
        rgb = np.array(page.crop((left, top, left + side, top + side)), np.float32)
        return np.ascontiguousarray((rgb / np.float32(255) - mean) / std).transpose(2, 0, 1).copy()

    return configs, run


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", nargs="?", default="tests/golden/images", type=Path)
    parser.add_argument("--photographs", type=Path)
    arguments = parser.parse_args()
    out = arguments.out

    Image.Image.resize = rows_first
    save_file(write_files(out / "files"), out / "files.safetensors")
    save_file(resized(), out / "resize.safetensors")

    inputs = {"landscape": picture(53, 37, 2), "portrait": picture(31, 45, 3), "small": picture(11, 9, 4)}
    for name, image in inputs.items():
        image.save(out / f"{name}.png")
    results = {}
    for name, processor in processors().items():
        folder = out / "preprocess" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "preprocessor_config.json").write_text(json.dumps(processor.to_dict(), indent=1) + "\n")
        for which, image in inputs.items():
            pixels = processor(image, return_tensors="np")["pixel_values"][0]
            results[f"{name}/{which}"] = np.ascontiguousarray(pixels, np.float32)
    for name, (same, config) in OLD_CONFIGS.items():
        folder = out / "preprocess" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "preprocessor_config.json").write_text(json.dumps(config, indent=1) + "\n")
        for which in inputs:
            results[f"{name}/{which}"] = results[f"{same}/{which}"].copy()
    configs, run = timm_cases()
    for name, config in configs.items():
        folder = out / "preprocess" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(
            json.dumps({"architecture": "vit", "pretrained_cfg": config}, indent=1) + "\n")
        for which, image in inputs.items():
            results[f"{name}/{which}"] = run(config, image)
    save_file(results, out / "preprocess.safetensors")

    if arguments.photographs:
        photographs = {}
        for path in sorted(arguments.photographs.iterdir()):
            if path.suffix not in (".png", ".jpg"):
                continue
            image = Image.open(path).convert("RGB")
            for name in ("bicubic", "bilinear", "lanczos"):
                pixels = np.array(pil_resize(image, (224, 224), FILTERS[name])).reshape(-1, 3)
                photographs[f"{path.name}/{name}"] = np.ascontiguousarray(pixels[::23])
        save_file(photographs, out / "photographs.safetensors")
    for path in out.glob("*.safetensors"):
        path.chmod(0o644)


if __name__ == "__main__":
    main()
