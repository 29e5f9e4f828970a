"""When an image file is read in strips."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.chunking import plan_collection
from dask_quant.routes.common import SMALL_PIXELS

if TYPE_CHECKING:
    from dask_quant.sources.header import ImageHeader

STREAMED_FORMATS = frozenset({"PNG", "JPEG"})
"""Formats, as Pillow names them, that can only be decoded from the top."""


def needs_strips(header: ImageHeader, limit_bytes: int | None) -> bool:
    """Return whether an image file is too large to be decoded as a whole, and may be in strips.

    Parameters
    ----------
    header : ImageHeader
        Of the file.
    limit_bytes : int or None
        Memory that the job may take; None: any.
    """
    if header.format not in STREAMED_FORMATS:
        return False
    if header.n_pixels > SMALL_PIXELS:
        return True
    if limit_bytes is None:
        return False
    return plan_collection(header.n_pixels, codec_bytes=header.codec_bytes) > limit_bytes
