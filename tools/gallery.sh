#!/bin/sh
# Draws docs/gallery again from the models that ship: tools/gallery.sh PROGRAM WEB
# WEB is the build folder of the page (build/release/web). Screenshots need node and chromium, the
# static figures gnuplot, the images of mini-vit massact-train (beside PROGRAM or as MASSACT_TRAIN).
set -eu
program=$1
web=$2
out=massact-out/gallery
gallery=docs/gallery
train=${MASSACT_TRAIN:-$(dirname "$program")/massact-train}
[ -x "$train" ] || train=build/train/bin/massact-train
[ -x "$train" ] || {
  echo "gallery: expected massact-train beside $program or at $train (make train builds it)" >&2
  exit 1
}

rm -rf "$out"
"$program" report models/mini-llama models/mini-llama-eab --out "$out/texts"
"$train" prepare --images procedural --count 400 --out "$out/shapes"
"$program" report models/mini-vit models/mini-vit-reg --images "$out/shapes" --out "$out/images"
mkdir -p "$gallery"
rm -f "$gallery"/*.svg "$gallery"/*.png
cp "$out"/texts/figures/*.svg "$out"/texts/figures/*-bars.png "$gallery"
rm "$gallery"/*-bars.svg # hundreds of boxes: ten times the size of their picture
cp "$out"/images/figures/mini-vit-ablation.svg "$gallery"
node tools/screenshots.mjs "$web" "$out/texts/report.html" "$gallery" \
  page summary bars layers text constancy ablation explain attention
node tools/screenshots.mjs "$web" "$out/images/report.html" "$gallery" page-vit summary pictures registers
echo "Drawn again: $gallery (docs/gallery.md shows them)"
