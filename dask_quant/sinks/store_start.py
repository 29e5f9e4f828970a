"""Zarr v3 stores begun: the group with what its values mean, the array ``0`` still empty.

The shape of chunks and shards depends on the image alone. All of it happens in a temporary folder
beside the final name, see `zarr_store`.

References
----------
Zarr v3 core specification, and "Sharding codec" (ZEP 2), zarr-specs.readthedocs.io.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

from dask_quant.errors import OutputError, OutputExistsError
from dask_quant.pixel_grid import PLAIN_GRID, PixelGrid
from dask_quant.sinks.atomic import (
    check_parent,
    partial_folder,
    partial_path,
    rename_folder,
    report_os_errors,
)
from dask_quant.sinks.ome_labels import describe_labels, ome_attributes, wants_levels
from dask_quant.sinks.store_layout import (
    image_shards,
    label_chunks,
    label_shards,
    level_shapes,
)
from dask_quant.sinks.store_marker import (
    group_attributes,
    holds_rasters,
    source_attributes,
    store_attributes,
)
from dask_quant.sinks.zarr_store import (
    STORE_CONFIG,
    check_store,
    discard_store,
    level_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from zarr.abc.codec import BytesBytesCodec as Codec

    from dask_quant.palette import Palette

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

_RASTER_CODEC = BloscCodec(cname="lz4", clevel=1, shuffle="shuffle")
"""How samples are compressed that are read in every pass. 1024 x 1024 pixels of eight bands of
Landsat 7 with noise, int16, a thread of an Intel Xeon at 2.5 GHz, numcodecs 0.16:

====================  =====  ==========  ==========
codec                 size   writes      reads
====================  =====  ==========  ==========
lz4, bytes shuffled   0.155   810 MB/s   1700 MB/s
lz4, bits shuffled    0.169  1150 MB/s   1840 MB/s
zstd 1                0.140   700 MB/s    540 MB/s
====================  =====  ==========  ==========
"""


def create_label_store(
    path: Path,
    shape: tuple[int, int],
    palette: Palette,
    *,
    levels: bool = False,
    grid: PixelGrid = PLAIN_GRID,
) -> None:
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
    levels : bool, default False
        Whether there are smaller levels as well.
    grid : PixelGrid, optional
        Where the pixels lie.

    Raises
    ------
    OutputError
        When the folder exists or cannot be made, or a side is below 1.
    """
    label = _describe_palette(palette)
    _create_classes(
        path, shape, palette.label_dtype, store_attributes(palette), label, levels, grid
    )


def _describe_palette(palette: Palette) -> dict[str, Any]:
    """Return what the labels of a palette mean."""
    counts = None if palette.counts is None else palette.counts.tolist()
    return describe_labels(palette.colors, counts)


def _create_classes(
    path: Path,
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    attributes: dict[str, Any],
    label: dict[str, Any],
    levels: bool,
    grid: PixelGrid,
) -> None:
    """Create an empty store of labels of whatever."""
    _check_shape(shape)
    shapes = level_shapes(shape) if levels else [shape]
    layouts = [_Layout(each, label_chunks(each), label_shards(each), ("y", "x")) for each in shapes]
    attributes = attributes | ome_attributes(len(shapes), grid, label)
    _create_store(path, layouts, dtype, attributes, ZstdCodec(level=_ZSTD_LEVEL))


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
    shards: tuple[int, ...] | None
    """Shape of a shard; None: a chunk is a file of its own."""
    names: tuple[str, ...]
    """Names of the axes."""


def _create_store(
    path: Path,
    layouts: Sequence[_Layout],
    dtype: np.dtype[Any],
    attributes: dict[str, Any],
    codec: Codec,
) -> None:
    """Create a group with ``attributes`` and empty arrays, compressed by ``codec``."""
    with report_os_errors(path):
        path.mkdir(parents=True)
        group = zarr.create_group(path, attributes=attributes)
        for level, layout in enumerate(layouts):
            group.create_array(
                level_name(level),
                shape=layout.shape,
                dtype=dtype,
                chunks=layout.chunks,
                shards=layout.shards,
                # The index of a shard has a crc32c by default; its chunks get one here.
                compressors=(codec, Crc32cCodec()),
                fill_value=0,
                dimension_names=layout.names,
                config=STORE_CONFIG,
            )


def start_store(
    final: Path,
    shape: tuple[int, int],
    palette: Palette,
    *,
    overwrite: bool,
    grid: PixelGrid = PLAIN_GRID,
    temporary: Path | None = None,
) -> Path:
    """Check ``final`` and create an empty label store under a temporary name beside it.

    **Eager.** Parameters and errors are those of `check_store` and `create_label_store`. The name
    says whether there are smaller levels: ``.ome.zarr``. ``temporary`` is another place for it, on
    the same file system.

    Returns
    -------
    Path
        The temporary folder, for `store_block` and then `finish_store` or `discard_store`.
    """
    check_store(final, overwrite=overwrite)
    temporary = temporary or partial_path(final)
    create = partial(create_label_store, levels=wants_levels(final), grid=grid)
    _create_or_discard(temporary, create, shape, palette)
    return temporary


def tell_counts(temporary: Path, palette: Palette) -> None:
    """Replace the palette of a started store by itself with counts that only now are known.

    **Eager**; writes one small file.
    """
    with report_os_errors(temporary):
        group = zarr.open_group(temporary, mode="r+")
        ome = group.attrs["ome"] | {"image-label": _describe_palette(palette)}
        group.attrs.update(store_attributes(palette) | {"ome": ome})


def start_class_store(
    final: Path,
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    attributes: dict[str, Any],
    label: dict[str, Any],
    *,
    overwrite: bool,
) -> Path:
    """Check ``final`` and create an empty store for classes under a temporary name beside it.

    **Eager.** To be filled, finished or discarded like a label store, from which it differs in that
    what its values mean is given by ``attributes`` of the group, and by ``label`` as
    `dask_quant.sinks.ome_labels.describe_labels` returns it.
    """
    check_store(final, overwrite=overwrite)
    temporary = partial_path(final)
    given = (shape, dtype, attributes, label, wants_levels(final), PLAIN_GRID)
    _create_or_discard(temporary, _create_classes, *given)
    return temporary


def _create_or_discard(temporary: Path, create: Callable[..., None], *args: Any) -> None:
    """Call ``create(temporary, *args)``, and leave nothing when it fails or is interrupted.

    Zarr writes on a thread of its own, and goes on when its caller is interrupted. Here the caller
    is a thread that is waited for, whatever happens. A pool forgets a thread when a signal comes
    while it starts; this one either has begun, and is waited for, or never will.
    """
    creation: Future[None] = Future()

    def run() -> None:
        if creation.set_running_or_notify_cancel():
            try:
                create(temporary, *args)
                creation.set_result(None)
            except BaseException as error:
                creation.set_exception(error)

    try:
        Thread(target=run).start()
        creation.result()
    except BaseException:
        if not creation.cancel():
            wait([creation])
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
    uint8, codec = np.dtype(np.uint8), ZstdCodec(level=_IMAGE_ZSTD_LEVEL)
    _create_or_discard(temporary, _create_store, [layout], uint8, attributes, codec)
    return temporary


def make_raster_group(path: Path) -> None:
    """Make a group for stores of rasters, unless it is there.

    **Eager.**

    Raises
    ------
    OutputExistsError
        When something else is there.
    OutputError
        When it cannot be made.
    """
    check_parent(path)
    if not os.path.lexists(path):
        with partial_folder(path) as folder, report_os_errors(path):
            _create_or_discard(folder, _create_group)
            with suppress(OutputExistsError):  # it has come to be there meanwhile
                rename_folder(folder, path)
    if not holds_rasters(path):
        message = (
            f"{str(path)!r} exists and holds something else than samples of rasters; choose "
            "another name."
        )
        raise OutputExistsError(message)


def _create_group(path: Path) -> None:
    """Create an empty group for stores of rasters in a folder that is there."""
    zarr.create_group(path, attributes=group_attributes())


def start_raster_store(
    final: Path,
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    chunks: tuple[int, int],
    source_digest: str,
) -> Path:
    """Create an empty store for samples of a raster under a temporary name beside ``final``.

    **Eager.** To be filled, finished or discarded like a label store.

    Parameters
    ----------
    final : Path
        The store's name.
    shape : tuple of int
        Rows, columns and bands.
    dtype : dtype
        Type of the samples, integers or floats.
    chunks : tuple of int
        Rows and columns of a chunk, which is a file of its own.
    source_digest : str
        Digest of what the samples come from, kept in the attributes.

    Returns
    -------
    Path
        The temporary folder.
    """
    temporary = partial_path(final)
    rows, columns = (min(pair) for pair in zip(chunks, shape[:2], strict=True))
    layout = _Layout(shape, (rows, columns, shape[2]), None, ("y", "x", "band"))
    attributes = source_attributes(source_digest)
    _create_or_discard(temporary, _create_store, [layout], dtype, attributes, _RASTER_CODEC)
    return temporary
