#!/bin/sh
# Runs the benchmarks one after the other: tools/bench.sh BUILD, with what `make bench` built there.
# Nothing else should be running; docs/performance.md says how to measure beside other work.
set -eu
bench=$1/bench
massact=$1/bin/massact
stage() {
  "$(dirname "$0")/stage.sh" "$@"
  echo
}

stage "products" "$bench/matmul_bench"
stage "attention" "$bench/attention_bench"
stage "observing" "$bench/observe_bench"
stage "forked streams" "$bench/fork_bench"
# A few layers and sequences: `explain_bench` alone takes the size that docs/explain.md speaks of.
stage "explain beside scan" "$bench/explain_bench" gpt2 12 16 1024
stage "start-up" bench/startup.sh "$massact"
stage "a 7B model, two layers" "$massact" bench --shape llama2-7b --layers 2 --tokens 2048 --quiet
stage "GPT-2" "$massact" bench --shape gpt2 --tokens 1024 --quiet
stage "ViT-L/14" "$massact" bench --shape vit-l-14 --layers 6 --quiet
