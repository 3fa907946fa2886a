"""The usual script: HF transformers in bf16, all hidden states, top 3 and median of |h| per layer.

python hf_scan.py MODEL TOKENS.npy THREADS
Prints one line of JSON: wall and CPU seconds without loading, and the largest value of every layer.
"""

import json
import sys
import time

import numpy as np
import torch
from transformers import AutoModelForCausalLM


def statistics(hidden_states):
    """Per layer: the three largest |h| and the median, as the paper's code takes them."""
    found = []
    for hidden in hidden_states:
        values = hidden.abs().flatten().float()
        top = torch.topk(values, 3).values
        found.append([float(v) for v in top] + [float(values.median())])
    return found


def main():
    model_path, tokens_path, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(
        model_path, dtype=torch.bfloat16, attn_implementation="sdpa"
    ).eval()
    tokens = torch.from_numpy(np.load(tokens_path).astype(np.int64))
    largest = None
    start, cpu = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        for sequence in tokens:
            # .model: the blocks only, without the logits that a scan does not need.
            output = model.base_model(sequence[None], output_hidden_states=True, use_cache=False)
            layers = np.array(statistics(output.hidden_states))
            largest = layers if largest is None else np.maximum(largest, layers)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    largest = largest[:, 0].tolist()
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "largest": largest}))


main()
