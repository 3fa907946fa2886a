"""Captures every site of massact's site table from a Hugging Face vision transformer: the counterpart
of sites.py for images. HF stays the judge: what it does not expose is recomputed and checked against
its next value."""

import copy
import inspect

import torch

import sites
from sites import expect_close, rows

DINO = dict(ln1="norm1", q="attention.q_proj", k="attention.k_proj", v="attention.v_proj",
            wo="attention.o_proj", attn_out="layer_scale1", ln2="norm2", mlp_out="layer_scale2",
            block="encoder.layer.{}", final="layernorm")  # fmt: skip
PLAIN = dict(w_in="mlp.fc1", w_out="mlp.fc2")
GATED = dict(w_in="mlp.gate_proj", w_up="mlp.up_proj", w_out="mlp.down_proj")

# Names of the parts of a block, and of the blocks and the final norm under the model's own prefix.
NAMES = {
    "dinov2": DINO,
    "dinov2_with_registers": DINO,
}


def tower(model):
    """The part of `model` that has the embeddings, and its name with a dot (or "")."""
    for name, module in model.named_modules():
        if hasattr(module, "embeddings"):
            return module, name + "." if name else ""
    raise ValueError("no embeddings")


def role_names(model, i):
    part, prefix = tower(model)
    names = dict(NAMES[part.config.model_type])
    modules = dict(model.named_modules())
    block = prefix + names.pop("block").format(i)
    final = prefix + names.pop("final")
    mlp = GATED if f"{block}.mlp.gate_proj" in modules else PLAIN
    inside = {role: f"{block}.{name}" for role, name in (mlp | names).items()}
    return inside | dict(block=block, final=final)


def stem(model, pixels):
    """(hook_embed, hook_pos_embed or None) [T, d], from HF's own parts."""
    part, _ = tower(model)
    e, config = part.embeddings, part.config
    patches = e.patch_embeddings(pixels)
    height, width = pixels.shape[2:]
    with_class = torch.cat([e.cls_token, patches], 1)
    positions = e.interpolate_pos_encoding(with_class, height, width)
    registers = getattr(config, "num_register_tokens", 0)
    if registers:
        with_class = torch.cat([with_class[:, :1], e.register_tokens, with_class[:, 1:]], 1)
        zeros = torch.zeros_like(e.register_tokens)
        positions = torch.cat([positions[:, :1], zeros, positions[:, 1:]], 1)
    return with_class[0], positions[0]


def attention_call(config, modules, names):
    """As hf_attention.attention_of gives it; the pattern is recomputed and judged by z."""
    split = lambda role: rows(modules[names[role]][1]).unflatten(-1, (config.num_attention_heads, -1))
    q, k, v = (split(role).transpose(0, 1) for role in "qkv")
    return dict(q=q, k=k, v=v, before_q=q, before_k=k, mask=None, scale=q.shape[-1] ** -0.5,
                softcap=None, sinks=None, pattern=None, rotary=False,
                z=rows(modules[names["wo"]][0]))  # fmt: skip


def block_sites(model, modules, i):
    names, at = role_names(model, i), f"blocks.{i}"
    config = tower(model)[0].config
    get = lambda role, side: rows(modules[names[role]][side])
    result = sites.attention_sites(model, attention_call(config, modules, names), f"{at}.attn")
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


def answer(output):
    """What the model's head gives, [1, n], or None."""
    for name in ("logits", "image_embeds"):
        if getattr(output, name, None) is not None:
            return getattr(output, name)
    return None


@torch.no_grad()
def capture(model, pixels):
    """Every site of `model` for one image [channels, height, width], as {site name: tensor}."""
    modules, pixels = {}, pixels[None]
    extra = {}
    if "interpolate_pos_encoding" in inspect.signature(type(model).forward).parameters:
        extra["interpolate_pos_encoding"] = True
    with sites.recorded_modules(model, modules):
        output = model(pixel_values=pixels, **extra)
    part, _ = tower(model)
    embed, positions = stem(model, pixels)
    result, before = {"hook_embed": embed}, embed
    if positions is not None:
        result["hook_pos_embed"] = positions
        before = embed + positions
    for i in range(part.config.num_hidden_layers):
        result |= block_sites(model, modules, i)
        expect_close(f"blocks.{i}.hook_resid_pre", result[f"blocks.{i}.hook_resid_pre"], before, 1e-6)
        before = result[f"blocks.{i}.hook_resid_post"]
    final = model.get_submodule(role_names(model, 0)["final"])
    result["ln_final.hook_out"] = final(before)
    if rows(modules[role_names(model, 0)["final"]][1]).shape == before.shape:
        expect_close("ln_final", result["ln_final.hook_out"],
                     rows(modules[role_names(model, 0)["final"]][1]), 1e-6)  # fmt: skip
    if answer(output) is not None:
        result["hook_logits"] = answer(output)
    return {name: value.detach().clone().contiguous() for name, value in result.items()}


def check_conditioning(model, pixels, values, tolerance=2e-5):
    """As sites.check_conditioning: HF's fp32 rounding is far below the parity tolerance."""
    exact = capture(copy.deepcopy(model).double(), pixels.double())
    for name, value in values.items():
        expect_close(f"{name} (fp32 against fp64)", value, exact[name].double(), tolerance)
