#!/bin/sh
# Start-up: median wall time of 20 runs of `massact --help`.
#   bench/startup.sh build/release/bin/massact
set -eu
massact=$1
for _ in $(seq 20); do
  start=$(date +%s%N)
  "$massact" --help > /dev/null
  end=$(date +%s%N)
  echo $(((end - start) / 1000))
done | sort -n | awk '{ t[NR] = $1 } END { printf "massact --help: median %.1f ms of %d runs\n", (t[10] + t[11]) / 2000, NR }'
