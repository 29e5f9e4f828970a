"""Counted colours as a file: NumPy's ``.npz``, the same bytes for the same counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.count_block import unpack_colors
from dask_quant.options import as_path, require
from dask_quant.sinks.atomic import write_file_atomically
from dask_quant.sinks.npz import NpzArray, npz_chunks
from dask_quant.sources.histogram_file import FORMAT_VERSION, SLICE_COLORS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dask_quant.histogram import ColorHistogram

SUFFIX = ".npz"
"""What the names of such files end in."""

_DEFLATE_LEVEL = 1
"""Of zlib: higher levels take several times as long for a tenth less (measured)."""


def write_histogram(histogram: ColorHistogram, path: str | Path, *, overwrite: bool = False) -> int:
    """Write exact counts of colours to a file that `read_histogram` and NumPy read. **Eager**.

    Parameters
    ----------
    histogram : ColorHistogram
        What to write.
    path : str or Path
        A name that ends in ``.npz``; the file appears under it only when it is whole.
        ``np.load(path)`` gives ``colors``, uint8 ``(n, 3)`` ascending by red, green, blue,
        ``counts``, int64 ``(n,)``, and ``version``. Where a pixel is not opaque, ``colors`` are
        RGBA ``(n, 4)``, first of all by descending alpha.
    overwrite : bool, default False
        Whether a file that exists is replaced.

    Returns
    -------
    int
        Bytes written.

    Raises
    ------
    OptionError
        When the name ends in something else.
    OutputExistsError
        When the file exists and ``overwrite`` is false.
    OutputError
        When it cannot be written.

    Notes
    -----
    O(colours); some 30 MB beside the histogram.
    """
    file = check_histogram_name(as_path(path, "path"))
    return write_file_atomically(file, histogram_chunks(histogram), overwrite=overwrite)


def check_histogram_name(path: Path) -> Path:
    """Return the path of a histogram to write, or raise `OptionError`."""
    require(
        path.suffix.lower() == SUFFIX,
        f"Got the name {str(path)!r} for a histogram; it must end in {SUFFIX}.",
    )
    return path


def histogram_chunks(histogram: ColorHistogram) -> Iterator[bytes]:
    """Yield the bytes of a file of counts."""
    version = np.array(FORMAT_VERSION, dtype="<i8")
    n, parts = len(histogram), range(0, len(histogram), SLICE_COLORS)
    bands = 4 if histogram.has_alpha else 3
    colors = (unpack_colors(histogram.codes[at : at + SLICE_COLORS], bands) for at in parts)
    counts = (histogram.counts[at : at + SLICE_COLORS].astype("<i8") for at in parts)
    arrays = [
        NpzArray("version", version.dtype, (), [version]),
        NpzArray("colors", np.dtype(np.uint8), (n, bands), colors),
        NpzArray("counts", version.dtype, (n,), counts),
    ]
    return npz_chunks(arrays, level=_DEFLATE_LEVEL)
