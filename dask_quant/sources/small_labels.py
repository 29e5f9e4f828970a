"""Written labels that are read whole to be looked at: of a store at a level that suits, of .npz."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from dask_quant.errors import PixelFormatError, SourceError
from dask_quant.sources.header import show_cause, show_path

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from dask_quant.kernels.assign import Labels


def read_store_labels(path: Path, *, side: int, max_pixels: int) -> Labels:
    """Return the labels ``(y, x)`` of a label store, at one of its levels. **Eager**.

    That is the smallest one of which a side is at least ``side`` pixels, or all of them where there
    is none.

    Raises
    ------
    SourceError
        When the store cannot be read.
    PixelFormatError
        When the level has more than ``max_pixels`` pixels.
    """
    try:
        group = zarr.open_group(path, mode="r")
        level = min(
            (array for _, array in group.arrays() if max(array.shape) >= side),
            key=lambda array: array.size,
            default=group["0"],
        )
        _check_size(path, level.size, max_pixels)
        return np.asarray(level[:])
    except PixelFormatError:
        raise
    except Exception as error:  # zarr raises almost any type for damaged metadata
        raise _unreadable(path, error) from error


def read_npz_labels(path: Path, *, max_pixels: int) -> tuple[Labels, NDArray[np.uint8]]:
    """Return ``labels`` ``(y, x)`` and ``palette`` ``(n_colors, bands)`` of an ``.npz``. **Eager**.

    Raises
    ------
    SourceError
        When the file cannot be read.
    PixelFormatError
        When an array has more than ``max_pixels`` bytes, and so perhaps as many pixels.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            labels, colors = (
                _read_member(archive, name, path, max_pixels) for name in ("labels", "palette")
            )
    except PixelFormatError:
        raise
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from error
    return labels, colors


def _read_member(archive: zipfile.ZipFile, name: str, path: Path, max_bytes: int) -> NDArray[Any]:
    """Return an array of an ``.npz`` that is not too large."""
    _check_size(path, archive.getinfo(f"{name}.npy").file_size, max_bytes)
    with archive.open(f"{name}.npy") as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array


def _check_size(path: Path, n_pixels: int, max_pixels: int) -> None:
    """Raise `PixelFormatError` where there is too much to be read whole."""
    if n_pixels > max_pixels:
        message = (
            f"Got {show_path(str(path))} of {n_pixels:,} pixels; at most {max_pixels:,} are read "
            "as a whole."
        )
        raise PixelFormatError(message)


def _unreadable(path: Path, error: BaseException) -> SourceError:
    """Return the error for labels that cannot be read."""
    return SourceError(f"Cannot read {show_path(str(path))}: {show_cause(error)}.")
