"""Palettes in formats whose colours are opaque, but for one that is clear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.errors import OutputError
from dask_quant.premultiplied import OPAQUE

if TYPE_CHECKING:
    from dask_quant.palette import Palette


def find_clear_entry(palette: Palette, format_name: str) -> int | None:
    """Return the index of the fully transparent colour, None where all are opaque.

    Raises
    ------
    OutputError
        When colours are neither.
    """
    if not palette.has_alpha:
        return None
    alpha = palette.colors[:, 3]
    n_partial = int(((alpha > 0) & (alpha < OPAQUE)).sum())
    if n_partial:
        message = (
            f"Got {n_partial} of {len(palette)} colours between opaque and clear, which "
            f"{format_name} does not hold; write .png or .zarr, or use --alpha drop or matte."
        )
        raise OutputError(message)
    return int(np.flatnonzero(alpha == 0)[0])
