"""GDAL's process-wide state, borrowed while rasters are read or written, on any number of threads.

rasterio, which brings GDAL along, is optional and slow to import: functions import it when called.
"""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dask_quant.sources.header import show_cause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_quant.errors import DaskQuantError

CACHE_BYTES = 64 * 2**20
"""Most bytes of decoded blocks that GDAL keeps, for all threads together: 8 tiles of 512 x 512
pixels with eight float32 bands (arbitrary). GDAL's default is 5 % of the machine's memory."""

_CACHE = "GDAL_CACHEMAX"
_MODULE = r"rasterio(\.|$)"
_lock = threading.Lock()
_n_borrowers = 0
_saved_bytes: int | None = None


def check_rasterio(error: type[DaskQuantError], refusal: str) -> None:
    """Raise ``error`` unless rasterio can be imported; the message begins with ``refusal``."""
    try:
        import rasterio  # noqa: F401
    except ImportError as cause:
        message = f'{refusal}: rasterio is missing; install it with pip install "dask-quant[geo]".'
        raise error(message) from cause


@contextmanager
def borrow_gdal(**options: str) -> Iterator[None]:
    """Limit GDAL's block cache, its threads and its look at folders inside the block.

    The cache is one for the process. ``rasterio.Env(GDAL_CACHEMAX=...)`` can put the default back
    for all when one thread leaves, and keep the limit for good when the last one does. Here the
    first borrower sets the limit and the last one restores what was. So it is with the warning
    that a raster is not georeferenced, which is no fault of it.

    Parameters
    ----------
    **options : str
        More of GDAL's configuration options, for this thread alone.
    """
    import rasterio
    from rasterio.session import DummySession

    _enter()
    try:
        with rasterio.Env(
            DummySession(),
            GDAL_NUM_THREADS="1",
            # Looks for the side files that a format may have by name; EMPTY_DIR would ignore them.
            GDAL_DISABLE_READDIR_ON_OPEN="TRUE",
            **options,
        ):
            yield
    finally:
        _leave()


def show_gdal_cause(error: BaseException) -> str:
    """Return what the first of a chain of errors says: rasterio's own is that it failed."""
    while error.__cause__ is not None:
        error = error.__cause__
    return show_cause(error)


def _enter() -> None:
    """Count one more borrower; the first one sets the state."""
    global _n_borrowers, _saved_bytes
    from rasterio.env import get_gdal_config, set_gdal_config
    from rasterio.errors import NotGeoreferencedWarning

    with _lock:
        if _n_borrowers == 0:
            _saved_bytes = get_gdal_config(_CACHE)
            set_gdal_config(_CACHE, CACHE_BYTES)
        # Moves to the front, is never doubled.
        warnings.filterwarnings("ignore", category=NotGeoreferencedWarning, module=_MODULE)
        _n_borrowers += 1


def _leave() -> None:
    """Count one borrower less; the last one puts the state back, unless someone else changed it."""
    global _n_borrowers
    from rasterio.env import get_gdal_config, set_gdal_config

    with _lock:
        _n_borrowers -= 1
        if _n_borrowers:
            return
        if get_gdal_config(_CACHE) == CACHE_BYTES:
            set_gdal_config(_CACHE, _saved_bytes)
        warnings.filters = [entry for entry in warnings.filters if not _is_ours(entry)]


def _is_ours(entry: tuple[object, ...]) -> bool:
    """Return whether a warning filter is the one that `_enter` sets."""
    return entry[0] == "ignore" and getattr(entry[3], "pattern", entry[3]) == _MODULE
