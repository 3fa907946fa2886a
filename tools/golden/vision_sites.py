"""Captures every site of massact's site table from a Hugging Face vision transformer: the counterpart
of sites.py for images. HF stays the judge: what it does not expose is recomputed and checked against
its next value."""

import copy
import inspect
import types

import torch
from transformers.models.dinov3_vit import modeling_dinov3_vit

import sam_sites
import sites
from sites import expect_close, rows

DINO = dict(ln1="norm1", q="attention.q_proj", k="attention.k_proj", v="attention.v_proj",
            wo="attention.o_proj", attn_out="layer_scale1", ln2="norm2", mlp_out="layer_scale2",
            block="encoder.layer.{}", final="layernorm")  # fmt: skip
VIT = dict(ln1="layernorm_before", q="attention.q_proj", k="attention.k_proj", v="attention.v_proj",
           wo="attention.o_proj", ln2="layernorm_after", block="layers.{}", final="layernorm")  # fmt: skip
CLIP = dict(ln1="layer_norm1", q="self_attn.q_proj", k="self_attn.k_proj", v="self_attn.v_proj",
            wo="self_attn.out_proj", ln2="layer_norm2", block="encoder.layers.{}",
            final="post_layernorm")  # fmt: skip
DINO3 = DINO | dict(block="model.layer.{}", final="norm")
TIMM = dict(ln1="norm1", qkv="attn.qkv", wo="attn.proj", attn_out="ls1", ln2="norm2", mlp_out="ls2",
            block="blocks.{}", final="norm")  # fmt: skip
PLAIN = dict(w_in="mlp.fc1", w_out="mlp.fc2")
GATED = dict(w_in="mlp.gate_proj", w_up="mlp.up_proj", w_out="mlp.down_proj")

# Names of the parts of a block, and of the blocks and the final norm under the model's own prefix.
NAMES = {
    "dinov2": DINO,
    "dinov2_with_registers": DINO,
    "dinov3_vit": DINO3,
    "timm": TIMM,
    "vit": VIT,
    "deit": VIT,
    "vit_mae": VIT,
    "clip_vision_model": CLIP,
    "siglip_vision_model": CLIP,
    "clip_text_model": CLIP | dict(final="final_layer_norm"),
    "siglip_text_model": CLIP | dict(final="final_layer_norm"),
}


def tower(model):
    """The part of `model` that has the embeddings, and its name with a dot (or "")."""
    for name, module in model.named_modules():
        if hasattr(module, "embeddings") or hasattr(module, "patch_embed"):
            return module, name + "." if name else ""
    raise ValueError("no embeddings")


def kind_of(part):
    return part.config.model_type if hasattr(part, "config") else "timm"


def head_count(part):
    return part.config.num_attention_heads if hasattr(part, "config") else part.blocks[0].attn.num_heads


def block_count(part):
    return part.config.num_hidden_layers if hasattr(part, "config") else len(part.blocks)


def role_names(model, i):
    part, prefix = tower(model)
    names = dict(NAMES[kind_of(part)])
    modules = dict(model.named_modules())
    block = prefix + names.pop("block").format(i)
    final = prefix + names.pop("final")
    mlp = GATED if f"{block}.mlp.gate_proj" in modules else PLAIN
    if kind_of(part) == "dinov3_vit" and mlp is PLAIN:
        mlp = dict(w_in="mlp.up_proj", w_out="mlp.down_proj")
    if kind_of(part) == "timm" and type(part.blocks[0].mlp).__name__ == "GluMlp":
        mlp = dict(gate_up="mlp.fc1", w_out="mlp.fc2")
    inside = {role: f"{block}.{name}" for role, name in (mlp | names).items()}
    return inside | dict(block=block, final=final)


def timm_stem(part, pixels):
    patches = part.patch_embed(pixels)
    tokens = [t for t in (part.cls_token, getattr(part, "dist_token", None), part.reg_token)
              if t is not None]  # fmt: skip
    positions = part.pos_embed
    if part.no_embed_class and tokens:
        positions = torch.cat([torch.zeros_like(torch.cat(tokens, 1)), positions], 1)
    return torch.cat([*tokens, patches], 1)[0], positions[0]


def stem(model, pixels):
    """(hook_embed, hook_pos_embed or None) [T, d], from HF's own parts."""
    part, _ = tower(model)
    if kind_of(part) == "timm":
        return timm_stem(part, pixels)
    e, config = part.embeddings, part.config
    height, width = pixels.shape[2:]
    if hasattr(e, "patch_embedding"):  # CLIP, SigLIP
        patches = e.patch_embedding(pixels).flatten(2).transpose(1, 2)
    else:
        patches = e.patch_embeddings(pixels)
    if patches.dim() == 4:
        patches = patches.flatten(2).transpose(1, 2)
    tokens = [getattr(e, name).reshape(1, 1, -1)
              for name in ("cls_token", "class_embedding", "distillation_token") if hasattr(e, name)]
    with_class = torch.cat([*tokens, patches], 1)
    if config.model_type == "dinov3_vit":
        return torch.cat([e.cls_token, e.register_tokens, patches], 1)[0], None
    of_patches = patches if config.model_type == "vit_mae" else with_class
    positions = e.interpolate_pos_encoding(of_patches, height, width)
    registers = getattr(config, "num_register_tokens", 0)
    if registers:
        with_class = torch.cat([with_class[:, :1], e.register_tokens, with_class[:, 1:]], 1)
        zeros = torch.zeros_like(e.register_tokens)
        positions = torch.cat([positions[:, :1], zeros, positions[:, 1:]], 1)
    return with_class[0], positions[0]


def attention_call(model, modules, names):
    """As hf_attention.attention_of gives it; the pattern is recomputed and judged by z."""
    part, prefix = tower(model)
    if "qkv" in names:
        outs = rows(modules[names["qkv"]][1]).chunk(3, -1)
    else:
        outs = [rows(modules[names[role]][1]) for role in "qkv"]
    q, k, v = (out.unflatten(-1, (head_count(part), -1)).transpose(0, 1) for out in outs)
    call = dict(q=q, k=k, v=v, before_q=q, before_k=k, mask=None, scale=q.shape[-1] ** -0.5,
                softcap=None, sinks=None, pattern=None, rotary=False,
                z=rows(modules[names["wo"]][0]))  # fmt: skip
    if kind_of(part) == "dinov3_vit":
        cos, sin = part.rope_embeddings(modules[""][0])
        call["q"], call["k"] = modeling_dinov3_vit.apply_rotary_pos_emb(q, k, cos, sin)
        call["rotary"] = True
    if kind_of(part) == "clip_text_model":
        call["mask"] = torch.full(q.shape[1:2] * 2, -torch.inf, dtype=q.dtype).triu(1)[None]
    return call


def block_sites(model, modules, i):
    names, at = role_names(model, i), f"blocks.{i}"
    get = lambda role, side: rows(modules[names[role]][side])
    result = sites.attention_sites(model, attention_call(model, modules, names), f"{at}.attn")
    result |= sites.mlp_sites(model, modules, names, f"{at}.mlp")
    result[f"{at}.hook_attn_out"] = get("attn_out" if "attn_out" in names else "wo", 1)
    result[f"{at}.hook_mlp_out"] = get("mlp_out" if "mlp_out" in names else "w_out", 1)
    pre, post = get("block", 0), get("block", 1)
    mid = pre + result[f"{at}.hook_attn_out"]
    expect_close(f"{at}.hook_resid_mid", mid, get("ln2", 0))
    expect_close(f"{at}.hook_resid_post", mid + result[f"{at}.hook_mlp_out"], post)
    result |= {f"{at}.hook_resid_pre": pre, f"{at}.hook_resid_mid": mid, f"{at}.hook_resid_post": post}
    for norm in ("ln1", "ln2"):
        module = model.get_submodule(names[norm])
        result |= sites.norm_sites(module, get(norm, 0), get(norm, 1), f"{at}.{norm}")
    return result


def patch_count(model, pixels):
    patch = tower(model)[0].config.patch_size
    return (pixels.shape[2] // patch) * (pixels.shape[3] // patch)


def answer(model, output):
    """What the model's head gives, [1, n], or None."""
    if isinstance(output, torch.Tensor):  # timm
        attends = getattr(model, "attn_pool", None) is not None
        return output if attends or not isinstance(model.head, torch.nn.Identity) else None
    if model.config.model_type == "vit_mae":  # what its decoder paints
        return None
    for name in ("logits", "image_embeds", "text_embeds", "pooler_output"):
        if name == "pooler_output" and not hasattr(tower(model)[0], "head"):  # SigLIP's
            continue  # a row of the final norm's output
        if getattr(output, name, None) is not None:
            return getattr(output, name)
    return None


@torch.no_grad()
def capture(model, pixels):
    """Every site of `model` for one image [channels, height, width], as {site name: tensor}."""
    if hasattr(model, "vision_encoder"):
        return sam_sites.capture(model, pixels)
    modules, pixels = {}, pixels[None]
    extra = {}
    if "interpolate_pos_encoding" in inspect.signature(type(model).forward).parameters:
        extra["interpolate_pos_encoding"] = True
    if "noise" in inspect.signature(type(model).forward).parameters:  # MAE: keeps the patches' order
        extra["noise"] = torch.arange(1e6)[None, : patch_count(model, pixels)]
    with sites.recorded_modules(model, modules):
        part, _ = tower(model)
        output = model(pixels) if kind_of(part) == "timm" else model(pixel_values=pixels, **extra)
    embed, positions = stem(model, pixels)
    result, before = {"hook_embed": embed}, embed
    if positions is not None:
        result["hook_pos_embed"] = positions
        before = embed + positions
    if hasattr(part, "pre_layrnorm"):
        before = part.pre_layrnorm(before)
    if hasattr(part, "norm_pre"):
        before = part.norm_pre(before)
    for i in range(block_count(part)):
        result |= block_sites(model, modules, i)
        expect_close(f"blocks.{i}.hook_resid_pre", result[f"blocks.{i}.hook_resid_pre"], before, 1e-6)
        before = result[f"blocks.{i}.hook_resid_post"]
    final = model.get_submodule(role_names(model, 0)["final"])
    if not isinstance(final, torch.nn.Identity):  # else timm's norm stands behind the mean
        result["ln_final.hook_out"] = final(before)
    if "ln_final.hook_out" in result and rows(modules[role_names(model, 0)["final"]][1]).shape == before.shape:
        expect_close("ln_final", result["ln_final.hook_out"],
                     rows(modules[role_names(model, 0)["final"]][1]), 1e-6)  # fmt: skip
    if answer(model, output) is not None:
        result["hook_logits"] = answer(model, output)
    return {name: value.detach().clone().contiguous() for name, value in result.items()}


class Alone(torch.nn.Module):
    """One tower of a model that has two, with its projection."""

    def __init__(self, model, kind):
        super().__init__()
        self.config = model.config
        self.tower = getattr(model, f"{kind}_model")
        self.projection = getattr(model, "visual_projection" if kind == "vision" else "text_projection",
                                  None)  # fmt: skip

    def forward(self, **inputs):
        pooled = self.tower(**inputs).pooler_output
        return types.SimpleNamespace(
            image_embeds=pooled if self.projection is None else self.projection(pooled))  # fmt: skip


@torch.no_grad()
def capture_text(model, tokens):
    """Every site of a text tower (Alone) for one text."""
    modules, ids = {}, torch.as_tensor(tokens)[None]
    with sites.recorded_modules(model, modules):
        output = model(input_ids=ids)
    part, _ = tower(model)
    result = {"hook_embed": part.embeddings.token_embedding(ids)[0],
              "hook_pos_embed": part.embeddings.position_embedding.weight[: len(tokens)]}  # fmt: skip
    before = result["hook_embed"] + result["hook_pos_embed"]
    for i in range(block_count(part)):
        result |= block_sites(model, modules, i)
        expect_close(f"blocks.{i}.hook_resid_pre", result[f"blocks.{i}.hook_resid_pre"], before, 1e-6)
        before = result[f"blocks.{i}.hook_resid_post"]
    result["ln_final.hook_out"] = rows(modules[role_names(model, 0)["final"]][1])
    result["hook_logits"] = output.image_embeds
    return {name: value.detach().clone().contiguous() for name, value in result.items()}


def check_conditioning(model, pixels, values, tolerance=2e-5):
    """As sites.check_conditioning: HF's fp32 rounding is far below the parity tolerance."""
    exact = capture(copy.deepcopy(model).double(), pixels.double())
    for name, value in values.items():
        expect_close(f"{name} (fp32 against fp64)", value, exact[name].double(), tolerance)
