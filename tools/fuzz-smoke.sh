#!/bin/sh
# Builds the libFuzzer programs (clang) and runs each for a while on the seeds of tests/fuzz.
# Usage: tools/fuzz-smoke.sh [SECONDS per fuzzer, default 20]
set -eu
seconds=${1:-20}
targets=$(ls tests/fuzz/seeds)

cmake --preset fuzz --log-level=WARNING >/dev/null
# shellcheck disable=SC2046 — a list of words on purpose
cmake --build build/fuzz --target $(printf 'fuzz_%s ' $targets)
for target in $targets; do
  corpus=build/fuzz/corpus-$target
  mkdir -p "$corpus"
  echo "-- fuzzing $target for $seconds s"
  "build/fuzz/tests/fuzz/fuzz_$target" "$corpus" "tests/fuzz/seeds/$target" -malloc_limit_mb=64 \
    -max_total_time="$seconds" -verbosity=0 -artifact_prefix="build/fuzz/$target-"
done
