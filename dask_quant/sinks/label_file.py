"""Which files labels can be written to: parts by tasks and a join, or all at once from memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from dask_quant.errors import OutputError
from dask_quant.sinks.gif import GIF_PIXEL_BYTES, check_gif_colors, check_gif_shape
from dask_quant.sinks.opacity import find_clear_entry
from dask_quant.sinks.png import bit_depth_for
from dask_quant.sinks.row_files import GifFile, NpzFile, make_png_file
from dask_quant.sinks.tiff import make_tiff_file
from dask_quant.sinks.tiff_place import find_geo_tags
from dask_quant.sources.reading import NO_ORIGIN, read_density

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

    from dask_quant.kernels.assign import Labels
    from dask_quant.palette import Palette
    from dask_quant.sources.reading import Origin

TIFF_SUFFIXES = (".tif", ".tiff")
"""Suffixes of tiled TIFF."""

FILE_SUFFIXES = (".png", ".gif", *TIFF_SUFFIXES, ".npz")
"""Suffixes of label files, stores left out."""


class LabelFile(Protocol):
    """A label file of one shape and type; small, and a task can be given it."""

    @property
    def unit(self) -> tuple[int, int]:
        """Rows and columns of what one task writes."""

    def put(self, folder: Path, labels: Labels, at: tuple[int, int]) -> int:
        """Write parts: whole units of labels whose first pixel is ``at`` a row and a column."""

    def name_part(self, at: tuple[int, int]) -> str:
        """Return the name of the part of the unit whose first pixel is at a row and a column."""

    def join(self, folder: Path, palette: Palette) -> Iterator[bytes]:
        """Yield the bytes of the file from all of its parts."""

    def encode(self, labels: Labels, palette: Palette) -> Iterator[bytes]:
        """Yield the bytes of the file of labels in memory, the same as those of parts."""


def plan_label_file(
    out: Path,
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    n_colors: int,
    origin: Origin = NO_ORIGIN,
) -> LabelFile:
    """Return the label file that the suffix of ``out`` names.

    Parameters
    ----------
    out : Path
        One of `FILE_SUFFIXES`, in any case of letters.
    shape : tuple of int
        Rows and columns of the image.
    dtype : dtype
        Type of the labels: uint8 or uint16.
    n_colors : int
        Colours of the palette.
    origin : Origin, optional
        What the pixels are read from; the place on the earth of a GeoTIFF, or of an array of
        xarray, goes to a TIFF, the density of a picture to a PNG or TIFF.

    Raises
    ------
    OutputError
        When the format cannot hold the image or its colours.
    """
    check_image_shape(out, shape)
    check_color_number(out, n_colors)
    suffix = out.suffix.lower()
    if suffix in TIFF_SUFFIXES:
        return make_tiff_file(shape, dtype, find_geo_tags(origin, shape), read_density(origin))
    if suffix == ".gif":
        return GifFile(shape, dtype)
    if suffix == ".npz":
        return NpzFile(shape, dtype)
    return make_png_file(shape, dtype, n_colors, read_density(origin))


def encode_labels(
    labels: Labels, palette: Palette, out: Path, origin: Origin = NO_ORIGIN
) -> Iterator[bytes]:
    """Return the bytes of the label file that the suffix of ``out`` names. **Lazy**.

    Parameters and errors are those of `plan_label_file`; labels are ``(y, x)``, in memory.
    """
    file = plan_label_file(out, labels.shape, labels.dtype, len(palette), origin)
    return file.encode(labels, palette)


def plan_join_bytes(out: Path, shape: tuple[int, int]) -> int:
    """Return what it takes to join the parts of ``out``, an image of ``shape``, in bytes."""
    return GIF_PIXEL_BYTES * shape[0] * shape[1] if out.suffix.lower() == ".gif" else 0


def check_color_number(out: Path, n_colors: int) -> None:
    """Raise `OutputError` when what ``out`` names cannot hold as many colours."""
    suffix = out.suffix.lower()
    if suffix == ".png":
        bit_depth_for(n_colors)
    elif suffix == ".gif":
        check_gif_colors(n_colors)


def check_palette(out: Path, palette: Palette) -> None:
    """Raise `OutputError` when what ``out`` names cannot hold the colours of ``palette``."""
    check_color_number(out, len(palette))
    if not holds_any_alpha(out.suffix):
        find_clear_entry(palette, out.suffix.lower())


def holds_any_alpha(suffix: str) -> bool:
    """Return whether colours in a file of this suffix may be anything between opaque and clear."""
    return suffix.lower() not in (".gif", *TIFF_SUFFIXES)


def check_image_shape(out: Path, shape: tuple[int, int]) -> None:
    """Raise `OutputError` when what ``out`` names cannot hold an image of ``shape`` (y, x)."""
    if min(shape) < 1:
        message = f"Got an image of shape {tuple(shape)}; a file needs at least one pixel."
        raise OutputError(message)
    if out.suffix.lower() == ".gif":
        check_gif_shape(shape)
