"""massact beside what users have, on the same model file and tokens, in one run.

python compare.py --shape llama-1b --work DIR [--massact build/release/bin/massact]
    [--sequences 4] [--tokens 2048] [--threads 2] [--repeats 3] [--llama-cpp] [--clock wall|cpu]

Programs take turns (the machine's mood is shared); a row is the median of the repeats. Seconds are
those of the work itself: loading weights is left out for the Python programs (they load before),
while massact's include reading and packing them. Memory is the peak resident size of the process.
On a busy machine take `--threads 1 --clock cpu`: CPU seconds, and no threads that spin while
they wait for one another.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def run(command):
    """Output, peak memory (bytes) and CPU seconds of a program; its errors end this one."""
    with tempfile.NamedTemporaryFile("r") as usage:
        timed = ["/usr/bin/time", "-f", "%M %U %S", "-o", usage.name, *map(str, command)]
        done = subprocess.run(timed, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
        kilobytes, user, system = usage.read().split()[-3:]
        return done.stdout, int(kilobytes) * 1024, float(user) + float(system)


def massact_scan(options, model, tokens):
    command = [options.massact, "scan", model, "--tokens", tokens, "--threads", options.threads]
    text, memory, cpu = run([*command, "--json", "--quiet"])
    seconds = cpu if options.clock == "cpu" else json.loads(text)["run"]["seconds"]
    return {"seconds": seconds, "memory": memory}


def python_peer(script, options, model, tokens):
    text, memory, _ = run([sys.executable, HERE / script, model, tokens, options.threads])
    measured = json.loads(text.splitlines()[-1])
    seconds = measured["cpu_seconds" if options.clock == "cpu" else "seconds"]
    return {"seconds": seconds, "memory": memory}


def prepare(options):
    """The model, its tokens and GGUF forms, made once."""
    work = Path(options.work)
    work.mkdir(parents=True, exist_ok=True)
    model = work / options.shape
    bench = [options.massact, "bench", "--shape", options.shape, "--file", model, "--json"]
    sizes = ["--tokens", options.tokens, "--sequences", options.sequences, "--quiet"]
    bound = json.loads(run([*bench, *sizes, "--threads", options.threads])[0])
    vocabulary = json.loads((model / "config.json").read_text())["vocab_size"]
    tokens = work / "tokens.npy"
    shape = (options.sequences, options.tokens)
    np.save(tokens, np.random.default_rng(0).integers(0, vocabulary, shape, dtype=np.int32))
    ggufs = {}
    if options.llama_cpp:
        for kind in ["bf16", "q8_0"]:
            ggufs[kind] = work / f"{options.shape}-{kind}.gguf"
            if not ggufs[kind].exists():
                run([sys.executable, HERE / "to_gguf.py", model, ggufs[kind], kind])
    return model, tokens, ggufs, bound


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="llama-1b")
    parser.add_argument("--work", required=True)
    parser.add_argument("--massact", default="build/release/bin/massact")
    parser.add_argument("--sequences", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--llama-cpp", action="store_true")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    options = parser.parse_args()
    model, tokens, ggufs, bound = prepare(options)

    peers = {
        "massact scan": lambda: massact_scan(options, model, tokens),
        "HF transformers, bf16, sdpa": lambda: python_peer("hf_scan.py", options, model, tokens),
    }
    for kind, path in ggufs.items():
        peers[f"llama.cpp, {kind.upper()} (no statistics)"] = lambda path=path: python_peer(
            "llama_prefill.py", options, path, tokens
        )
    results = {name: [] for name in peers}
    for repeat in range(options.repeats):
        for name, measure in peers.items():
            results[name].append(measure())
            print(f"{repeat + 1}/{options.repeats} {name}: {results[name][-1]['seconds']:.2f} s",
                  file=sys.stderr, flush=True)

    count = options.sequences * options.tokens
    flops = bound["matmul_flops"] + bound["attention_flops"]
    peak = bound["peak_flops_per_second"]
    print(f"{options.shape}, {options.sequences} x {options.tokens} tokens, "
          f"{options.threads} threads, {options.clock} time; "
          f"arithmetic bound {flops / peak:.2f} s at {peak / 1e12:.2f} TFLOP/s\n")
    print("| program | tokens/s | ratio | peak memory |")
    print("|---|---|---|---|")
    base = statistics.median(r["seconds"] for r in results["massact scan"])
    for name, runs in results.items():
        seconds = statistics.median(r["seconds"] for r in runs)
        memory = max(r["memory"] for r in runs)
        print(f"| {name} | {count / seconds:,.0f} | {base / seconds:.2f} | "
              f"{memory / 2**30:.2f} GiB |")


main()
