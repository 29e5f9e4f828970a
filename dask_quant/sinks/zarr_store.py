"""Zarr v3 groups whose array ``0`` holds labels, or decoded pixels, written shard by shard.

The shape of chunks and shards depends on the image's shape alone. One task writes whole shards,
so tasks never touch the same file. All of it happens in a temporary folder beside the final name:
`start_store`, any number of `store_block` anywhere, then `finish_store`.

References
----------
Zarr v3 core specification, and "Sharding codec" (ZEP 2), zarr-specs.readthedocs.io.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from dask_quant.errors import OutputError, OutputExistsError
from dask_quant.sinks.atomic import (
    check_parent,
    exists_message,
    partial_path,
    report_os_errors,
    sync_file,
    sync_folder,
)
from dask_quant.sinks.store_layout import image_shards, label_chunks, label_shards
from dask_quant.sinks.store_marker import is_our_store, source_attributes, store_attributes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dask_quant.palette import Palette

ARRAY_NAME = "0"
"""Name of the full-resolution array in its group."""

_ZSTD_LEVEL = 3
"""Effort of zstd. 4096 x 4096 uint8 labels of the Blue Marble, zarr 3.1.6, two cores:

=======  ===================  ===================
level    16 colours           256 colours
=======  ===================  ===================
1        2.85 MB, 226 Mpx/s   8.89 MB, 225 Mpx/s
3        2.78 MB, 184 Mpx/s   8.13 MB, 146 Mpx/s
5        2.57 MB, 104 Mpx/s   8.24 MB, 92 Mpx/s
9        2.49 MB, 42 Mpx/s    7.76 MB, 57 Mpx/s
=======  ===================  ===================

gzip is slower than any of them, Blosc's shuffles make labels larger.
"""

_IMAGE_ZSTD_LEVEL = 1
"""Effort of zstd on decoded pixels, which hardly compress and are written to be read soon."""

_CONFIG = {"write_empty_chunks": True}
"""A chunk of zeros is written like any other: a missing shard is a lost task."""

_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR})
"""What renaming a folder answers when its new name is taken."""

_TORN_SUFFIX = ".partial"
"""How zarr names a file until it is whole; a worker that is killed leaves it behind."""


def create_label_store(path: Path, shape: tuple[int, int], palette: Palette) -> None:
    """Create an empty label store: the group with the palette, the array with its codecs.

    **Eager**; writes two small files.

    Parameters
    ----------
    path : Path
        A folder that does not exist, usually a temporary one.
    shape : tuple of int
        Height and width of the image in pixels, each at least 1.
    palette : Palette
        Goes to the group's attributes; decides between uint8 and uint16.

    Raises
    ------
    OutputError
        When the folder exists or cannot be made, or a side is below 1.
    """
    _create_classes(path, shape, palette.label_dtype, store_attributes(palette))


def _create_classes(
    path: Path, shape: tuple[int, int], dtype: np.dtype[Any], attributes: dict[str, Any]
) -> None:
    """Create an empty store of labels of whatever."""
    _check_shape(shape)
    layout = _Layout(shape, label_chunks(shape), label_shards(shape), ("y", "x"))
    _create_store(path, layout, dtype, attributes, _ZSTD_LEVEL)


def _check_shape(shape: tuple[int, int]) -> None:
    """Raise `OutputError` unless an image of ``shape`` has a pixel."""
    if min(shape) < 1:
        message = f"Got an image of shape {shape}; a store needs at least one pixel."
        raise OutputError(message)


@dataclass(frozen=True)
class _Layout:
    """How the array of a store is cut."""

    shape: tuple[int, ...]
    """Shape of the array."""
    chunks: tuple[int, ...]
    """Shape of an inner chunk."""
    shards: tuple[int, ...]
    """Shape of a shard."""
    names: tuple[str, ...]
    """Names of the axes."""


def _create_store(
    path: Path, layout: _Layout, dtype: np.dtype[Any], attributes: dict[str, Any], level: int
) -> None:
    """Create a group with ``attributes`` and an empty array, compressed by zstd at ``level``."""
    with report_os_errors(path):
        path.mkdir(parents=True)
        group = zarr.create_group(path, attributes=attributes)
        group.create_array(
            ARRAY_NAME,
            shape=layout.shape,
            dtype=dtype,
            chunks=layout.chunks,
            shards=layout.shards,
            # The index of a shard has a crc32c by default; its chunks get one here.
            compressors=(ZstdCodec(level=level), Crc32cCodec()),
            fill_value=0,
            dimension_names=layout.names,
            config=_CONFIG,
        )


def store_block(
    path: Path, block: NDArray[np.uint8 | np.uint16], *, offset: tuple[int, int]
) -> int:
    """Write the labels, or pixels, of one block, which must consist of whole shards.

    **Eager**; runs on any worker that sees ``path``, and gives the same bytes when run again.

    Parameters
    ----------
    path : Path
        A store that `start_store` or `start_image_store` made.
    block : ndarray
        Of the store's type, labels ``(rows, columns)`` or pixels ``(rows, columns, 3)``. One
        without pixels is left out.
    offset : tuple of int
        Row and column of the block's first pixel.

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
        array = _open_for_writing(path)
    _check_block(array, block, offset)
    rows, columns = (slice(o, o + n) for o, n in zip(offset, block.shape[:2], strict=True))
    with report_os_errors(path):
        array[rows, columns] = block
    return math.prod(block.shape[:2])


def _open_for_writing(path: Path) -> Any:
    """Return the array of a store, set to write empty chunks as well.

    ``open_array`` takes a ``config`` and ignores it, and ``with_config`` is younger than zarr 3.1.
    """
    array = zarr.open_array(path / ARRAY_NAME, mode="r+")
    return zarr.Array(zarr.AsyncArray(array.metadata, array.store_path, config=_CONFIG))


def _check_block(array: Any, block: NDArray[Any], offset: tuple[int, int]) -> None:
    """Raise `OutputError` unless ``block`` is whole shards of ``array``, of its type."""
    fits = block.ndim == array.ndim and block.shape[2:] == array.shape[2:]
    if block.dtype != array.dtype or not fits:
        message = (
            f"Got a block {block.dtype} {block.shape}; the store takes parts of "
            f"{array.dtype} {array.shape}."
        )
        raise OutputError(message)
    axes = zip(offset, block.shape[:2], array.shape[:2], array.shards[:2], strict=True)
    for start, length, size, shard in axes:
        stop = start + length
        whole = start % shard == 0 and (stop % shard == 0 or stop == size)
        if start < 0 or stop > size or not whole:
            message = (
                f"Got a block of shape {block.shape} at {tuple(offset)}; it must cover whole "
                f"shards of {array.shards} of the image {array.shape}."
            )
            raise OutputError(message)


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


def start_store(final: Path, shape: tuple[int, int], palette: Palette, *, overwrite: bool) -> Path:
    """Check ``final`` and create an empty label store under a temporary name beside it.

    **Eager.** Parameters and errors are those of `check_store` and `create_label_store`.

    Returns
    -------
    Path
        The temporary folder, for `store_block` and then `finish_store` or `discard_store`.
    """
    check_store(final, overwrite=overwrite)
    temporary = partial_path(final)
    _create_or_discard(temporary, create_label_store, shape, palette)
    return temporary


def start_class_store(
    final: Path,
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    attributes: dict[str, Any],
    *,
    overwrite: bool,
) -> Path:
    """Check ``final`` and create an empty store for classes under a temporary name beside it.

    **Eager.** To be filled, finished or discarded like a label store, from which it differs in that
    what its values mean is given by ``attributes`` of the group.
    """
    check_store(final, overwrite=overwrite)
    temporary = partial_path(final)
    _create_or_discard(temporary, _create_classes, shape, dtype, attributes)
    return temporary


def _create_or_discard(temporary: Path, create: Callable[..., None], *args: Any) -> None:
    """Call ``create(temporary, *args)``, and leave nothing when it fails or is interrupted.

    Zarr writes on a thread of its own, and goes on when its caller is interrupted. Here the caller
    is a thread that is waited for, whatever happens.
    """
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(create, temporary, *args).result()
    except BaseException:
        discard_store(temporary)
        raise


def start_image_store(
    final: Path, shape: tuple[int, int], source_digest: str, *, overwrite: bool
) -> Path:
    """Check ``final`` and create an empty store for pixels under a temporary name beside it.

    **Eager.** To be filled, finished or discarded like a label store.

    Parameters
    ----------
    final : Path
        The store's name.
    shape : tuple of int
        Height and width of the image in pixels; the store is sRGB uint8 ``(y, x, 3)``.
    source_digest : str
        Digest of the file that the pixels come from, kept in the attributes.
    overwrite : bool
        Whether a store of ours may be replaced.

    Returns
    -------
    Path
        The temporary folder.

    Raises
    ------
    OutputError
        As `check_store`.
    """
    check_store(final, overwrite=overwrite)
    _check_shape(shape)
    temporary = partial_path(final)
    layout = _Layout(
        (*shape, 3), (*label_chunks(shape), 3), (*image_shards(shape), 3), ("y", "x", "band")
    )
    attributes = source_attributes(source_digest)
    uint8 = np.dtype(np.uint8)
    _create_or_discard(temporary, _create_store, layout, uint8, attributes, _IMAGE_ZSTD_LEVEL)
    return temporary


def finish_store(temporary: Path, final: Path, *, overwrite: bool) -> int:
    """Sync a store to disk and give it its final name.

    **Eager.** Symlinks: one at ``final`` is replaced itself, its target is left alone.

    Parameters
    ----------
    temporary : Path
        What `start_store` returned, with every block stored.
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
            _rename_to_free_name(temporary, final)
        sync_folder(final.parent)
    return n_bytes


def discard_store(temporary: Path) -> None:
    """Remove what `start_store` made, as far as that is possible.

    **Eager.**
    """
    shutil.rmtree(temporary, ignore_errors=True)


def _check_complete(temporary: Path) -> None:
    """Raise `OutputError` unless every shard of the store is there."""
    with report_os_errors(temporary):
        array = zarr.open_array(temporary / ARRAY_NAME, mode="r")
    grid = [math.ceil(n / shard) for n, shard in zip(array.shape, array.shards, strict=True)]
    missing = [
        f"{row}/{column}"
        for row, column in np.ndindex(*grid[:2])
        if not _shard_path(temporary, row, column, array.ndim).is_file()
    ]
    if missing:
        message = (
            f"Got {math.prod(grid) - len(missing)} of {math.prod(grid)} shards in "
            f"{str(temporary)!r}, {missing[0]} is missing; write it again."
        )
        raise OutputError(message)


def _shard_path(store: Path, row: int, column: int, n_axes: int) -> Path:
    """Return the file of a shard; a third axis, the bands, is never cut."""
    return store.joinpath(ARRAY_NAME, "c", str(row), str(column), *["0"] * (n_axes - 2))


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


def _rename_to_free_name(temporary: Path, final: Path) -> None:
    """Rename a folder, or raise `OutputExistsError` when ``final`` has come to hold something."""
    try:
        os.rename(temporary, final)
    except OSError as error:
        if error.errno in _TAKEN:
            raise OutputExistsError(exists_message(final)) from None
        raise


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
