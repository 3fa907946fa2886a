"""llama.cpp's prefill through llama-cpp-python, without any statistics.

python llama_prefill.py MODEL.gguf TOKENS.npy THREADS
Prints one line of JSON: wall and CPU seconds without loading.
"""

import json
import sys
import time

import numpy as np
from llama_cpp import Llama


def main():
    model_path, tokens_path, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    tokens = np.load(tokens_path)
    model = Llama(
        model_path,
        n_ctx=tokens.shape[1],
        n_batch=tokens.shape[1],
        n_ubatch=min(512, tokens.shape[1]),
        n_threads=threads,
        n_threads_batch=threads,
        verbose=False,
    )
    start, cpu = time.perf_counter(), time.process_time()
    for sequence in tokens:
        model.reset()
        model.eval(sequence.tolist())
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu}))


main()
