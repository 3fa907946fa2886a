"""The attention variants in plain fp64 PyTorch, written from docs/attention-variants.md.

A second implementation for the tests: no batching, no fusion, one loop over heads. `sites(folder,
tokens)` reads a gpt2 or llama directory with `massact.attention` in its config and returns every site.
"""

import json
import math
import pathlib

import torch
from safetensors.torch import load_file

SLOT_VARIANTS = ("eab", "k-bias", "softmax-off-by-one", "learned-sink")
PARAMETERS = {  # what a variant stores per layer, with shapes in H, G, c, d
    "default": {},
    "eab": {"eab_k": "Gc", "eab_v": "Gc"},
    "k-bias": {"eab_k": "Gc"},
    "v-bias": {"eab_v": "Gc"},
    "qk-bias": {"q_bias": "Hc,", "k_bias": "Gc,"},
    "qkv-bias": {"q_bias": "Hc,", "k_bias": "Gc,", "v_bias": "Gc,"},
    "sink-token": {},
    "softmax-off-by-one": {},
    "learned-sink": {"sinks": "H"},
    "gated": {"gate.weight": "Hd"},
    "sigmoid": {},
    "clipped-softmax": {},
}


class Sizes:
    """The sizes and options of a config.json, under one set of names."""

    def __init__(self, config):
        self.gpt2 = config["model_type"] == "gpt2"
        get = lambda gpt2_name, llama_name: config[gpt2_name if self.gpt2 else llama_name]
        self.d = get("n_embd", "hidden_size")
        self.layers = get("n_layer", "num_hidden_layers")
        self.heads = get("n_head", "num_attention_heads")
        self.groups = self.heads if self.gpt2 else config["num_key_value_heads"]
        self.c = self.d // self.heads if self.gpt2 else config.get("head_dim") or self.d // self.heads
        self.eps = get("layer_norm_epsilon", "rms_norm_eps")
        rope = config.get("rope_parameters") or {}
        self.theta = rope.get("rope_theta", config.get("rope_theta", 10000.0))
        self.gelu_tanh = config.get("activation_function") == "gelu_new"
        extra = config.get("massact", {})
        self.attention = extra.get("attention", "default")
        self.gamma, self.eta = extra.get("gamma"), extra.get("eta")

    def shape(self, letters):
        size = dict(H=self.heads, G=self.groups, c=self.c, d=self.d)
        if letters.endswith(","):  # flattened to one dimension
            return (math.prod(size[x] for x in letters[:-1]),)
        return tuple(size[x] for x in letters)


class Run:
    """One forward pass; `record` collects the sites."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.size = Sizes(json.loads((folder / "config.json").read_text()))
        self.weights = {k: v.double() for k, v in load_file(folder / "model.safetensors").items()}
        self.record = {}

    def norm(self, x, name, site=None):
        """RMSNorm or LayerNorm; T x d."""
        weight = self.weights[f"{name}.weight"]
        centred = x - x.mean(-1, keepdim=True) if self.size.gpt2 else x
        scale = (centred.pow(2).mean(-1, keepdim=True) + self.size.eps).sqrt()
        out = centred / scale * weight + (self.weights[f"{name}.bias"] if self.size.gpt2 else 0.0)
        if site:
            self.record |= {f"{site}.hook_scale": scale, f"{site}.hook_normalized": centred / scale}
            self.record[f"{site}.hook_out"] = out
        return out

    def linear(self, x, name):
        """gpt2 stores [in, out] with a bias, llama [out, in] without."""
        weight = self.weights[f"{name}.weight"]
        return x @ weight + self.weights[f"{name}.bias"] if self.size.gpt2 else x @ weight.T

    def rotate(self, x):
        """Rotary embedding of x [T, heads, c], position = row; dimension j is paired with j + c/2."""
        half = self.size.c // 2
        frequency = self.size.theta ** (-torch.arange(half, dtype=torch.float64) / half)
        angle = torch.arange(x.shape[0], dtype=torch.float64)[:, None] * frequency
        cos, sin = angle.cos()[:, None], angle.sin()[:, None]
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def projections(self, x, at):
        """q [T,H,c], k and v [T,G,c] before rotary, learned projection biases included."""
        s = self.size
        if s.gpt2:
            q, k, v = self.linear(x, f"{at}.c_attn").split(s.d, -1)
        else:
            q, k, v = (self.linear(x, f"{at}.{n}_proj") for n in "qkv")
        if s.attention in ("qk-bias", "qkv-bias"):
            q, k = q + self.weights[f"{at}.q_bias"], k + self.weights[f"{at}.k_bias"]
        if s.attention == "qkv-bias":
            v = v + self.weights[f"{at}.v_bias"]
        return q.view(-1, s.heads, s.c), k.view(-1, s.groups, s.c), v.view(-1, s.groups, s.c)

    def scores(self, q, k, at, head):
        """Logits of one head, T x S: scaled, -inf where masked, the slot in column 0 if there is one."""
        s, group = self.size, head * self.size.groups // self.size.heads
        scores = q[:, head] @ k[:, group].T / math.sqrt(s.c)
        scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -math.inf)
        if s.attention not in SLOT_VARIANTS:
            return scores
        if s.attention in ("eab", "k-bias"):
            slot = q[:, head] @ self.weights[f"{at}.eab_k"][group] / math.sqrt(s.c)
        elif s.attention == "learned-sink":
            slot = self.weights[f"{at}.sinks"][head].expand(scores.shape[0])
        else:
            slot = torch.zeros(scores.shape[0], dtype=torch.float64)
        return torch.cat([slot[:, None], scores], -1)

    def pattern(self, scores):
        """Attention weights of one head from its logits."""
        s = self.size
        if s.attention == "sigmoid":
            return scores.sigmoid()
        probability = scores.softmax(-1)
        if s.attention == "clipped-softmax":
            probability = ((s.eta - s.gamma) * probability + s.gamma).clamp(0.0, 1.0)
        return probability

    def head_output(self, pattern, v, at, head):
        """z of one head, T x c, before any gate."""
        s, group = self.size, head * self.size.groups // self.size.heads
        values = v[:, group]
        if s.attention in SLOT_VARIANTS:
            slot = torch.zeros(s.c, dtype=torch.float64)
            if s.attention == "eab":
                slot = self.weights[f"{at}.eab_v"][group]
            values = torch.cat([slot[None], values])
        z = pattern @ values
        return z + self.weights[f"{at}.eab_v"][group] if s.attention == "v-bias" else z

    def attention(self, x, at, site):
        s = self.size
        q, k, v = self.projections(x, at)
        self.record |= {f"{site}.hook_q": q, f"{site}.hook_k": k, f"{site}.hook_v": v}
        if not s.gpt2:
            q, k = self.rotate(q), self.rotate(k)
            self.record |= {f"{site}.hook_rot_q": q, f"{site}.hook_rot_k": k}
        scores = torch.stack([self.scores(q, k, at, h) for h in range(s.heads)])
        pattern = torch.stack([self.pattern(one) for one in scores])
        z = torch.stack([self.head_output(pattern[h], v, at, h) for h in range(s.heads)], 1)
        if s.attention == "gated":
            z = z * (x @ self.weights[f"{at}.gate.weight"].T).sigmoid()[..., None]
        self.record |= {f"{site}.hook_attn_scores": scores, f"{site}.hook_pattern": pattern}
        self.record[f"{site}.hook_z"] = z
        return self.linear(z.flatten(1), f"{at}.{'c_proj' if s.gpt2 else 'o_proj'}")

    def mlp(self, x, at, site):
        if self.size.gpt2:
            pre = self.linear(x, f"{at}.c_fc")
            kind = "tanh" if self.size.gelu_tanh else "none"
            post = torch.nn.functional.gelu(pre, approximate=kind)
        else:
            pre, up = self.linear(x, f"{at}.gate_proj"), self.linear(x, f"{at}.up_proj")
            post = torch.nn.functional.silu(pre) * up
            self.record[f"{site}.hook_pre_linear"] = up
        self.record |= {f"{site}.hook_pre": pre, f"{site}.hook_post": post}
        return self.linear(post, f"{at}.{'c_proj' if self.size.gpt2 else 'down_proj'}")

    def embed(self, tokens):
        gpt2 = self.size.gpt2
        x = self.weights["transformer.wte.weight" if gpt2 else "model.embed_tokens.weight"][tokens]
        self.record["hook_embed"] = x
        if gpt2:
            self.record["hook_pos_embed"] = self.weights["transformer.wpe.weight"][: len(tokens)]
            x = x + self.record["hook_pos_embed"]
        if self.size.attention == "sink-token":
            sink = self.weights[f"{'transformer' if gpt2 else 'model'}.sink_token"]
            x = torch.cat([sink[None], x])
        return x

    def block(self, x, i):
        gpt2, at = self.size.gpt2, f"blocks.{i}"
        name = f"{'transformer.h' if gpt2 else 'model.layers'}.{i}"
        normed = self.norm(x, f"{name}.{'ln_1' if gpt2 else 'input_layernorm'}", f"{at}.ln1")
        out = self.attention(normed, f"{name}.{'attn' if gpt2 else 'self_attn'}", f"{at}.attn")
        mid = x + out
        normed = self.norm(
            mid, f"{name}.{'ln_2' if gpt2 else 'post_attention_layernorm'}", f"{at}.ln2"
        )
        mlp_out = self.mlp(normed, f"{name}.mlp", f"{at}.mlp")
        post = mid + mlp_out
        self.record |= {f"{at}.hook_resid_pre": x, f"{at}.hook_attn_out": out}
        self.record |= {f"{at}.hook_resid_mid": mid, f"{at}.hook_mlp_out": mlp_out}
        self.record[f"{at}.hook_resid_post"] = post
        return post

    def forward(self, tokens):
        x = self.embed(tokens)
        for i in range(self.size.layers):
            x = self.block(x, i)
        if self.size.attention == "sink-token":
            x = x[1:]
        x = self.norm(x, "transformer.ln_f" if self.size.gpt2 else "model.norm")
        unembedding = self.weights.get(
            "lm_head.weight",
            self.weights.get("transformer.wte.weight", self.weights.get("model.embed_tokens.weight")),
        )
        self.record |= {"ln_final.hook_out": x, "hook_logits": x @ unembedding.T}
        return self.record


def sites(folder, tokens):
    """Every site of the model in `folder` for one sequence, fp64."""
    return Run(folder).forward(list(tokens))
