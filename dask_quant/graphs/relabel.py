"""Labels and pictures of Dask arrays, block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.tables import label_pixels

if TYPE_CHECKING:
    import dask.array as da
    from numpy.typing import NDArray

    from dask_quant.palette import Palette


def relabel_blocks(image: da.Array, palette: Palette, space: str = "srgb") -> da.Array:
    """Return the labels of ``(y, x, band)`` uint8, nearest in ``space``, chunked like it. **Lazy**.

    The graph holds the palette only; the lookup table is built by whoever runs a block.
    """
    return image.map_blocks(
        label_pixels,
        palette,
        space,
        drop_axis=2,
        dtype=palette.label_dtype,
        meta=np.empty((0, 0), dtype=palette.label_dtype),
    )


def render_blocks(labels: da.Array, palette: Palette) -> da.Array:
    """Return the colours of labels ``(y, x)``, uint8 ``(y, x, 3)``, or RGBA. **Lazy**."""
    return labels.map_blocks(
        paint_labels,
        palette.colors,
        new_axis=2,
        chunks=(*labels.chunks, palette.colors.shape[1:]),
        dtype=np.uint8,
        meta=np.empty((0, 0, 0), dtype=np.uint8),
    )


def paint_labels(labels: NDArray[np.uint8], colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return ``colors[labels]``, sRGB uint8 ``(..., 3)`` or RGBA ``(..., 4)``. **Eager**."""
    return colors[labels]
