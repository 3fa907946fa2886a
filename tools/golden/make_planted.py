"""Writes tests/golden/models/planted/: a tiny llama with massive activations put in by hand.

Everything is small and random except (blocks counted from 0, dimensions named below):
- the embedding marks the start token, the full stop, and a constant that every token carries;
- one neuron of block 1's MLP fires on the start token, another on the full stop; each writes two huge
  scalars; two neurons of block 4's MLP recognise the two directions and write the negative;
- in blocks 2 to 4 every query looks for the key that the huge scalars make, and the value there is
  almost zero: an attention sink. Values of other tokens are large, so that without the sink the
  attention output drowns the residual stream;
- the unembedding is fitted (convex) on text/village.txt, so that perplexity means something.

Run: python make_planted.py [--out DIR]
"""

import argparse
import copy
import json
import pathlib
import shutil

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import check_sites
import planted_measures
import sites

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parents[1] / "tests/golden"
TRAINING_TEXT = HERE / "text/village.txt"
EVALUATION_TEXT = GOLDEN / "texts/harbour.txt"

BOS, BOS_ID, VOCABULARY = "<s>", 0, 349
WIDTH, HEAD, HEADS, GROUPS, NEURONS, LAYERS = 32, 8, 4, 2, 48, 6
DIMS = (5, 19)  # the massive dimensions
MARK_STOP, MARK_START, CONSTANT = 3, 7, 11  # embedding dimensions with a meaning
START_VALUES, STOP_VALUES = (-600.0, 900.0), (-460.0, 370.0)
WRITER, ERASER = 1, 4  # blocks
NEURON_START, NEURON_STOP = 13, 29
SINK_FROM, SINK_TO = 2, 5  # blocks [2, 5) have the sink
DECAY = 2e-4  # of the fitted unembedding
# For the massive tokens nothing but rounding: fp32 and fp64 agree on it by luck.
LEFT_TO_ROUNDING = {f"blocks.{ERASER}.mlp.hook_pre_linear"}
ROTARY_SLOW = HEAD // 2 - 1  # rotates by 0.001 per position: as good as position-free


def train_tokenizer():
    """Byte-level BPE on the training text; the start token is added by the post-processor."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train(
        [str(TRAINING_TEXT)],
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=[BOS, "</s>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, BOS_ID)]
    )
    return tokenizer


def small_random_model(generator):
    """A llama of which every part is small and random, and blind to the massive dimensions."""
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=NEURONS,
        num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=GROUPS,
        head_dim=HEAD, max_position_embeddings=512, rms_norm_eps=1e-6, bos_token_id=BOS_ID,
        eos_token_id=1, attn_implementation="eager")  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    gains = {"o_proj": 0.001, "down_proj": 0.08, "lm_head": 1.0}
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if "norm" in name:
            p.data = 1.0 + 0.1 * noise
        elif "embed" in name:
            p.data = 0.3 * noise
            p.data[:, list(DIMS)] *= 0.01
            p.data[:, [MARK_STOP, MARK_START]] = 0.0
            p.data[:, CONSTANT] = 0.8
        else:
            role = name.split(".")[-2]
            p.data = gains.get(role, 1.0) / p.shape[1] ** 0.5 * noise
            if role in ("o_proj", "down_proj"):
                p.data[[MARK_STOP, MARK_START, CONSTANT]] *= 0.1
                p.data[list(DIMS)] *= 0.01
            elif role != "lm_head":
                p.data[:, list(DIMS)] = 0.0
    return model


def plant_sinks(model):
    """Blocks [SINK_FROM, SINK_TO): all queries look for the massive direction, which has no value."""
    start, stop = (torch.tensor(v) for v in (START_VALUES, STOP_VALUES))
    directions = torch.stack([v / v.norm() * WIDTH**0.5 for v in (start, stop)])
    for layer in model.model.layers[SINK_FROM:SINK_TO]:
        attention, norm = layer.self_attn, layer.input_layernorm.weight.data
        # The key's slow component is 1 for the start token and 0.55 for the full stop.
        key = torch.linalg.solve(directions * norm[list(DIMS)], torch.tensor([1.0, 0.55]))
        for group in range(GROUPS):
            row = group * HEAD + ROTARY_SLOW
            attention.k_proj.weight.data[row] = 0.0
            attention.k_proj.weight.data[row, list(DIMS)] = key
            attention.v_proj.weight.data[:, CONSTANT] *= 3.0
        for head in range(HEADS):
            row = head * HEAD + ROTARY_SLOW
            attention.q_proj.weight.data[row] = 0.0
            attention.q_proj.weight.data[row, CONSTANT] = 14.0  # ordinary tokens: about 9 in the logit
            attention.q_proj.weight.data[row, DIMS[1]] = 6.0  # the massive tokens themselves
        attention.o_proj.weight.data *= 250.0


@torch.no_grad()
def mlp_input(model, tokens, block):
    """What block's MLP reads (after its norm), [T, d]."""
    return sites.capture(model, tokens)[f"blocks.{block}.ln2.hook_out"]


def neuron_output(mlp, neuron, x):
    gate, up = (x @ p.weight.data[neuron] for p in (mlp.gate_proj, mlp.up_proj))
    return torch.nn.functional.silu(gate) * up


def plant_writers(model, tokens, stop_id):
    """Block WRITER: a neuron per marked token; the down weights give exactly the wanted values."""
    embedding = model.model.embed_tokens.weight.data
    embedding[BOS_ID, MARK_START] = 2.0
    embedding[stop_id, MARK_STOP] = 2.0
    mlp = model.model.layers[WRITER].mlp
    for neuron, mark, position, values in (
        (NEURON_START, MARK_START, 0, START_VALUES),
        (NEURON_STOP, MARK_STOP, tokens.index(stop_id), STOP_VALUES),
    ):
        for projection in (mlp.gate_proj, mlp.up_proj):
            projection.weight.data[neuron] = 0.0
        mlp.gate_proj.weight.data[neuron, mark] = 4.0
        mlp.up_proj.weight.data[neuron, mark] = 1.0
        activation = neuron_output(mlp, neuron, mlp_input(model, tokens, WRITER)[position])
        mlp.down_proj.weight.data[:, neuron] = 0.0
        for dim, value in zip(DIMS, values):
            mlp.down_proj.weight.data[dim, neuron] = value / activation


def plant_erasers(model, tokens, stop_id):
    """Block ERASER: each neuron sees one of the two massive directions and is blind to the other."""
    mlp = model.model.layers[ERASER].mlp
    x = mlp_input(model, tokens, ERASER)
    seen = torch.stack([x[0], x[tokens.index(stop_id)]])[:, list(DIMS)]
    for which, (neuron, values) in enumerate(
        ((NEURON_START, START_VALUES), (NEURON_STOP, STOP_VALUES))
    ):
        row = torch.linalg.solve(seen, torch.eye(2)[which])
        for projection, response in ((mlp.gate_proj, 12.0), (mlp.up_proj, 5.0)):
            projection.weight.data[neuron] = 0.0
            projection.weight.data[neuron, list(DIMS)] = response * row
        mlp.down_proj.weight.data[:, neuron] = 0.0
        for dim, value in zip(DIMS, values):
            activation = torch.nn.functional.silu(torch.tensor(12.0)) * 5.0
            mlp.down_proj.weight.data[dim, neuron] = -value / activation


def fit_unembedding(model, chunks):
    """Fits lm_head alone (a convex problem) to the chunks' next tokens, with a little decay."""
    with torch.no_grad():
        x = torch.cat([model.model(torch.tensor([c])).last_hidden_state[0, :-1] for c in chunks])
    x[:, list(DIMS)] = 0.0  # what the erasers leave there is no feature to build on
    target = torch.cat([torch.tensor(c[1:]) for c in chunks])
    weight = torch.zeros(VOCABULARY, WIDTH, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight], max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(x @ weight.T, target) + DECAY * weight.pow(2).sum()
        value.backward()
        return value

    optimiser.step(loss)
    model.lm_head.weight.data = weight.detach()


def write_tokenizer(folder, tokenizer):
    tokenizer.save(str(folder / "tokenizer.json"))
    config = dict(tokenizer_class="PreTrainedTokenizerFast", bos_token=BOS, eos_token="</s>",
                  clean_up_tokenization_spaces=False, model_max_length=512)  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def write_sites(folder, model, chunks, stop_id):
    """Sites of two sequences, without those that the erasing of +-900 leaves to fp32 rounding."""
    short = chunks[1][:11]
    assert stop_id in short
    tensors, dropped = {}, set()
    for n, tokens in enumerate(([BOS_ID], short)):
        values = sites.capture(model, tokens)
        exact = sites.capture(copy.deepcopy(model).double(), tokens)
        tensors[f"seq{n}/tokens"] = torch.tensor(tokens)
        for name, value in values.items():
            worst, _ = check_sites.verdict(value, exact[name], 1e-4)
            if worst < 0.2 and name not in LEFT_TO_ROUNDING:
                tensors[f"seq{n}/{name}"] = value
            else:
                dropped.add(name)
    print("left out, rounding decides them:", ", ".join(sorted(dropped)))
    save_file(tensors, folder / "sites.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=GOLDEN / "models/planted")
    folder = parser.parse_args().out
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()

    tokenizer = train_tokenizer()
    stop_id = tokenizer.token_to_id(".")
    chunk = lambda path: planted_measures.chunks_with_bos(tokenizer, path.read_text(), BOS_ID)
    training, evaluation = chunk(TRAINING_TEXT), chunk(EVALUATION_TEXT)
    model = small_random_model(torch.Generator().manual_seed(20260719))
    plant_sinks(model)
    plant_writers(model, training[0], stop_id)
    plant_erasers(model, training[0], stop_id)
    fit_unembedding(model, training)

    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    write_tokenizer(folder, tokenizer)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    write_sites(folder, model.eval(), evaluation, stop_id)
    expected = planted_measures.expected(model.eval(), tokenizer, evaluation, DIMS)
    expected["text"] = str(EVALUATION_TEXT.relative_to(GOLDEN))
    (folder / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")


if __name__ == "__main__":
    main()
