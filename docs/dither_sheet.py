"""Draw a part of a sample photograph in a few colours, dithered in every way: dither_sheet.py OUT.

Panels are shown pixel by pixel and not made smaller, which would average the patterns away.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import dask_quant as dq
from dask_quant.options import DITHERS
from dask_quant.sinks.sheet import Panel, draw_sheet
from dask_quant.sources.pillow import read_image
from dask_quant.sources.samples import find_sample_images

N_COLORS = 8
PART = (slice(90, 330), slice(90, 490))
"""Sky, roof and leaves: what is flat, soft and fine."""


def draw_panel(pixels: np.ndarray, dither: str, folder: Path) -> Panel:
    """Return the panel of one way of dithering, as it was written."""
    out = folder / f"{dither}.png"
    dq.quantize(pixels, out, n_colors=N_COLORS, dither=dither)
    return Panel(np.asarray(Image.open(out).convert("RGB")), (dither,), None)


def main() -> None:
    """Write the sheet."""
    pixels = read_image(find_sample_images()[0])[PART]
    with tempfile.TemporaryDirectory() as folder:
        panels = [draw_panel(pixels, dither, Path(folder)) for dither in DITHERS]
    sheet = draw_sheet(panels, columns=2, title=f"{N_COLORS} colours, dithered")
    sheet.save(sys.argv[1], optimize=True)


if __name__ == "__main__":
    main()
