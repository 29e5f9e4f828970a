"""Zarr stores by their addresses, asked again where a server breaks off.

A key that a server does not have is no error in Zarr: its chunk is all fill value. Whatever else
goes wrong must not be taken for that, nor end a job at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from zarr.storage import FsspecStore

from dask_quant.errors import SourceError
from dask_quant.sources.file_systems import find_options, name_package
from dask_quant.sources.header import show_cause, show_path
from dask_quant.sources.remote_glimpse import ATTEMPTS, FIRST_WAIT_S

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype


class PatientStore(FsspecStore):  # type: ignore[misc]
    """A store that fsspec reads, for reading alone."""

    def __str__(self) -> str:
        return "a Zarr store by its address"  # zarr shows stores in warnings, passwords and all

    __repr__ = __str__

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return what is stored under a key, or None; raise `SourceError` where nobody knows."""
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(FIRST_WAIT_S * 2 ** (attempt - 1))
            try:
                return await super().get(key, prototype, byte_range)
            except Exception as error:  # libraries of stores raise types of their own
                reason = show_cause(error)
        message = (
            f"Cannot read {key} of a Zarr store: {reason}, also when asked {ATTEMPTS} times; try "
            "again later."
        )
        raise SourceError(message)


def open_store(url: str) -> PatientStore:
    """Return the store at an address.

    Raises
    ------
    SourceError
        When the scheme is not known, or a package that it needs is missing.
    """
    try:
        store: PatientStore = PatientStore.from_url(
            url, storage_options=find_options(url), read_only=True
        )
    except ImportError as error:
        raise SourceError(name_package(url, error)) from None
    except ValueError:
        message = f"Got the address {show_path(url)}, of which fsspec knows no scheme."
        raise SourceError(message) from None
    return store
