"""Captures every site of massact's site table from a Hugging Face model.

The values are the ones HF itself computed (module inputs and outputs, and the arguments of its eager
attention). What HF does not expose (the norm's divisor, logits before the softmax) is recomputed and
then checked against HF's next value, so HF stays the judge.
"""

import contextlib
import copy

import torch
from transformers.models.gpt2 import modeling_gpt2

import hf_attention
import hf_names


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
def recorded_modules(model, values):
    """Stores the first input, the output and a second output of every module under its name."""
    copied = lambda x: x.detach().clone() if isinstance(x, torch.Tensor) else x  # some write in place

    def store(name):
        def hook(_, args, kwargs, output):
            given = args[0] if args else next(iter(kwargs.values()), None)
            parts = output if isinstance(output, tuple) else (output, None)
            second = parts[1][0] if len(parts) > 1 and isinstance(parts[1], torch.Tensor) else None
            values[name] = (given_copies.pop(name, given), copied(parts[0]), copied(second))

        return hook

    def keep(name):
        def hook(_, args, kwargs):
            given = args[0] if args else next(iter(kwargs.values()), None)
            given_copies[name] = copied(given)

        return hook

    given_copies, handles = {}, []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(keep(name), with_kwargs=True))
        handles.append(module.register_forward_hook(store(name), with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def rows(x):
    """[1, T, n] or [T, n] as [T, n]."""
    return x.reshape(-1, x.shape[-1])


def norm_sites(module, x, out, name):
    """hook_scale [T,1], hook_normalized [T,d], hook_out [T,d] of one norm; checked against `out`."""
    centres = "LayerNorm" in type(module).__name__
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", 1e-5))
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    centred = x - x.mean(-1, keepdim=True) if centres else x
    scale = (centred.pow(2).mean(-1, keepdim=True) + eps).sqrt()
    normalized = again = centred / scale
    if weight is not None:
        again = again * (1.0 + weight if "Gemma" in type(module).__name__ else weight)
    expect_close(f"{name}.hook_out", again if bias is None else again + bias, out)
    return {f"{name}.hook_scale": scale, f"{name}.hook_normalized": normalized, f"{name}.hook_out": out}


def attention_sites(model, call, prefix):
    """Sites of attention, and their checks; [heads, T, ...] become [T, heads, ...]."""
    groups = call["q"].shape[0] // call["k"].shape[0]
    keys, values = (call[name].repeat_interleave(groups, dim=0) for name in ("k", "v"))
    scores = call["q"] @ keys.transpose(1, 2) * call["scale"]
    if call["softcap"] is not None:
        scores = torch.tanh(scores / call["softcap"]) * call["softcap"]
    if call["mask"] is not None:
        scores = scores + call["mask"]
    if call["sinks"] is not None:  # a column before all keys, with no value
        slot = call["sinks"].view(-1, 1, 1).expand(*scores.shape[:2], 1)
        scores = torch.cat([slot.to(scores.dtype), scores], -1)
        values = torch.cat([torch.zeros_like(values[:, :1]), values], 1)
    pattern = scores.softmax(-1)
    # Falcon's eager attention adds ALiBi twice, so it is asked for the other one, which has no pattern.
    if call["pattern"] is not None:
        if call["sinks"] is not None:  # HF drops the column
            expect_close(f"{prefix}.hook_pattern", pattern[..., 1:], call["pattern"])
        else:
            expect_close(f"{prefix}.hook_pattern", pattern, call["pattern"])
            pattern = call["pattern"]
    z = (pattern @ values).transpose(0, 1)
    expect_close(f"{prefix}.hook_z", z.reshape(len(z), -1), call["z"])
    sites = {
        f"{prefix}.hook_q": call["before_q"].transpose(0, 1),
        f"{prefix}.hook_k": call["before_k"].transpose(0, 1),
        f"{prefix}.hook_v": call["v"].transpose(0, 1),
        f"{prefix}.hook_attn_scores": scores,
        f"{prefix}.hook_pattern": pattern,
        f"{prefix}.hook_z": call["z"].view(z.shape),
    }
    if call["rotary"]:
        sites[f"{prefix}.hook_rot_q"] = call["q"].transpose(0, 1)
        sites[f"{prefix}.hook_rot_k"] = call["k"].transpose(0, 1)
    return sites


def router_sites(model, modules, names, prefix):
    """The weights with which experts are summed, [T, experts]: HF's router on what the MLP read."""
    logits, weights, chosen = model.get_submodule(names["router"])(rows(modules[names["mlp"]][0]))
    expect_close(f"{prefix}.router logits", logits, rows(modules[names["router"]][1]), 1e-6)
    routing = torch.zeros_like(logits).scatter(-1, chosen, weights.to(logits.dtype))
    return {f"{prefix}.hook_router": routing}


def mlp_sites(model, modules, names, prefix):
    if "router" in names:
        return router_sites(model, modules, names, prefix)
    get = lambda role, side: rows(modules[names[role]][side])
    if "gate_up" in names:
        pre, linear = get("gate_up", 1).chunk(2, -1)
    else:
        pre, linear = get("w_in", 1), get("w_up", 1) if "w_up" in names else None
    sites = {f"{prefix}.hook_pre": pre, f"{prefix}.hook_post": get("w_out", 0)}
    return sites if linear is None else sites | {f"{prefix}.hook_pre_linear": linear}


def residual_sites(model, names, get, sites, at):
    """Checks how the branches join the stream; adds hook_resid_mid where it exists."""
    pre, post = get("block", 0), get("block", 1)
    attn_out, mlp_out = sites[f"{at}.hook_attn_out"], sites[f"{at}.hook_mlp_out"]
    sites |= {f"{at}.hook_resid_pre": pre, f"{at}.hook_resid_post": post}
    if hf_names.is_parallel(model):
        expect_close(f"{at}.hook_resid_post", pre + attn_out + mlp_out, post)
        return
    mid = pre + attn_out
    sites[f"{at}.hook_resid_mid"] = mid
    if model.config.model_type == "opt" and not model.config.do_layer_norm_before:
        expect_close(f"{at}.hook_resid_mid", mid, get("ln1", 0))
        expect_close(f"{at}.ln2 input", get("ln1", 1) + mlp_out, get("ln2", 0))
        expect_close(f"{at}.hook_resid_post", get("ln2", 1), post)
        return
    expect_close(f"{at}.hook_resid_mid", mid, get("ln2" if "ln2" in names else "mlp", 0))
    expect_close(f"{at}.hook_resid_post", mid + mlp_out, post)


def block_sites(model, modules, calls, i):
    """All sites of block i."""
    names, at = hf_names.role_names(model, i), f"blocks.{i}"
    get = lambda role, side: rows(modules[names[role]][side])
    call = hf_attention.attention_of(model, modules, names, calls, i)
    expect_close(f"{at}.attn.hook_z", call["z"], get("wo", 0))
    sites = attention_sites(model, call, f"{at}.attn") | mlp_sites(model, modules, names, f"{at}.mlp")
    sites[f"{at}.hook_attn_out"] = get("ln1_post" if "ln1_post" in names else "wo", 1)
    end = "ln2_post" if "ln2_post" in names else "mlp" if "router" in names else "w_out"
    sites[f"{at}.hook_mlp_out"] = get(end, 1)
    residual_sites(model, names, get, sites, at)
    for norm in ("ln1", "ln1_post", "ln2", "ln2_post"):
        if norm in names:
            module = model.get_submodule(names[norm])
            sites |= norm_sites(module, get(norm, 0), get(norm, 1), f"{at}.{norm}")
    return sites


def end_sites(model, modules, names, last, logits):
    sites = {"hook_logits": logits}
    read = rows(modules[names["head"]][0])
    if "final" in names:
        expect_close("ln_final input", rows(modules[names["final"]][0]), last, 0.0)
        sites["ln_final.hook_out"] = rows(modules[names["final"]][1])
        expect_close("head input", read, sites["ln_final.hook_out"], 0.0)
    again = model.get_submodule(names["head"])(read) * (
        getattr(model.config, "logit_scale", None) or 1.0
    )
    cap = getattr(model.config, "final_logit_softcapping", None)
    expect_close("hook_logits", torch.tanh(again / cap) * cap if cap else again, logits, 1e-6)
    return sites


@torch.no_grad()
def capture(model, tokens):
    """Every site of `model` for one sequence of token ids, as {site name: tensor}, in model dtype."""
    modules, calls = {}, {}
    ids = torch.as_tensor(tokens, dtype=torch.int64)[None]
    with recorded_modules(model, modules), hf_attention.recorded_attention(model, calls):
        logits = model(ids, use_cache=False).logits[0]

    names = hf_names.role_names(model, 0)
    sites = {"hook_embed": rows(modules[names["embed"]][1])}
    before = sites["hook_embed"]
    if "pos" in names:
        sites["hook_pos_embed"] = rows(modules[names["pos"]][1])
        before = before + sites["hook_pos_embed"]
    for i in range(model.config.num_hidden_layers):
        sites |= block_sites(model, modules, calls, i)
        expect_close(f"blocks.{i}.hook_resid_pre", sites[f"blocks.{i}.hook_resid_pre"], before, 0.0)
        before = sites[f"blocks.{i}.hook_resid_post"]
    sites |= end_sites(model, modules, names, before, logits)
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
