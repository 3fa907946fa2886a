#!/bin/sh
# The main job on what is at hand: tools/demo.sh PROGRAM
# The project's own models if they are there, else a small real one from ../shared; then the tiny
# model with planted massive activations that the tests use.
set -eu
program=$1

scan() {
  out=massact-out/$1
  shift
  echo
  echo "\$ massact scan $*"
  "$program" scan "$@" --out "$out" --quiet
  reports="${reports:-}  $out/scan.json"
}

reports=
if [ -f models/mini-llama/config.json ]; then
  echo
  echo "A model of this project, and its twin trained with an explicit attention bias (EAB), by the"
  echo "strict rule, which asks for |h| > 100 and 1,000 x the median, and by the auto rule, which"
  echo "looks for a gap:"
  for rule in strict auto; do
    scan mini-llama-$rule models/mini-llama --rule $rule
    scan mini-llama-eab-$rule models/mini-llama-eab --rule $rule
  done
elif [ -f "${MASSACT_SHARED:-}/data/stories260K/stories260K.bin" ]; then
  scan stories260K "$MASSACT_SHARED/data/stories260K/stories260K.bin"
fi

text="--text tests/golden/texts/harbour.txt --seq-len 64 --bos yes"
echo
echo "A tiny model in which massive activations were planted, and what happens without them:"
scan planted tests/golden/models/planted $text
echo
echo "\$ massact ablate tests/golden/models/planted $text"
"$program" ablate tests/golden/models/planted $text --out massact-out/planted --quiet
reports="$reports  massact-out/planted/ablate.json"

echo
echo "Reports (JSON, with CSV tables beside them):$reports"

if [ -f models/mini-llama/config.json ] && [ -f models/mini-llama-eab/config.json ]; then
  echo
  echo "All of it as pictures: the shipped models side by side, one page for any browser."
  echo "\$ massact report models/mini-llama models/mini-llama-eab --out massact-out/report --force"
  "$program" report models/mini-llama models/mini-llama-eab --out massact-out/report --force --quiet
fi
