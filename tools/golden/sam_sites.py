"""Captures every site of massact's site table from HF's SAM image encoder: the counterpart of
vision_sites.py for windows of patches. Maps of attention have a column for each patch of the image, -inf
(zero) outside the query's window, behind a first one for all of the window's padding together. HF stays
the judge: scores are recomputed and must give HF's own weights."""

import torch

import sites
from sites import expect_close, rows


class Windows:
    """Windows [count, side, side, ...] of a grid and back."""

    def __init__(self, grid, side):
        self.grid, self.side = grid, side
        padded = [-(-n // side) * side if side else n for n in grid]
        number = torch.full(padded, -1)
        number[: grid[0], : grid[1]] = torch.arange(grid[0] * grid[1]).reshape(grid)
        if side:
            number = number.reshape(padded[0] // side, side, padded[1] // side, side).transpose(1, 2)
            number = number.reshape(-1, side * side)
        self.patch = number.reshape(-1, number.shape[-1]) if side else number.reshape(1, -1)

    def rows(self, x):
        """[count, places, n] without padding, as the grid's patches: [T, n]."""
        out = x.new_empty((self.grid[0] * self.grid[1], x.shape[-1]))
        inside = self.patch >= 0
        out[self.patch[inside]] = x.reshape(*self.patch.shape, -1)[inside]
        return out

    def map(self, x, fill, together):
        """[count, heads, places, places] as [heads, T, 1 + T]; `together` sums up the padding."""
        count, patches = len(x), self.grid[0] * self.grid[1]
        out = x.new_full((x.shape[1], patches, 1 + patches), fill)
        for n in range(count):
            inside = self.patch[n] >= 0
            own = self.patch[n][inside]
            queries = x[n][:, inside]
            out[:, own[:, None], 1 + own[None]] = queries[:, :, inside]
            if not inside.all():
                out[:, own, 0] = together(queries[:, :, ~inside])
        return out


def attention_sites(layer, modules, weights, at, grid, slot):
    attn = layer.attn
    name = at["attn"]
    windows = Windows(grid, layer.window_size)
    size = [layer.window_size or n for n in grid]
    heads = attn.num_attention_heads
    qkv = modules[f"{name}.qkv"][1]
    count, places = windows.patch.shape
    q, k, v = qkv.reshape(count, places, 3, heads, -1).permute(2, 0, 3, 1, 4)  # [count, heads, places, c]
    scores = (q * attn.scale) @ k.transpose(-2, -1)
    if attn.use_rel_pos:
        flat = lambda x: x.reshape(count * heads, places, -1)
        relative = attn.get_decomposed_rel_pos(flat(q), attn.rel_pos_h, attn.rel_pos_w, size, size)
        scores = scores + relative.reshape(scores.shape)
    weights = weights.reshape(scores.shape)
    expect_close(f"{name} pattern", scores.softmax(-1), weights)
    whole_scores = windows.map(scores, -torch.inf, lambda x: x.logsumexp(-1))
    pattern = windows.map(weights, 0.0, lambda x: x.sum(-1))
    of_rows = lambda x: windows.rows(x.transpose(1, 2).reshape(count, places, -1))
    q, k, v = (of_rows(x).unflatten(-1, (heads, -1)) for x in (q, k, v))
    z = windows.rows(modules[f"{name}.proj"][0].reshape(count, places, -1)).unflatten(-1, (heads, -1))
    bias = torch.zeros_like(v[:1]) if attn.qkv.bias is None else attn.qkv.bias.chunk(3)[2].reshape(v[:1].shape)
    again = torch.einsum("hts,shc->thc", pattern, torch.cat([bias, v]))
    expect_close(f"{name} z", again.flatten(1), z.flatten(1))
    if not slot:
        whole_scores, pattern = whole_scores[..., 1:], pattern[..., 1:]
    at = at["site"]
    out = windows.rows(modules[name][1].reshape(count, places, -1))
    return {f"{at}.attn.hook_q": q, f"{at}.attn.hook_k": k, f"{at}.attn.hook_v": v,
            f"{at}.attn.hook_attn_scores": whole_scores, f"{at}.attn.hook_pattern": pattern,
            f"{at}.attn.hook_z": z, f"{at}.hook_attn_out": out}  # fmt: skip


def block_sites(layer, modules, weights, i, grid, slot):
    at, name = f"blocks.{i}", f"layers.{i}"
    get = lambda part, side: rows(modules[f"{name}.{part}" if part else name][side])
    result = attention_sites(layer, modules, weights, dict(site=at, attn=f"{name}.attn"), grid, slot)
    result[f"{at}.mlp.hook_pre"] = get("mlp.lin1", 1)
    result[f"{at}.mlp.hook_post"] = get("mlp.lin2", 0)
    result[f"{at}.hook_mlp_out"] = get("mlp.lin2", 1)
    pre, post = get("", 0), get("", 1)
    mid = pre + result[f"{at}.hook_attn_out"]
    expect_close(f"{at}.hook_resid_mid", mid, get("layer_norm2", 0))
    expect_close(f"{at}.hook_resid_post", mid + result[f"{at}.hook_mlp_out"], post)
    result |= {f"{at}.hook_resid_pre": pre, f"{at}.hook_resid_mid": mid, f"{at}.hook_resid_post": post}
    for norm, module in (("ln1", layer.layer_norm1), ("ln2", layer.layer_norm2)):
        part = f"layer_norm{norm[-1]}"
        result |= sites.norm_sites(module, get(part, 0), get(part, 1), f"{at}.{norm}")
    return result


@torch.no_grad()
def capture(model, pixels):
    """Every site of SAM's image encoder for one image [channels, height, width]."""
    encoder, modules, weights, pixels = model.vision_encoder, {}, {}, pixels[None]
    handles = [layer.attn.register_forward_hook(
        lambda module, args, output, i=i: weights.__setitem__(i, output[1].detach().clone()))
        for i, layer in enumerate(encoder.layers)]  # fmt: skip
    with sites.recorded_modules(encoder, modules):
        features = encoder(pixels).last_hidden_state
    for handle in handles:
        handle.remove()
    embed = encoder.patch_embed(pixels)
    grid = list(embed.shape[1:3])
    result, before = {"hook_embed": rows(embed)}, rows(embed)
    if encoder.pos_embed is not None:
        result["hook_pos_embed"] = rows(encoder.pos_embed)
        before = before + rows(encoder.pos_embed)
    slot = any(layer.window_size for layer in encoder.layers)
    for i, layer in enumerate(encoder.layers):
        result |= block_sites(layer, modules, weights[i], i, grid, slot)
        expect_close(f"blocks.{i}.hook_resid_pre", result[f"blocks.{i}.hook_resid_pre"], before, 1e-6)
        before = result[f"blocks.{i}.hook_resid_post"]
    result["hook_logits"] = features[0].flatten(1).T
    return {name: value.detach().clone().contiguous() for name, value in result.items()}
