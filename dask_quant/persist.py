"""Decode an image once into a Zarr store, and find it there the next time.

PNG and JPEG can only be decoded from the top, whole; a store can be read in parts, in parallel. The
store remembers the digest of the file that it was made of, and is used again while that agrees.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask_quant.array_flow import fill_store
from dask_quant.errors import OptionError, OutputExistsError, SourceError
from dask_quant.events import Notice
from dask_quant.sinks.store_layout import image_shards
from dask_quant.sinks.store_marker import read_store_source
from dask_quant.sinks.zarr_store import start_image_store
from dask_quant.sources.discover import is_zarr_store
from dask_quant.sources.opening import open_image
from dask_quant.sources.pillow import read_header

if TYPE_CHECKING:
    from dask_quant.execute import Executor


def persist_image(image: Any, store: Path, executor: Executor, *, overwrite: bool) -> Path:
    """Return ``store``, which holds the pixels of ``image``, decoded now if need be. **Eager**.

    Parameters
    ----------
    image : str or Path
        An image file.
    store : Path
        Zarr store, uint8 ``(y, x, 3)`` in shards; made, or used again when it holds this image.
    executor : Executor
        Decodes and writes.
    overwrite : bool
        Whether a store of another image is replaced.

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
    digest = _digest_file(image)
    if store.exists():
        if read_store_source(store) == digest:
            executor.listener(Notice(f"Reusing {store}, which holds this image."))
            return store
        if not overwrite:
            message = (
                f"{str(store)!r} exists and holds something else than {str(image)!r}; use "
                "--overwrite to replace it, or choose another name."
            )
            raise OutputExistsError(message)
    _write_store(image, store, digest, executor, overwrite=overwrite)
    return store


def _write_store(
    image: str | Path, store: Path, digest: str, executor: Executor, *, overwrite: bool
) -> None:
    """Decode ``image`` into a new store."""
    header = read_header(image)
    shape = (header.height, header.width)
    store = store.absolute()  # workers may have another working folder
    temporary = start_image_store(store, shape, digest, overwrite=overwrite)
    pixels = open_image(image, chunks=image_shards(shape))
    fill_store(pixels, temporary, store, executor, overwrite=overwrite, stage="persist")


def _digest_file(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        message = f"Cannot read {str(path)!r}: {error.strerror}."
        raise SourceError(message) from error
