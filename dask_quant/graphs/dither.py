"""Dithered labels of Dask arrays: blocks by themselves, or rows handed on from block to block.

What ordered dithering adds to a pixel follows from its row and column alone, so blocks are tasks of
their own. Error diffusion is that of the whole image at once: its blocks are bands of whole rows,
and the task of each takes the errors that the one above hands down. Only they wait for each other:
bands are read side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.delayed import delayed

from dask_quant.dithering import Tally, diffuse_rows, dither_block
from dask_quant.palette import check_opaque

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dask.delayed import Delayed
    from numpy.typing import NDArray

    from dask_quant.kernels.assign import Labels
    from dask_quant.palette import Palette


@dataclass(frozen=True)
class DiffusedBand:
    """Labels of some whole rows of an image, and what the rows below need."""

    labels: Labels
    """Labels ``(rows, columns)``."""
    carry: NDArray[np.int16]
    """Errors handed down, see `dask_quant.dithering.diffuse_rows`."""
    tally: Tally
    """Of the image down to the last of the rows."""


def dither_blocks(image: da.Array, palette: Palette, dither: str, space: str = "srgb") -> da.Array:
    """Return the dithered labels of ``(y, x, 3)`` uint8, chunked like it. **Lazy**.

    ``dither`` is one of `dask_quant.fit_options.DITHERS`, but not ``none``; the nearest entry is
    found in ``space``.
    """
    check_opaque(palette, f"dither {dither}")
    if dither == "floyd-steinberg":
        bands = whole_rows(image)
        chain = diffuse_bands(bands, palette, None, space)
        labels = join_bands(chain, bands.chunks[0], image, palette)
        return labels.rechunk(image.chunks[:2], method="tasks")
    starts = tuple(tuple(np.cumsum((0, *sizes[:-1])).tolist()) for sizes in image.chunks[:2])
    return image.map_blocks(
        dither_at,
        palette,
        dither,
        space,
        starts,
        drop_axis=2,
        dtype=palette.label_dtype,
        meta=np.empty((0, 0), dtype=palette.label_dtype),
    )


def dither_at(
    pixels: NDArray[np.uint8],
    palette: Palette,
    dither: str,
    space: str,
    starts: tuple[tuple[int, ...], tuple[int, ...]],
    block_id: tuple[int, ...],
) -> Labels:
    """Return the labels of the block with this number; ``starts`` are where each begins."""
    first = (starts[0][block_id[0]], starts[1][block_id[1]])
    return dither_block(pixels, palette, dither, space=space, first=first)


def whole_rows(image: da.Array) -> da.Array:
    """Return ``(y, x, 3)`` in chunks as wide as it is. **Lazy**."""
    # Never by "p2p", which a cluster would choose: it needs all blocks before it gives one.
    return image.rechunk({1: -1, 2: -1}, method="tasks")


def diffuse_bands(
    bands: da.Array, palette: Palette, above: Delayed | None, space: str = "srgb"
) -> list[Delayed]:
    """Return a delayed `DiffusedBand` for each chunk of ``bands``, which are whole rows. **Lazy**.

    ``above`` is that of the rows above, None at the top; the nearest entry is found in ``space``.
    """
    task, shared = delayed(diffuse_band, pure=False), delayed(palette, pure=True, traverse=False)
    chain: list[Delayed] = []
    for block in bands.to_delayed().ravel():
        chain.append(task(block, shared, chain[-1] if chain else above, space))
    return chain


def join_bands(
    chain: Sequence[Delayed], rows: Sequence[int], image: da.Array, palette: Palette
) -> da.Array:
    """Return the labels ``(y, x)`` of delayed bands of ``rows`` each, below one another. **Lazy**.

    ``image`` is as wide as they are.
    """
    meta: Any = np.empty((0, 0), dtype=palette.label_dtype)
    get = delayed(get_labels, pure=True)
    return da.concatenate(
        [
            da.from_delayed(get(band), (size, image.shape[1]), meta=meta)
            for band, size in zip(chain, rows, strict=True)
        ]
    )


def diffuse_band(
    pixels: NDArray[np.uint8], palette: Palette, above: DiffusedBand | None, space: str
) -> DiffusedBand:
    """Dither one band by error diffusion. **Eager**."""
    handed = None if above is None else above.carry
    labels, carry = diffuse_rows(pixels, palette, handed, space=space)
    tally = Tally.of(pixels, labels, palette, space)
    return DiffusedBand(
        labels, carry, tally if above is None else Tally.merge([above.tally, tally])
    )


def get_labels(band: DiffusedBand) -> Labels:
    """Return the labels of a band. **Eager**."""
    return band.labels


def get_tally(band: DiffusedBand) -> Tally:
    """Return the tally of a band and all above. **Eager**."""
    return band.tally
