#!/bin/sh
# Draws the figures of docs/explain.md: tools/explain-figures.sh [MODEL] [TEXT-FLAGS…]
# Needs a built massact and gnuplot.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
model=${1:-$root/models/mini-llama}
[ $# -gt 0 ] && shift
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
"${MASSACT:-$root/build/release/bin/massact}" explain "$model" "$@" --out "$work" --quiet >/dev/null
awk -F, 'NR > 1 && $1 == 1' "$work/explain-findings.csv" >"$work/first.csv"
awk -F, 'NR > 1 {print $1 "," $2 "," $11}' "$work/explain-heads.csv" | sort -u >"$work/heads.csv"
last=$(awk -F, '$6 > last {last = $6} END {print last}' "$work/first.csv")
# Only models with a slot have its share.
slot=""
if awk -F, 'NR > 1 && $10 != "" {found = 1} END {exit !found}' "$work/explain-layers.csv"; then
  slot=', "" using 1:10 skip 1 with linespoints lw 2 title "the slot'"'"'s"'
fi
gnuplot <<PLOT
set terminal svg size 900,640 font "sans,12" background "white"
set output "$root/docs/explain.svg"
set datafile separator ","
set multiplot layout 2,2
set xlabel "layer" offset 0,0.7
set title "Finding 1: the scalar, and what writes it"
set style fill solid 0.6
set boxwidth 0.35
set xrange [-0.5:$last.5]
set xtics 1
set key outside below horizontal
plot "$work/first.csv" using 6:7 with linespoints lw 2 title "value", \
     "" using (\$6-0.18):8 with boxes title "attention", "" using (\$6+0.18):9 with boxes title "MLP"
set title "Attention to the first token"
set ylabel "head"
set cbrange [0:1]
set palette defined (0 "white", 1 "#08519c")
set xrange [0.5:$last.5]
set autoscale yfix
plot "$work/heads.csv" using 1:2:3 with image pixels notitle
unset ylabel
set autoscale
set xrange [0:$last]
set title "Massive tokens' share of attention's output"
set yrange [0:1]
plot "$work/explain-layers.csv" using 1:8 skip 1 with linespoints lw 2 title "of the norms", \
     "" using 1:9 skip 1 with linespoints lw 2 title "a constant (energy)"$slot
set title "Energy in a vector's largest dimension, behind the norm"
plot "< grep ',massive,.*ln1.hook_out' $work/explain-trajectory.csv" using 1:6 with linespoints lw 2 title "massive tokens", \
     "< grep ',rest,.*ln1.hook_out' $work/explain-trajectory.csv" using 1:6 with linespoints lw 2 title "others"
PLOT
echo "wrote docs/explain.svg"
