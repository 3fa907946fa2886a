"""Captures every site of massact's site table from a Hugging Face model.

The values are the ones HF itself computed (module inputs and outputs, and the arguments of its eager
attention). What HF does not expose (the norm's divisor, logits before the softmax) is recomputed and
then checked against HF's next value, so HF stays the judge.
"""

import contextlib
import copy

import torch
from transformers.models.gpt2 import modeling_gpt2
from transformers.models.llama import modeling_llama
from transformers.models.mistral import modeling_mistral
from transformers.models.qwen2 import modeling_qwen2

LLAMA_LIKE = {"llama": modeling_llama, "mistral": modeling_mistral, "qwen2": modeling_qwen2}


class InconsistentError(AssertionError):
    """A recomputed value does not agree with HF's own."""


def expect_close(name, got, want, tolerance=1e-5):
    """Checks |got - want| <= tolerance * (|want| + RMS of want's row); -inf must be equal."""
    if got.shape != want.shape:
        raise InconsistentError(f"{name}: shape {tuple(got.shape)}, expected {tuple(want.shape)}")
    if not torch.equal(torch.isinf(got), torch.isinf(want)):
        raise InconsistentError(f"{name}: different masked places")
    got, want = (torch.where(torch.isinf(x), 0.0, x).double() for x in (got, want))
    rms = want.pow(2).mean(-1, keepdim=True).sqrt()
    excess = (got - want).abs() - tolerance * (want.abs() + rms)
    if not (excess <= 0).all():
        worst = (got - want).abs().max().item()
        raise InconsistentError(f"{name}: largest difference {worst:.3g}, tolerance {tolerance:.1g}")


@contextlib.contextmanager
def recorded_attention(model, calls):
    """Replaces HF's eager attention by a wrapper that appends (arguments, results) to `calls`."""
    if model.config._attn_implementation != "eager":
        raise ValueError("the model must be loaded with attn_implementation='eager'")
    module = LLAMA_LIKE.get(model.config.model_type, modeling_gpt2)
    plain = module.eager_attention_forward

    def wrapper(attention, query, key, value, mask, *, scaling, **kwargs):
        output, pattern = plain(attention, query, key, value, mask, scaling=scaling, **kwargs)
        calls[attention.layer_idx] = dict(
            q=query, k=key, v=value, mask=mask, scale=scaling, z=output, pattern=pattern
        )
        return output, pattern

    reordered = modeling_gpt2.GPT2Attention._upcast_and_reordered_attn

    def reordered_wrapper(attention, query, key, value, mask=None):
        output, pattern = reordered(attention, query, key, value, mask)
        calls[attention.layer_idx] = dict(
            q=query, k=key, v=value, mask=mask, scale=attention.scaling, z=output, pattern=pattern
        )
        return output, pattern

    module.eager_attention_forward = wrapper
    modeling_gpt2.GPT2Attention._upcast_and_reordered_attn = reordered_wrapper
    try:
        yield
    finally:
        module.eager_attention_forward = plain
        modeling_gpt2.GPT2Attention._upcast_and_reordered_attn = reordered


@contextlib.contextmanager
def recorded_modules(model, values):
    """Stores the first input and the output of every module as values[name] = (input, output)."""

    def store(name):
        def hook(_, args, kwargs, output):
            given = args[0] if args else next(iter(kwargs.values()), None)
            values[name] = (given, output[0] if isinstance(output, tuple) else output)

        return hook

    handles = [
        module.register_forward_hook(store(name), with_kwargs=True)
        for name, module in model.named_modules()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def module_names(model, i):
    """HF's module names in block i, by role."""
    if model.config.model_type == "gpt2":
        block = f"transformer.h.{i}"
        return dict(block=block, ln1=f"{block}.ln_1", ln2=f"{block}.ln_2", attn=f"{block}.attn",
                    wo=f"{block}.attn.c_proj", mlp=f"{block}.mlp", w_in=f"{block}.mlp.c_fc",
                    w_out=f"{block}.mlp.c_proj")  # fmt: skip
    block = f"model.layers.{i}"
    return dict(block=block, ln1=f"{block}.input_layernorm", ln2=f"{block}.post_attention_layernorm",
                attn=f"{block}.self_attn", wo=f"{block}.self_attn.o_proj", mlp=f"{block}.mlp",
                w_in=f"{block}.mlp.gate_proj", w_up=f"{block}.mlp.up_proj",
                w_out=f"{block}.mlp.down_proj")  # fmt: skip


def norm_sites(module, x, out, name):
    """hook_scale [T,1], hook_normalized [T,d], hook_out [T,d] of one norm; checked against `out`."""
    is_layer_norm = isinstance(module, torch.nn.LayerNorm)
    eps = module.eps if is_layer_norm else module.variance_epsilon
    centred = x - x.mean(-1, keepdim=True) if is_layer_norm else x
    scale = (centred.pow(2).mean(-1, keepdim=True) + eps).sqrt()
    normalized = centred / scale
    again = normalized * module.weight + (module.bias if is_layer_norm else 0.0)
    expect_close(f"{name}.hook_out", again, out)
    return {f"{name}.hook_scale": scale, f"{name}.hook_normalized": normalized, f"{name}.hook_out": out}


def attention_sites(call, prefix):
    """Sites that the eager attention's arguments and results give, and their checks."""
    mask = call["mask"]
    groups = call["q"].shape[1] // call["k"].shape[1]
    keys = call["k"].repeat_interleave(groups, dim=1)
    values = call["v"].repeat_interleave(groups, dim=1)
    scores = call["q"] @ keys.transpose(2, 3) * call["scale"]
    if mask is not None:
        # HF masks with the type's smallest number; massact's sites say -inf.
        scores = torch.where(mask < -1e30, -torch.inf, scores + mask)
    expect_close(f"{prefix}.hook_pattern", scores.softmax(-1), call["pattern"])
    expect_close(f"{prefix}.hook_z", (call["pattern"] @ values).transpose(1, 2), call["z"])
    return {
        f"{prefix}.hook_v": call["v"][0].transpose(0, 1),
        f"{prefix}.hook_attn_scores": scores[0],
        f"{prefix}.hook_pattern": call["pattern"][0],
        f"{prefix}.hook_z": call["z"][0],
    }


def query_key_sites(model, modules, call, attn_name, prefix):
    """q and k before and after rotary, [T,H,c] and [T,G,c]; gpt2 has no rotary sites."""
    after_q, after_k = (call[name][0].transpose(0, 1) for name in ("q", "k"))
    if model.config.model_type == "gpt2":
        return {f"{prefix}.hook_q": after_q, f"{prefix}.hook_k": after_k}
    head = after_q.shape[-1]
    before_q = modules[f"{attn_name}.q_proj"][1][0].view(-1, after_q.shape[1], head)
    before_k = modules[f"{attn_name}.k_proj"][1][0].view(-1, after_k.shape[1], head)
    return {
        f"{prefix}.hook_q": before_q,
        f"{prefix}.hook_k": before_k,
        f"{prefix}.hook_rot_q": after_q,
        f"{prefix}.hook_rot_k": after_k,
    }


def block_sites(model, modules, call, i):
    """All sites of block i."""
    names, at = module_names(model, i), f"blocks.{i}"
    get = lambda role, side: modules[names[role]][side][0]
    pre, post = get("block", 0), get("block", 1)
    attn_out, mid, mlp_out = get("wo", 1), get("ln2", 0), get("mlp", 1)
    expect_close(f"{at}.hook_resid_mid", pre + attn_out, mid)
    expect_close(f"{at}.hook_resid_post", mid + mlp_out, post)
    expect_close(f"{at}.attn.hook_z", call["z"][0].reshape(pre.shape[0], -1), get("wo", 0))

    sites = {f"{at}.hook_resid_pre": pre, f"{at}.hook_resid_mid": mid, f"{at}.hook_resid_post": post}
    for norm in ("ln1", "ln2"):
        module = model.get_submodule(names[norm])
        sites |= norm_sites(module, get(norm, 0), get(norm, 1), f"{at}.{norm}")
    sites |= query_key_sites(model, modules, call, names["attn"], f"{at}.attn")
    sites |= attention_sites(call, f"{at}.attn")
    sites |= {f"{at}.hook_attn_out": attn_out, f"{at}.hook_mlp_out": mlp_out}
    sites |= {f"{at}.mlp.hook_pre": get("w_in", 1), f"{at}.mlp.hook_post": get("w_out", 0)}
    if "w_up" in names:
        sites[f"{at}.mlp.hook_pre_linear"] = get("w_up", 1)
    return sites


@torch.no_grad()
def capture(model, tokens):
    """Every site of `model` for one sequence of token ids, as {site name: tensor}, in model dtype."""
    modules, calls = {}, {}
    ids = torch.as_tensor(tokens, dtype=torch.int64)[None]
    with recorded_modules(model, modules), recorded_attention(model, calls):
        logits = model(ids, use_cache=False).logits[0]

    if model.config.model_type == "gpt2":
        sites = {"hook_embed": modules["transformer.wte"][1][0]}
        sites["hook_pos_embed"] = modules["transformer.wpe"][1][0]
        final, start = "transformer.ln_f", sites["hook_embed"] + sites["hook_pos_embed"]
    elif model.config.model_type in LLAMA_LIKE:
        sites = {"hook_embed": modules["model.embed_tokens"][1][0]}
        final, start = "model.norm", sites["hook_embed"]
    else:
        raise ValueError(f"no site table for model_type {model.config.model_type!r}")

    layers = model.config.num_hidden_layers
    for i in range(layers):
        sites |= block_sites(model, modules, calls[i], i)
        before = start if i == 0 else sites[f"blocks.{i - 1}.hook_resid_post"]
        expect_close(f"blocks.{i}.hook_resid_pre", sites[f"blocks.{i}.hook_resid_pre"], before, 0.0)
    last = sites[f"blocks.{layers - 1}.hook_resid_post"]
    expect_close("ln_final input", modules[final][0][0], last, 0.0)
    sites["ln_final.hook_out"] = modules[final][1][0]
    sites["hook_logits"] = logits
    expect_close("hook_logits", model.lm_head(sites["ln_final.hook_out"]), logits, 1e-6)
    return {name: value.detach().clone().contiguous() for name, value in sites.items()}


def check_conditioning(model, tokens, sites, tolerance=2e-5):
    """Checks that fp32 rounding inside HF is far below the parity tolerance (against HF in fp64)."""
    exact_model = copy.deepcopy(model).double()
    for module in exact_model.modules():
        if isinstance(module, modeling_gpt2.GPT2Attention):
            module.reorder_and_upcast_attn = False  # refuses fp64; only changes the rounding
    exact = capture(exact_model, tokens)
    for name, value in sites.items():
        expect_close(f"{name} (fp32 against fp64)", value, exact[name].double(), tolerance)
