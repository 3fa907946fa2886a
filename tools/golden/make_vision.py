"""Writes tests/golden/vision/<name>/: tiny random HF vision transformers, images (random pixels) and the
expected value of every site.

Run: python make_vision.py [--out DIR] [NAME ...]
"""

import argparse
import json
import math
import os
import pathlib
import shutil
import zlib

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import (CLIPConfig, CLIPVisionConfig, DeiTConfig, Dinov2Config, Dinov2WithRegistersConfig,
                          DINOv3ViTConfig, SamConfig, SamVisionConfig, SiglipConfig, SiglipVisionConfig,
                          ViTConfig, ViTMAEConfig)  # fmt: skip

import sites
import timm_alone
import vision_sites

timm = timm_alone.load()

VISION = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/vision"

SIZES = dict(hidden_size=20, num_hidden_layers=2, num_attention_heads=4, image_size=17, patch_size=5,
             num_labels=7)  # fmt: skip
SIZED = SIZES | dict(intermediate_size=37)

# name: (class, configuration, image sizes). Sizes leave pixels over; grids of another size than the
# positions were learned for have those interpolated.
TABLE = {
    "dinov2": ("Dinov2ForImageClassification", Dinov2Config(**(SIZES | dict(mlp_ratio=3))),
               [(17, 17), (26, 16)]),
    "dinov2-swiglu": ("Dinov2Model", Dinov2Config(**SIZES, use_swiglu_ffn=True, qkv_bias=False),
                      [(17, 17)]),
    "dinov2-registers": (
        "Dinov2WithRegistersForImageClassification",
        Dinov2WithRegistersConfig(**(SIZES | dict(image_size=22)), num_register_tokens=3),
        [(22, 22), (22, 22), (17, 30)]),
    "vit": ("ViTForImageClassification", ViTConfig(**SIZED), [(17, 17), (26, 16)]),
    # With a pooler that nobody reads, and without biases on queries, keys and values.
    "vit-pooler": ("ViTModel", ViTConfig(**SIZED, qkv_bias=False, hidden_act="gelu_new"), [(17, 17)]),
    "deit": ("DeiTForImageClassification", DeiTConfig(**SIZED), [(17, 17), (26, 16)]),
    "deit-teacher": ("DeiTForImageClassificationWithTeacher", DeiTConfig(**SIZED), [(17, 17)]),
    "mae": ("ViTMAEForPreTraining", ViTMAEConfig(**SIZED, mask_ratio=0.0, decoder_hidden_size=12,
            decoder_num_hidden_layers=1, decoder_num_attention_heads=2, decoder_intermediate_size=16),
            [(15, 15)]),
    "clip-vision": ("CLIPVisionModelWithProjection", CLIPVisionConfig(**SIZED, projection_dim=9),
                    [(17, 17), (26, 16)]),
    "siglip-vision": ("SiglipVisionModel", SiglipVisionConfig(**SIZED), [(17, 17), (26, 16)]),
    "dinov3": ("DINOv3ViTModel", DINOv3ViTConfig(**(SIZED | dict(hidden_size=24, num_attention_heads=3)),
               num_register_tokens=2), [(17, 17), (26, 16)]),
    "dinov3-gated": ("DINOv3ViTModel", DINOv3ViTConfig(**SIZED | dict(hidden_size=16), use_gated_mlp=True,
                     hidden_act="silu", query_bias=False, key_bias=True, mlp_bias=False), [(17, 17)]),
}  # fmt: skip

SAM = dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=3, image_size=20, patch_size=4,
           mlp_dim=37, output_channels=6, window_size=3, global_attn_indexes=[1])  # fmt: skip
# What of SAM massact does not read, as small as it gets.
PROMPTS = dict(hidden_size=8, image_embedding_size=5, image_size=20, patch_size=4, mask_input_channels=4)
MASKS = dict(hidden_size=8, mlp_dim=8, num_attention_heads=1, iou_head_hidden_dim=8)
# Windows that do not divide the grid of 5 x 5 patches, are larger than it, or are not there.
TABLE |= {
    "sam": ("SamModel", SamConfig(vision_config=SAM | dict(output_channels=8, num_hidden_layers=2),
            prompt_encoder_config=PROMPTS, mask_decoder_config=MASKS), [(20, 20), (20, 20)]),
    "sam-vision": ("SamVisionModel", SamVisionConfig(**SAM | dict(image_size=23, window_size=2,
                   num_attention_heads=4, use_abs_pos=False)), [(23, 23)]),
    "sam-one-window": ("SamVisionModel", SamVisionConfig(**SAM | dict(window_size=7, qkv_bias=False,
                       num_hidden_layers=2)), [(20, 20)]),
    "sam-absolute": ("SamVisionModel", SamVisionConfig(**SAM | dict(use_rel_pos=False,
                     num_hidden_layers=2, mlp_dim=None, mlp_ratio=1.5)), [(20, 20)]),
    "sam-global": ("SamVisionModel", SamVisionConfig(**SAM | dict(window_size=0, num_hidden_layers=2)),
                   [(20, 20)]),
    "timm-sam": ("SamVisionModel", SamVisionConfig(**SAM | dict(mlp_dim=36, layer_norm_eps=1e-5)),
                 [(20, 20)]),
    # Renamed to Meta's own names and saved with torch.save, without any config.json.
    "sam-official": ("SamModel", SamConfig(vision_config=SAM | dict(output_channels=8,
                     layer_norm_eps=1e-6), prompt_encoder_config=PROMPTS, mask_decoder_config=MASKS),
                     [(20, 20)]),
}  # fmt: skip

TEXT = dict(hidden_size=18, num_hidden_layers=2, num_attention_heads=3, intermediate_size=29,
            vocab_size=50, max_position_embeddings=9)  # fmt: skip
IMAGE = {key: value for key, value in SIZED.items() if key != "num_labels"}
# Models with two towers: (class, configuration, texts). The end of a text is id 49; CLIP's published
# configurations say 2, and the largest id is the end then.
TEXTS = [[48, 5, 7, 49, 3, 3], [11, 49]]
TOWERS = {
    "clip": ("CLIPModel", CLIPConfig(vision_config=IMAGE, text_config=TEXT | dict(eos_token_id=49),
             projection_dim=9), TEXTS),
    "clip-old": ("CLIPModel", CLIPConfig(vision_config=IMAGE, text_config=TEXT | dict(eos_token_id=2),
                 projection_dim=9), TEXTS),
    "open-clip": ("CLIPModel", CLIPConfig(vision_config=IMAGE, text_config=TEXT | dict(eos_token_id=2),
                  projection_dim=9), TEXTS),
    "siglip": ("SiglipModel", SiglipConfig(vision_config=IMAGE,
               text_config=TEXT | dict(hidden_size=20, num_attention_heads=4)), TEXTS),
}  # fmt: skip

TINY = dict(embed_dim=20, depth=2, num_heads=4, img_size=17, patch_size=5)
# name: (timm's architecture, arguments, image sizes); number of classes and pooling as timm saves them.
TIMM = {
    "timm-augreg": ("vit_base_patch16_224", dict(num_classes=7), [(17, 17)]),
    "timm-mean": ("vit_base_patch16_224", dict(num_classes=7, global_pool="avg"), [(17, 17)]),
    "timm-deit": ("deit_base_distilled_patch16_224", dict(num_classes=7), [(17, 17)]),
    "timm-clip": ("vit_base_patch16_clip_quickgelu_224", dict(num_classes=9), [(17, 17)]),
    "timm-siglip": ("vit_base_patch16_siglip_224", dict(num_classes=0, global_pool="map"), [(17, 17)]),
    "timm-dinov2": ("vit_giant_patch14_dinov2", dict(num_classes=0), [(17, 17), (26, 16)]),
    "timm-dinov2-reg": ("vit_base_patch14_reg4_dinov2", dict(num_classes=0, reg_tokens=3),
                        [(17, 17), (26, 16)]),
    # Renamed to Meta's own names and saved with torch.save; the class token has a position there.
    "dinov2-official": ("vit_giant_patch14_reg4_dinov2",
                        dict(num_classes=0, reg_tokens=2), [(17, 17)]),
}  # fmt: skip


# timm's image encoder of SAM under its own names, which are HF's but for these.
SAM_OF_TIMM = {"patch_embed.projection": "patch_embed.proj", "layers.": "blocks.", "layer_norm1": "norm1",
               "layer_norm2": "norm2", "mlp.lin": "mlp.fc", "neck.conv1": "neck.0", "neck.norm1": "neck.1",
               "neck.conv2": "neck.2", "neck.norm2": "neck.3", "vision_encoder.": ""}  # fmt: skip


def rename_as_samvit(folder):
    """The folder's HF model as timm saves it, after timm's own class has given the same features."""
    config = json.loads((folder / "config.json").read_text())
    tensors = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        for hf, timms in SAM_OF_TIMM.items():
            name = name.replace(hf, timms)
        tensors[name] = tensor
    arguments = dict(embed_dim=config["hidden_size"], depth=config["num_hidden_layers"],
                     num_heads=config["num_attention_heads"], img_size=config["image_size"],
                     patch_size=config["patch_size"], window_size=config["window_size"],
                     mlp_ratio=config["mlp_dim"] / config["hidden_size"],
                     neck_chans=config["output_channels"],
                     global_attn_indexes=config["global_attn_indexes"])  # fmt: skip
    model = timm.create_model("samvit_base_patch16", num_classes=0, **arguments).eval()
    model.load_state_dict(tensors)
    sites_of = load_file(folder / "sites.safetensors")
    with torch.no_grad():
        features = model.forward_features(sites_of["img0/pixels"][None])[0].flatten(1).T
    sites.expect_close("timm's features", features, sites_of["img0/hook_logits"], 1e-5)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = dict(architecture="samvit_base_patch16", num_classes=0, num_features=model.num_features,
                  global_pool="avg", model_args=arguments,
                  pretrained_cfg=dict(input_size=[3, 20, 20], num_classes=0))  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def randomise(model, generator):
    """Weights large enough that attention is far from uniform, norms far from 1, biases from 0."""
    normal = lambda p: torch.randn(p.shape, generator=generator)
    for name, p in model.named_parameters():
        if name in ("logit_scale", "logit_bias"):
            p.data = torch.full_like(p, 0.7)
        elif name.endswith("bias"):
            p.data = 0.3 * normal(p)
        elif "lambda1" in name or "gamma" in name or "norm" in name or "ln_" in name:
            p.data = 1.0 + 0.4 * normal(p)
        elif "patch_embed" in name:
            p.data = 1.5 / math.sqrt(p[0].numel()) * normal(p)
        elif "rel_pos" in name:
            p.data = 0.5 * normal(p)
        elif "embeddings" in name or "_token" in name or "_embed" in name:
            p.data = normal(p)
        else:
            p.data = 1.5 / math.sqrt(p.shape[-1]) * normal(p)


def save_timm(name, folder, generator):
    """As timm saves a model for the Hub: config.json with the architecture's name."""
    architecture, arguments, sizes = TIMM[name]
    own = {key: value for key, value in arguments.items() if key not in ("num_classes", "global_pool")}
    model = timm.create_model(architecture, **(TINY | arguments)).eval()
    randomise(model, generator)
    folder.mkdir(parents=True)
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    config = dict(architecture=architecture, num_classes=model.num_classes,
                  num_features=model.num_features, global_pool=model.global_pool,
                  model_args=TINY | own,
                  pretrained_cfg=dict(input_size=[3, 17, 17], num_classes=model.num_classes))  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    return sizes


def rename_as_meta(folder, generator):
    position = torch.randn(1, 1, TINY["embed_dim"], generator=generator)  # timm's is merged into the token
    names = {"reg_token": "register_tokens", "mlp.fc1": "mlp.w12", "mlp.fc2": "mlp.w3"}
    tensors = {"mask_token": torch.zeros(1, TINY["embed_dim"])}
    for name, tensor in load_file(folder / "model.safetensors").items():
        for timms, metas in names.items():
            name = name.replace(timms, metas)
        tensors[name] = tensor
    tensors["cls_token"] = tensors["cls_token"] - position
    tensors["pos_embed"] = torch.cat([position, tensors["pos_embed"]], 1)
    torch.save(tensors, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    config = json.loads((folder / "config.json").read_text())
    config["model_args"]["no_embed_class"] = False
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    values = load_file(folder / "sites.safetensors")
    values["img0/hook_embed"][0] -= position[0, 0]
    values["img0/hook_pos_embed"][0] += position[0, 0]
    save_file(values, folder / "sites.safetensors")


def rename_as_meta_sam(folder):
    names = {"vision_encoder.": "image_encoder.", ".projection.": ".proj.", ".layers.": ".blocks.",
             "neck.conv1": "neck.0", "neck.layer_norm1": "neck.1", "neck.conv2": "neck.2",
             "neck.layer_norm2": "neck.3", ".layer_norm": ".norm"}  # fmt: skip
    tensors = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        if name.startswith("vision_encoder."):
            for hf, metas in names.items():
                name = name.replace(hf, metas)
        tensors[name] = tensor
    torch.save(tensors, folder / "sam_vit_tiny.pth")
    for file in ("model.safetensors", "config.json"):
        (folder / file).unlink()


def make_positions(folder):
    """Bicubic resampling as PyTorch does it, without and with antialiasing, to smaller and larger grids."""
    generator, tensors = torch.Generator().manual_seed(0), {}
    for n, (source, target) in enumerate([((5, 4), (7, 3)), ((6, 7), (2, 15)), ((3, 3), (3, 3))]):
        table = torch.randn((1, 6, *source), generator=generator)
        rows = lambda x: x[0].permute(1, 2, 0).contiguous()
        tensors[f"{n}/table"] = rows(table)
        for name, antialias in (("plain", False), ("antialias", True)):
            tensors[f"{n}/{name}"] = rows(torch.nn.functional.interpolate(
                table, size=target, mode="bicubic", align_corners=False, antialias=antialias))  # fmt: skip
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "positions.safetensors")


def load_timm(name, folder, size):
    """The model for images of `size`: timm fits the positions to it."""
    architecture, arguments, _ = TIMM[name]
    model = timm.create_model(architecture, **(TINY | arguments | dict(img_size=size)))
    tensors = load_file(folder / "model.safetensors")
    model.load_state_dict(timm.models.vision_transformer.checkpoint_filter_fn(tensors, model))
    for block in model.blocks:
        block.attn.fused_attn = False
    return model.eval()


def load(kind, folder):
    model = getattr(transformers, kind).from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    return model.eval()


def well_conditioned_sites(model, size, generator):
    """A random image and its sites; drawn again where HF's own rounding would decide."""
    for _ in range(100):
        pixels = torch.randn((3, *size), generator=generator)
        values = vision_sites.capture(model, pixels)
        try:
            vision_sites.check_conditioning(model, pixels, values)
            return pixels, values
        except sites.InconsistentError as error:
            last = error
    raise last


def make(name, out):
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    if name in TIMM:
        sizes = save_timm(name, folder, generator)
        save_sites(name, folder, sizes, lambda size: load_timm(name, folder, size), generator)
        return rename_as_meta(folder, generator) if name == "dinov2-official" else None
    if name in TOWERS:
        make_towers(name, folder, generator)
        return rename_as_open_clip(folder) if name == "open-clip" else None
    kind, config, image_sizes = TABLE[name]
    config._attn_implementation = "eager"
    model = getattr(transformers, kind)(config).eval()
    randomise(model, generator)
    model.save_pretrained(folder)
    model = load(kind, folder)
    save_sites(name, folder, image_sizes, lambda size: model, generator)
    if name == "sam-official":
        rename_as_meta_sam(folder)
    if name == "timm-sam":
        rename_as_samvit(folder)


@torch.no_grad()
def make_towers(name, folder, generator):
    """A model with two towers: sites of both, and how HF compares the image with each text."""
    kind, config, texts = TOWERS[name]
    config._attn_implementation = "eager"
    model = getattr(transformers, kind)(config).eval()
    randomise(model, generator)
    model.save_pretrained(folder)
    model = load(kind, folder)
    image, text = (vision_sites.Alone(model, part) for part in ("vision", "text"))
    pixels, values = well_conditioned_sites(image, (17, 17), generator)
    tensors = {"img0/pixels": pixels} | {f"img0/{site}": value for site, value in values.items()}
    similarity = []
    for n, tokens in enumerate(texts):
        tensors[f"seq{n}/tokens"] = torch.tensor(tokens)
        tensors |= {f"seq{n}/{site}": value
                    for site, value in vision_sites.capture_text(text, tokens).items()}  # fmt: skip
        output = model(input_ids=torch.tensor([tokens]), pixel_values=pixels[None])
        similarity.append(output.logits_per_image[0, 0])
    tensors["similarity"] = torch.stack(similarity)
    save_file(tensors, folder / "sites.safetensors")
    print(f"{name:22} {sum(f.stat().st_size for f in folder.iterdir()) // 1024:5} KiB")


def rename_as_open_clip(folder):
    """The same model under OpenCLIP's names: fused projections, projections to the common space turned."""
    block = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj",
             "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}  # fmt: skip
    ends = {"vision_model.embeddings.class_embedding": "visual.class_embedding",
            "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
            "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
            "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
            "text_model.embeddings.position_embedding.weight": "positional_embedding"}  # fmt: skip
    pieces = {"vision_model.pre_layrnorm": "visual.ln_pre", "vision_model.post_layernorm": "visual.ln_post",
              "text_model.final_layer_norm": "ln_final", "text_model.encoder.layers": "transformer.resblocks",
              "vision_model.encoder.layers": "visual.transformer.resblocks"} | block  # fmt: skip
    old, tensors = load_file(folder / "model.safetensors"), {}
    for name, tensor in old.items():
        if ".q_proj." in name:
            tensor = torch.cat([old[name.replace(".q_proj.", f".{x}_proj.")] for x in "qkv"])
            name = name.replace("self_attn.q_proj.", "attn.in_proj_")
        elif ".k_proj." in name or ".v_proj." in name:
            continue
        if name.endswith("_projection.weight"):
            tensor = tensor.T.contiguous()
            name = {"visual_projection.weight": "visual.proj"}.get(name, "text_projection")
        name = ends.get(name, name)
        for hf, own in pieces.items():
            name = name.replace(hf, own)
        tensors[name] = tensor
    save_file(tensors, folder / "open_clip_model.safetensors")
    vision = dict(image_size=17, layers=2, width=20, head_width=5, patch_size=5, mlp_ratio=37 / 20)
    text = dict(context_length=9, vocab_size=50, width=18, heads=3, layers=2, mlp_ratio=29 / 18)
    config = dict(model_cfg=dict(embed_dim=9, quick_gelu=True, vision_cfg=vision, text_cfg=text))
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "config.json").unlink()
    (folder / "model.safetensors").unlink()


def save_sites(name, folder, image_sizes, model_for, generator):
    tensors = {}
    for n, size in enumerate(image_sizes):
        pixels, values = well_conditioned_sites(model_for(size), size, generator)
        tensors[f"img{n}/pixels"] = pixels
        tensors |= {f"img{n}/{site}": value.float() for site, value in values.items()}
    save_file(tensors, folder / "sites.safetensors")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name:22} {size // 1024:5} KiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=VISION)
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    make_positions(arguments.out.parent / "positions")
    for name in arguments.names or [*TABLE, *TIMM, *TOWERS]:
        make(name, arguments.out)


if __name__ == "__main__":
    main()
