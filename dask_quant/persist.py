"""Decode an image or rasters once into Zarr stores, and find them there the next time.

PNG and JPEG can only be decoded from the top, whole; a store can be read in parts, in parallel, and
its codec is quicker than those of most rasters, which are read in every pass of a fit. A store
remembers the digest of what it was made of, and is used again while that agrees.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask_quant.alpha_options import REFUSE
from dask_quant.array_flow import fill_store
from dask_quant.errors import OptionError, OutputExistsError, SourceError
from dask_quant.events import Notice
from dask_quant.graphs.pixels import mark_parts
from dask_quant.options import FIRST_PAGE, Page
from dask_quant.raster_plan import plan_raster_chunks
from dask_quant.sinks.store_layout import image_shards
from dask_quant.sinks.store_marker import read_store_source
from dask_quant.sinks.store_start import make_raster_group, start_image_store, start_raster_store
from dask_quant.sinks.zarr_store import check_store
from dask_quant.sources.addresses import is_url
from dask_quant.sources.discover import is_zarr_store
from dask_quant.sources.header import show_path
from dask_quant.sources.image_file import find_remote, read_header
from dask_quant.sources.opening import open_image
from dask_quant.sources.raster_file import RasterHeader, list_raster_files
from dask_quant.sources.rasters import split_raster
from dask_quant.sources.scratch import open_scratch
from dask_quant.sources.zarr_store import open_zarr_samples
from dask_quant.stream_flow import decode_stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dask_quant.alpha_options import AlphaRule
    from dask_quant.execute import Executor
    from dask_quant.sources.rasters import Raster
    from dask_quant.sources.strips import ImageStream

_NAME_DIGITS = 32
"""Digits of a digest that name a store in its group."""


def persist_image(
    image: Any,
    store: Path,
    executor: Executor,
    *,
    alpha: AlphaRule = REFUSE,
    overwrite: bool,
    page: Page = FIRST_PAGE,
    stream: ImageStream | None = None,
) -> Path:
    """Return ``store``, which holds the pixels of ``image``, decoded now if need be. **Eager**.

    Parameters
    ----------
    image : str or Path
        An image file.
    store : Path
        Zarr store, uint8 ``(y, x, 3)`` in shards; made, or used again when it holds this image.
    executor : Executor
        Decodes and writes.
    alpha : AlphaRule
        What becomes of transparency, which a store does not hold: refused by default.
    overwrite : bool
        Whether a store of another image is replaced.
    page : Page, optional
        Which picture of a TIFF.
    stream : ImageStream, optional
        How ``image`` is read in strips; None: it is decoded as a whole.

    Raises
    ------
    OptionError
        When ``image`` is an array or a Zarr store already.
    OutputExistsError
        When ``store`` holds something else and may not be replaced.
    """
    if not isinstance(image, (str, Path)) or is_zarr_store(image):
        message = "Got --persist with an image that needs none: it can be read in parts already."
        raise OptionError(message)
    digest = _digest_page(image, page) + (repr(alpha) if alpha.flattens else "")
    if store.exists():
        if read_store_source(store) == digest:
            executor.listener(Notice(f"Reusing {store}, which holds this image."))
            return store
        if not overwrite:
            message = (
                f"{str(store)!r} exists and holds something else than {show_path(str(image))!r}; "
                "use --overwrite to replace it, or choose another name."
            )
            raise OutputExistsError(message)
    if stream is not None:
        _write_stream(stream, store, digest, executor, overwrite=overwrite)
    else:
        _write_store(image, store, digest, executor, alpha=alpha, overwrite=overwrite, page=page)
    return store


def _write_stream(
    stream: ImageStream, store: Path, digest: str, executor: Executor, *, overwrite: bool
) -> None:
    """Decode a stream to a scratch file beside a new store, and fill that from it by tasks."""
    store = store.absolute()
    check_store(store, overwrite=overwrite)
    with decode_stream(stream, store, executor) as (scratch, _):
        temporary = start_image_store(store, stream.shape, digest, overwrite=overwrite)
        pixels = open_scratch(scratch, chunks=image_shards(stream.shape))
        fill_store(pixels, temporary, store, executor, overwrite=overwrite, stage="persist")


def _write_store(
    image: str | Path,
    store: Path,
    digest: str,
    executor: Executor,
    *,
    alpha: AlphaRule,
    overwrite: bool,
    page: Page,
) -> None:
    """Decode ``image`` into a new store."""
    header = read_header(image, page=page)
    shape = (header.height, header.width)
    store = store.absolute()  # workers may have another working folder
    temporary = start_image_store(store, shape, digest, overwrite=overwrite)
    chunks = image_shards(shape)
    pixels = open_image(image, chunks=chunks, page=page.number, level=page.level, alpha=alpha)
    fill_store(pixels, temporary, store, executor, overwrite=overwrite, stage="persist")


def persisted_unit(raster: Raster) -> tuple[int, int]:
    """Return rows and columns of what a store of a raster reads as a whole.

    It follows from the raster alone, so that any cluster makes the same store.
    """
    plain = replace(raster, indices=())
    return plan_raster_chunks(plain.shape, plain.unit, plain.pixel_bytes, on_threads=True)


def persist_rasters(rasters: Sequence[Raster], store: Path, executor: Executor) -> list[Raster]:
    """Return the same rasters, read from stores, which are written now if need be. **Eager**.

    Parameters
    ----------
    rasters : sequence of Raster
        Raster files, opened.
    store : Path
        Zarr group of a store for each raster, of any number of jobs: an array ``(y, x, band)`` of
        the bands that are used, and one band more that is 1 where they mean something.
    executor : Executor
        Reads and writes.

    Raises
    ------
    OptionError
        When a raster is an array or a Zarr store already.
    OutputExistsError
        When ``store`` is something else.
    """
    digests = [_digest_raster(raster) for raster in rasters]
    group = store.absolute()  # workers may have another working folder
    make_raster_group(group)
    stores = [group / digest[:_NAME_DIGITS] for digest in digests]
    known = [read_store_source(path) == each for path, each in zip(stores, digests, strict=True)]
    if any(known):
        held = f"{sum(known):,} of {len(rasters):,} rasters" if len(rasters) > 1 else "this raster"
        executor.listener(Notice(f"Reusing {store}, which holds {held}."))
    for raster, path, digest, is_known in zip(rasters, stores, digests, known, strict=True):
        if not is_known:
            _write_raster_store(raster, path, digest, executor)
    return [_open_persisted(raster, path) for raster, path in zip(rasters, stores, strict=True)]


def _open_persisted(raster: Raster, store: Path) -> Raster:
    """Return a raster that is read from its store."""
    samples, _, _ = open_zarr_samples(store)
    rows, columns = samples.chunksize[:2]
    return replace(raster, samples=samples, is_marked=True, unit=(rows, columns), mask=None)


def _write_raster_store(raster: Raster, store: Path, digest: str, executor: Executor) -> None:
    """Write the samples of a raster to a new store; indices are made of them in every pass."""
    unit, dtype, n_bands = persisted_unit(raster), raster.samples.dtype, len(raster.nodata)
    marked = mark_parts(split_raster(replace(raster, indices=()), unit), n_bands, dtype)
    temporary = start_raster_store(store, marked.shape, dtype, unit, digest)
    try:
        fill_store(marked, temporary, store, executor, overwrite=False, stage="persist")
    except OutputExistsError:
        if read_store_source(store) != digest:  # another job has not written the same meanwhile
            raise


def _digest_raster(raster: Raster) -> str:
    """Return a digest of the files of a raster and of what of them is read."""
    if not isinstance(raster.samples, RasterHeader):
        message = (
            f"Got --persist with {raster.name!r}, which needs none: it is no raster file, and is "
            "read in parts as it is."
        )
        raise OptionError(message)
    headers = [raster.samples] if raster.mask is None else [raster.samples, raster.mask]
    values = [
        [
            *(header.height, header.width, header.dtype.str, header.band_numbers),
            *(repr(header.nodata), header.has_mask),
            [_digest_file(path) for path in list_raster_files(header.path)],
        ]
        for header in headers
    ]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _digest_page(path: str | Path, page: Page) -> str:
    """Return a digest of a file and of which of its pictures is read."""
    digest = _digest_file(path)
    if not page.given:
        return digest
    chosen = f"{digest} page {page.number} level {page.level}"
    return hashlib.sha256(chosen.encode()).hexdigest()


def _digest_file(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal; far away, of what tells it from others."""
    if is_url(path):
        remote = find_remote(path)
        told = json.dumps([remote.url, remote.n_bytes, remote.version])
        return hashlib.sha256(told.encode()).hexdigest()
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        message = f"Cannot read {str(path)!r}: {error.strerror}."
        raise SourceError(message) from error
