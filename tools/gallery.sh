#!/bin/sh
# Draws docs/gallery again from the models that ship: tools/gallery.sh PROGRAM WEB
# WEB is the build folder of the page (build/release/web). Screenshots need node and chromium, the
# static figures gnuplot.
set -eu
program=$1
web=$2
out=massact-out/gallery
gallery=docs/gallery

rm -rf "$out"
"$program" report models/mini-llama models/mini-llama-eab --out "$out"
mkdir -p "$gallery"
rm -f "$gallery"/*.svg "$gallery"/*.png
cp "$out"/figures/*.svg "$out"/figures/*-bars.png "$gallery"
rm "$gallery"/*-bars.svg # hundreds of boxes: ten times the size of their picture
node tools/screenshots.mjs "$web" "$out/report.html" "$gallery"
echo "Drawn again: $gallery (docs/gallery.md shows them)"
