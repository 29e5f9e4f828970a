"""Whether the labels of a large image are right, by readers and arithmetic that are not ours."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import zarr
from PIL import Image

from dask_quant.sinks.zarr_store import ARRAY_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TILE = 256
"""Side of a tile that is compared."""

_SPREAD = 0x9E3779B97F4A7C15
"""Odd, so that its multiples are scattered over all numbers of 64 bits."""

_BAND = 4096
"""Rows that are compared at a time."""


def count_wrong_labels(
    image: Path, labels: Path, palette: NDArray[np.uint8], *, n_tiles: int
) -> int:
    """Return the pixels, in tiles scattered over the image, that have another label than nearest.

    ``palette`` is ``(k, 3)`` as written; every colour is compared with every entry, in integers,
    and the first of several nearest entries is right.
    """
    pixels, found = (zarr.open_array(store / ARRAY_NAME, mode="r") for store in (image, labels))
    wrong = 0
    for number in range(n_tiles):
        rows, columns = (
            _place(number + axis * n_tiles, size) for axis, size in enumerate(found.shape)
        )
        nearest = find_nearest(pixels[rows, columns], palette)
        wrong += int((nearest != found[rows, columns]).sum())
    return wrong


def _place(number: int, size: int) -> slice:
    """Return where a tile lies along an axis."""
    begin = (number * _SPREAD % 2**64) * max(1, size - TILE + 1) >> 64
    return slice(begin, min(size, begin + TILE))


def find_nearest(pixels: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the index of the nearest entry of every pixel by brute force, the lowest on ties."""
    difference = pixels[..., np.newaxis, :].astype(np.int32) - palette.astype(np.int32)
    nearest: NDArray[np.int64] = (difference**2).sum(axis=-1).argmin(axis=-1)
    return nearest


def count_other_pixels(png: Path, labels: Path) -> int:
    """Return the pixels in which a PNG, as Pillow reads it, differs from a store of labels."""
    stored = zarr.open_array(labels / ARRAY_NAME, mode="r")
    height, width = stored.shape
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = height * width
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(png) as picture:
                assert picture.mode == "P", picture.mode
                assert picture.size == (width, height), picture.size
                return sum(
                    int((np.asarray(picture.crop((0, top, width, end))) != stored[top:end]).sum())
                    for top, end in _bands(height)
                )
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _bands(height: int) -> list[tuple[int, int]]:
    """Return first and last row of bands."""
    return [(top, min(top + _BAND, height)) for top in range(0, height, _BAND)]
