"""How rasters are cut into tasks, and the memory that those take: plain numbers in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.chunking import COPIES_IN_TASK, PROCESS_BYTES, WAITING_BLOCKS, plan_chunks

if TYPE_CHECKING:
    from dask_quant.options import ChunkOptions

RASTER_TASK_BYTES = 1 << 25
"""Bytes of the pixels of a task on a raster: a second or less of work (arbitrary)."""

_CLUSTER_FACTOR = 2
"""How much larger the tasks of a cluster are, whose scheduler needs milliseconds for each."""

RASTER_CACHE_BYTES = 1 << 26
"""What GDAL keeps of what it has decoded, in each process."""

_RASTER_COPIES = 4
"""Copies of the pixels of a task: as decoded, in rows, those of them that mean something, and what
the library that reads them needs."""

_ROW_BYTES = 16
"""Bytes per pixel of a task beside its samples: where it means something, its place, its label."""

_SAMPLE_COPIES = 8
"""Copies of the sample: merged, as features, and by bands while first centres are drawn."""


def plan_raster_chunks(
    shape: tuple[int, int],
    unit: tuple[int, int],
    pixel_bytes: int,
    *,
    on_threads: bool,
    requested: ChunkOptions | None = None,
) -> tuple[int, int]:
    """Return rows and columns of a task on a raster: whole storage units, of so many bytes.

    Parameters
    ----------
    shape, unit, requested
        As in `dask_quant.chunking.plan_chunks`.
    pixel_bytes : int
        Bytes of all bands of a pixel.
    on_threads : bool
        Whether tasks run on threads of this process, where they may be smaller.

    Examples
    --------
    >>> plan_raster_chunks((9000, 9000), (256, 256), 16, on_threads=True)
    (256, 8192)
    """
    target = RASTER_TASK_BYTES if on_threads else _CLUSTER_FACTOR * RASTER_TASK_BYTES
    pixels = max(1, target // pixel_bytes)
    return plan_chunks(shape, unit, requested=requested, target_pixels=pixels)


def plan_rasters(
    task_bytes: int,
    task_pixels: int,
    *,
    label_bytes: int,
    sample_bytes: int,
    n_processes: int = 0,
    n_threads: int = 1,
) -> int:
    """Return an upper bound of the memory for fitting and labelling rasters.

    Parameters
    ----------
    task_bytes, task_pixels : int
        What the largest task reads.
    label_bytes : int
        Bytes of the labels that one file of a store holds.
    sample_bytes : int
        Bytes of the sample that a fit begins on.
    n_processes, n_threads
        As in `dask_quant.chunking.plan_image`.

    Returns
    -------
    int
        Bytes of driver and workers together.
    """
    reading = _RASTER_COPIES * task_bytes + _ROW_BYTES * task_pixels
    labelling = (WAITING_BLOCKS + COPIES_IN_TASK) * label_bytes
    processes = (1 + n_processes) * (PROCESS_BYTES + RASTER_CACHE_BYTES)
    return processes + n_threads * (reading + labelling) + _SAMPLE_COPIES * sample_bytes
