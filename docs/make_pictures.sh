#!/usr/bin/env bash
# Make the pictures of the README with the program itself: docs/make_pictures.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."
python="${1:-.venv/bin/python}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
run() { "$python" -m dask_quant.faces.cli "$@"; }
run demo -o "$work/demo" --quiet
for name in china flower; do
    # A contact sheet is a picture like any other: 256 colours make it a quarter of its size.
    run quantize "$work/demo/$name-sheet.png" -o "docs/images/$name-sheet.png" -k 256 --overwrite
done
flower=$("$python" -c "from dask_quant.sources.samples import find_sample_images as f; print(f()[1])")
run quantize "$flower" -o "$work/flower.png" -k 6 --outline docs/images/flower-outline.png --overwrite
"$python" docs/dither_sheet.py "$work/dither.png"
run quantize "$work/dither.png" -o docs/images/china-dither.png -k 256 --overwrite
