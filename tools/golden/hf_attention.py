"""What HF's attention computed, for sites.py: q, k, v before and after rotary, the bias on the logits,
the pattern and z, as one dictionary per block. q: [H,T,c]; k, v: [G,T,c]; bias: [H,T,T] or None."""

import contextlib
import importlib

import torch
from transformers.models.bloom import modeling_bloom
from transformers.models.falcon import modeling_falcon
from transformers.models.gpt2 import modeling_gpt2
from transformers.models.gptj import modeling_gptj
from transformers.models.mpt import modeling_mpt

OWN_FORWARD = ("bloom", "falcon", "gptj", "mpt")  # no function to replace: rebuilt from the modules


def modeling_module(model):
    kind = {"gemma3_text": "gemma3"}.get(model.config.model_type, model.config.model_type)
    return importlib.import_module(f"transformers.models.{kind}.modeling_{kind}")


@contextlib.contextmanager
def recorded_attention(model, calls):
    """Stores the arguments and results of HF's eager attention as calls[block]; of Falcon, whose
    attention is not a function of its own, what its rotary function returns as calls["rotary"]."""
    module = modeling_module(model)
    names = ["eager_attention_forward", "apply_rotary_pos_emb"]
    plain = {name: getattr(module, name, None) for name in names}
    reordered = modeling_gpt2.GPT2Attention._upcast_and_reordered_attn

    def store(attention, query, key, value, mask, scaling, output, pattern, softcap=None):
        calls[attention.layer_idx] = dict(q=query, k=key, v=value, mask=mask, scale=scaling, z=output,
                                          pattern=pattern, softcap=softcap)  # fmt: skip

    def eager(attention, query, key, value, mask, *, scaling=None, **kwargs):
        output, pattern = plain[names[0]](attention, query, key, value, mask, scaling=scaling, **kwargs)
        store(attention, query, key, value, mask, scaling, output, pattern, kwargs.get("softcap"))
        return output, pattern

    def reordered_wrapper(attention, query, key, value, mask=None):
        output, pattern = reordered(attention, query, key, value, mask)
        store(attention, query, key, value, mask, attention.scaling, output, pattern)
        return output, pattern

    def rotary(*args, **kwargs):
        result = plain[names[1]](*args, **kwargs)
        calls.setdefault("rotary", []).append(result)
        return result

    if model.config.model_type in OWN_FORWARD:
        if model.config.model_type == "falcon":
            module.apply_rotary_pos_emb = rotary
    else:
        module.eager_attention_forward = eager
        modeling_gpt2.GPT2Attention._upcast_and_reordered_attn = reordered_wrapper
    try:
        yield
    finally:
        for name, function in plain.items():
            if function is not None:
                setattr(module, name, function)
        modeling_gpt2.GPT2Attention._upcast_and_reordered_attn = reordered


def split_fused(model, out, heads, groups):
    """[T, …] of a fused projection → q [H,T,c], k and v [G,T,c]."""
    kind, c = model.config.model_type, out.shape[-1] // (heads + 2 * groups)
    if kind in ("gpt2", "mpt", "phi3"):
        parts = out.split([heads * c, groups * c, groups * c], -1)
        return [part.view(len(out), -1, c).transpose(0, 1) for part in parts]
    grouped = out.view(len(out), groups, heads // groups + 2, c)
    q = grouped[:, :, :-2].reshape(len(out), heads, c)
    return [part.transpose(0, 1) for part in (q, grouped[:, :, -2], grouped[:, :, -1])]


def head_counts(model):
    config = model.config
    heads = config.num_attention_heads
    if config.model_type == "falcon":
        new = config.new_decoder_architecture
        return heads, config.num_kv_heads if new else 1 if config.multi_query else heads
    return heads, getattr(config, "num_key_value_heads", None) or heads


def projections(model, modules, names):
    """q, k, v as the projections give them, clamped if the model clamps."""
    heads, groups = head_counts(model)
    rows = lambda role: modules[names[role]][1].reshape(-1, modules[names[role]][1].shape[-1])
    if "qkv" in names:
        q, k, v = split_fused(model, rows("qkv"), heads, groups)
    else:
        q, k, v = (
            rows(role).view(len(rows(role)), count, -1).transpose(0, 1)
            for role, count in (("q", heads), ("k", groups), ("v", groups))
        )
    clip = getattr(model.config, "clip_qkv", None)
    if model.config.model_type == "mpt":
        clip = model.config.attn_config.clip_qkv
    return [part.clamp(-clip, clip) for part in (q, k, v)] if clip else [q, k, v]


def normed(model, modules, names, role, x):
    """x [H,T,c] after the model's norm on queries or keys."""
    if role not in names:
        return x
    out = modules[names[role]][1][0]
    if out.dim() == 2:  # [T, H*c]
        return out.view(len(out), len(x), -1).transpose(0, 1)
    return out if out.shape[0] == x.shape[0] and out.shape[1] == x.shape[1] else out.transpose(0, 1)


def alibi_bias(model, length):
    """b(key) - b(query) with HF's own b, [H,T,T]; HF adds b(key) alone, which softmax cannot tell."""
    config, mask = model.config, torch.ones(1, length, dtype=torch.int64)
    heads = config.num_attention_heads
    if config.model_type == "mpt":
        # The bias of the last `length` positions.
        b = modeling_mpt.build_mpt_alibi_tensor(heads, config.max_seq_len)[:, 0, -length:]
    elif config.model_type == "bloom":
        b = modeling_bloom.build_alibi_tensor(mask, heads, torch.float32)[:, 0]
    else:
        b = modeling_falcon.build_alibi_tensor(mask, heads, torch.float32)[:, 0]
        b = b / (config.hidden_size // heads) ** 0.5
    return b[:, None, :] - b[:, :, None]


def rotated_gptj(model, names, q, k):
    attention = model.get_submodule(names["attn"])
    sin, cos = attention.embed_positions[None, : q.shape[1]].chunk(2, -1)
    turn = attention.rotary_dim

    def rotate(x):
        x = x.transpose(0, 1)[None]
        part = modeling_gptj.apply_rotary_pos_emb(x[..., :turn], sin.to(x.dtype), cos.to(x.dtype))
        return torch.cat([part, x[..., turn:]], -1)[0].transpose(0, 1)

    return rotate(q), rotate(k)


def rebuilt_call(model, modules, names, calls, i, q, k, v):
    """The attention of models that do not go through an exchangeable function."""
    kind, length = model.config.model_type, q.shape[1]
    causal = torch.full((length, length), -torch.inf, dtype=q.dtype).triu(1)
    call = dict(q=q, k=k, v=v, mask=causal[None], scale=q.shape[-1] ** -0.5, softcap=None, rotary=False)
    call["z"] = modules[names["wo"]][0].reshape(length, -1)
    call["pattern"] = modules[names["attn"]][2]
    if kind == "gptj":
        call["q"], call["k"] = rotated_gptj(model, names, q, k)
        call["rotary"] = True
    elif kind == "falcon" and not model.config.alibi:
        rotated_q, rotated_k = (x[0] for x in calls["rotary"][i])
        call["q"], call["k"] = rotated_q, rotated_k[:: len(rotated_k) // len(k)]
        call["rotary"] = True
    else:
        call["mask"] = call["mask"] + alibi_bias(model, length).to(q.dtype)
    if kind == "mpt" and model.config.attn_config.softmax_scale is not None:
        call["scale"] = model.config.attn_config.softmax_scale
    return call


def attention_of(model, modules, names, calls, i):
    """One block's attention: before_q, before_k (before rotary), q, k, v, mask, scale, softcap, z [T,·],
    pattern (or None), rotary."""
    q, k, v = projections(model, modules, names)
    if model.config.model_type in OWN_FORWARD:
        call = rebuilt_call(model, modules, names, calls, i, q, k, v)
    else:
        recorded = calls[i]
        call = {key: recorded[key][0] for key in ("q", "k", "v", "pattern")}
        mask = recorded["mask"]
        call |= dict(scale=recorded["scale"], softcap=recorded["softcap"], mask=None)
        if mask is not None:
            # HF masks with the type's smallest number; massact's sites say -inf.
            call["mask"] = torch.where(mask[0] < -1e30, -torch.inf, mask[0])
        call["z"] = recorded["z"][0].reshape(q.shape[1], -1)
        call["rotary"] = model.config.model_type not in ("gpt2", "opt")
        if model.config.model_type == "opt":  # HF scales the queries instead of the scores
            call |= dict(q=q, scale=q.shape[-1] ** -0.5)
    call["sinks"] = getattr(model.get_submodule(names["attn"]), "sinks", None)
    call["before_q"] = normed(model, modules, names, "q_norm", q)
    call["before_k"] = normed(model, modules, names, "k_norm", k)
    return call
