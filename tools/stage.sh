#!/bin/sh
# Runs a command under a heading and says how long it took: tools/stage.sh NAME COMMAND…
name=$1
shift
echo "== $name"
start=$(date +%s)
"$@"
status=$?
took=$(($(date +%s) - start))
if [ $status -eq 0 ]; then
  echo "== $name: ${took} s"
else
  echo "== $name: FAILED (exit $status) after ${took} s" >&2
fi
exit $status
