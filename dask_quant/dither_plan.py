"""What dithering one image takes beside relabelling it: pure arithmetic, in bytes and pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dask_quant.chunking import (
    DECODE_BYTES,
    PROCESS_BYTES,
    TARGET_PIXELS,
    THREAD_TARGET_PIXELS,
    plan_chunks,
    plan_image,
)
from dask_quant.dither_flow import BANDS_PER_WAVE
from dask_quant.tables import MAX_TABLE_BYTES

if TYPE_CHECKING:
    from dask_quant.chunking import ChunkPlan

_PIXEL_BYTES = 3

_COPIES = 2
"""Copies of what is read, put together or written: the array, and the parts that it is made of."""


def plan_dithered(shape: tuple[int, int], *, dither: str, **given: Any) -> ChunkPlan:
    """Plan counting, fitting and relabelling one image, dithered or not.

    Parameters
    ----------
    shape
        As in `dask_quant.chunking.plan_image`.
    dither : str
        One of `dask_quant.fit_options.DITHERS`.
    **given
        The other parameters of `dask_quant.chunking.plan_image`.
    """
    if dither == "none":
        return plan_image(shape, **given)
    label_bytes = given.pop("label_bytes_per_pixel")
    # Pixels are put together to what is written, with the labels that are made of them there.
    plan = plan_image(shape, label_bytes_per_pixel=label_bytes + _PIXEL_BYTES, **given)
    plan = replace(plan, label_bytes=label_bytes * shape[0] * shape[1])
    return _plan_bands(plan, label_bytes, **given) if dither == "floyd-steinberg" else plan


def _plan_bands(
    plan: ChunkPlan,
    label_bytes: int,
    *,
    read_unit: tuple[int, int],
    write_unit: tuple[int, int],
    relabel_unit: tuple[int, int] | None = None,
    n_processes: int = 0,
    n_threads: int = 1,
    decodes_whole: bool = False,
    codec_bytes: int = 0,
    unit_bytes: int = 0,
    requested: Any = None,
    **_: Any,
) -> ChunkPlan:
    """Return the plan with bands of whole rows as chunks of relabelling."""
    height, width = plan.shape
    unit_rows = (relabel_unit or read_unit)[0]
    target = THREAD_TARGET_PIXELS if n_processes == 0 else TARGET_PIXELS
    rows = plan_chunks(plan.shape, (unit_rows, width), requested=requested, target_pixels=target)[0]
    ahead = min(height, BANDS_PER_WAVE * n_threads * rows)
    waiting = min(height, ahead + write_unit[0] + rows)
    n_bytes = _COPIES * width * (_PIXEL_BYTES * ahead + label_bytes * waiting)
    n_bytes += _COPIES * label_bytes * n_threads * write_unit[0] * write_unit[1]
    n_bytes += DECODE_BYTES * height * width + codec_bytes if decodes_whole else 0
    n_bytes += _COPIES * n_threads * unit_bytes
    n_bytes += (1 + n_processes) * (PROCESS_BYTES + MAX_TABLE_BYTES)
    return replace(
        plan,
        relabel_chunks=(rows, width),
        projected_bytes=max(plan.projected_bytes, n_bytes),
    )
