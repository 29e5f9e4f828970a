"""Zarr v3 groups whose array ``0`` holds labels, or decoded pixels, written shard by shard.

Labels may have smaller levels beside them: ``1`` of half the sides, and so on.

One task writes whole shards, so tasks never touch the same file. All of it happens in a temporary
folder beside the final name: one of `store_start` makes it, any number of `store_block` anywhere
fill it, then `finish_store`.

References
----------
Zarr v3 core specification, and "Sharding codec" (ZEP 2), zarr-specs.readthedocs.io.
"""

from __future__ import annotations

import math
import os
import shutil
from itertools import count, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from dask_quant.errors import OutputError, OutputExistsError
from dask_quant.sinks.atomic import (
    check_parent,
    exists_message,
    partial_path,
    rename_folder,
    report_os_errors,
    sync_file,
    sync_folder,
)
from dask_quant.sinks.store_marker import is_our_store
from dask_quant.sources.zarr_shards import is_whole_shard

if TYPE_CHECKING:
    from numpy.typing import NDArray

ARRAY_NAME = "0"
"""Name of the full-resolution array in its group."""

STORE_CONFIG = {"write_empty_chunks": True}
"""A chunk of zeros is written like any other: a missing shard is a lost task."""

_TORN_SUFFIX = ".partial"
"""How zarr names a file until it is whole; a worker that is killed leaves it behind."""


def level_name(level: int) -> str:
    """Return the name of the array of a level; 0 is the full resolution."""
    return str(level)


def count_levels(path: Path) -> int:
    """Return how many levels a store has. **Eager**."""
    return next(level for level in count() if not (path / level_name(level)).is_dir())


def store_block(
    path: Path,
    block: NDArray[np.uint8 | np.uint16],
    *,
    offset: tuple[int, int],
    level: int = 0,
) -> int:
    """Write the labels, or pixels, of one block, which must consist of whole shards.

    **Eager**; runs on any worker that sees ``path``, and gives the same bytes when run again.

    Parameters
    ----------
    path : Path
        A store that `store_start` made.
    block : ndarray
        Of the store's type, labels ``(rows, columns)`` or pixels ``(rows, columns, band)``. One
        without pixels is left out.
    offset : tuple of int
        Row and column of the block's first pixel.
    level : int, default 0
        Which level it is a part of.

    Returns
    -------
    int
        Pixels written.

    Raises
    ------
    OutputError
        When the block is of another type, begins or ends inside a shard, or cannot be written.

    Notes
    -----
    Peak memory: the block, one shard of it encoded, and zarr's copies of its chunks.
    """
    if block.size == 0:  # a Dask array may have empty chunks
        return 0
    with report_os_errors(path):
        array = _open_for_writing(path, level)
    _check_block(array, block, offset)
    rows, columns = (slice(o, o + n) for o, n in zip(offset, block.shape[:2], strict=True))
    with report_os_errors(path):
        array[rows, columns] = block
    return math.prod(block.shape[:2])


def keep_block(
    path: Path, offset: tuple[int, int], shape: tuple[int, int], *, level: int = 0
) -> bool:
    """Return whether the shards of a part of labels are there and whole. **Eager**.

    One that is torn is removed: to write a part of it again, zarr would read it.

    Parameters
    ----------
    path : Path
        A store of labels that `store_start` made.
    offset, shape : tuple of int
        First row and column, rows and columns: whole shards.
    level : int, default 0
        Which level it is a part of.

    Notes
    -----
    Nothing is decoded; peak memory: a chunk, compressed.
    """
    folder = path / level_name(level)
    with report_os_errors(path):
        array = zarr.open_array(folder, mode="r")
    sides, chunks = _file_shape(array), array.chunks
    grid = [side // chunk for side, chunk in zip(sides, chunks, strict=True)]
    rows, columns = (
        range(start, start + size, side)
        for start, size, side in zip(offset, shape, sides, strict=True)
    )
    return all([_keep_shard(array, folder, grid, place) for place in product(rows, columns)])


def _keep_shard(array: Any, folder: Path, grid: list[int], place: tuple[int, int]) -> bool:
    """Return whether the shard at a row and a column is whole, and remove it where it is not."""
    sides = _file_shape(array)
    axes = zip(place, sides, array.shape, array.chunks, strict=True)
    inside = [-(-(min(start + side, n) - start) // chunk) for start, side, n, chunk in axes]
    shard = _shard_path(folder, place[0] // sides[0], place[1] // sides[1], array.ndim)
    if is_whole_shard(shard, grid, inside):
        return True
    with report_os_errors(shard):
        shard.unlink(missing_ok=True)
    return False


def _open_for_writing(path: Path, level: int) -> Any:
    """Return an array of a store, set to write empty chunks as well.

    ``open_array`` takes a ``config`` and ignores it, and ``with_config`` is younger than zarr 3.1.
    """
    array = zarr.open_array(path / level_name(level), mode="r+")
    return zarr.Array(zarr.AsyncArray(array.metadata, array.store_path, config=STORE_CONFIG))


def _check_block(array: Any, block: NDArray[Any], offset: tuple[int, int]) -> None:
    """Raise `OutputError` unless ``block`` is whole shards of ``array``, of its type."""
    fits = block.ndim == array.ndim and block.shape[2:] == array.shape[2:]
    if block.dtype != array.dtype or not fits:
        message = (
            f"Got a block {block.dtype} {block.shape}; the store takes parts of "
            f"{array.dtype} {array.shape}."
        )
        raise OutputError(message)
    axes = zip(offset, block.shape[:2], array.shape[:2], _file_shape(array)[:2], strict=True)
    for start, length, size, shard in axes:
        stop = start + length
        whole = start % shard == 0 and (stop % shard == 0 or stop == size)
        if start < 0 or stop > size or not whole:
            message = (
                f"Got a block of shape {block.shape} at {tuple(offset)}; it must cover whole "
                f"shards of {_file_shape(array)} of the image {array.shape}."
            )
            raise OutputError(message)


def _file_shape(array: Any) -> tuple[int, ...]:
    """Return the shape of what a file of an array holds: a shard, or else a chunk."""
    shape: tuple[int, ...] = array.shards or array.chunks
    return shape


def check_store(final: Path, *, overwrite: bool) -> None:
    """Raise unless a label store can be put at ``final``, whose folders need not exist yet.

    **Eager**; called before work that takes long, and again by `finish_store`.

    Raises
    ------
    OutputExistsError
        When the path exists and ``overwrite`` is false.
    OutputError
        When what exists is not a store of ours, or the parent folder cannot be made or written.
    """
    check_parent(final)
    if not os.path.lexists(final):
        return
    if not overwrite:
        raise OutputExistsError(exists_message(final))
    if not is_our_store(final):
        message = (
            f"Cannot replace {str(final)!r}: it was not written by dask_quant; "
            "choose another name or remove it yourself."
        )
        raise OutputError(message)


def finish_store(temporary: Path, final: Path, *, overwrite: bool) -> int:
    """Sync a store to disk and give it its final name.

    **Eager.** Symlinks: one at ``final`` is replaced itself, its target is left alone.

    Parameters
    ----------
    temporary : Path
        What `store_start` made, with every block stored.
    final : Path
        The store's name, on the same file system.
    overwrite : bool
        Whether a label store of ours may be replaced; anything else never is.

    Returns
    -------
    int
        Bytes of all the store's files.

    Raises
    ------
    OutputExistsError
        When ``final`` exists, or came to exist meanwhile, and ``overwrite`` is false.
    OutputError
        When shards are missing, or ``final`` holds something else, or the system refuses.
    """
    _check_complete(temporary)
    with report_os_errors(final):
        n_bytes = _sync_tree(temporary)
        check_store(final, overwrite=overwrite)
        if overwrite and os.path.lexists(final):
            _replace_store(temporary, final)
        else:
            rename_folder(temporary, final)
        sync_folder(final.parent)
    return n_bytes


def discard_store(temporary: Path) -> None:
    """Remove what `store_start` made, as far as that is possible.

    **Eager.**
    """
    shutil.rmtree(temporary, ignore_errors=True)


def _check_complete(temporary: Path) -> None:
    """Raise `OutputError` unless every shard of the store is there."""
    for level in range(count_levels(temporary)):
        _check_level(temporary, temporary / level_name(level))


def _check_level(temporary: Path, folder: Path) -> None:
    """Raise `OutputError` unless every shard of one array is there."""
    with report_os_errors(temporary):
        array = zarr.open_array(folder, mode="r")
    grid = [math.ceil(n / shard) for n, shard in zip(array.shape, _file_shape(array), strict=True)]
    missing = [
        f"{row}/{column}"
        for row, column in np.ndindex(*grid[:2])
        if not _shard_path(folder, row, column, array.ndim).is_file()
    ]
    if missing:
        message = (
            f"Got {math.prod(grid) - len(missing)} of {math.prod(grid)} shards in "
            f"{str(temporary)!r}, {missing[0]} is missing; write it again."
        )
        raise OutputError(message)


def _shard_path(folder: Path, row: int, column: int, n_axes: int) -> Path:
    """Return the file of a shard; a third axis, the bands, is never cut."""
    return folder.joinpath("c", str(row), str(column), *["0"] * (n_axes - 2))


def _sync_tree(folder: Path) -> int:
    """Sync all below ``folder``, less what killed writers left; return the bytes of the files."""
    n_bytes = 0
    for parent, _, names in os.walk(folder, topdown=False):
        for file in (Path(parent, name) for name in names):
            if file.suffix == _TORN_SUFFIX:
                file.unlink()
                continue
            sync_file(file)
            n_bytes += file.stat().st_size
        sync_folder(Path(parent))
    return n_bytes


def _replace_store(temporary: Path, final: Path) -> None:
    """Put ``temporary`` in the place of a store of ours, which is removed last."""
    old = partial_path(final)
    os.rename(final, old)
    try:
        os.rename(temporary, final)
    except OSError:
        os.rename(old, final)
        raise
    if old.is_symlink():
        old.unlink()
    else:
        shutil.rmtree(old)
