"""Addresses, ``scheme://...``: what is one, and what messages and outputs call it.

Names, passwords and queries, which are often signatures, are for the server alone.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TypeGuard
from urllib.parse import unquote

from dask_quant.options import URL_SCHEME


def is_url(source: object) -> TypeGuard[str]:
    """Return whether a source is written as an address, ``scheme://...``.

    Examples
    --------
    >>> is_url("s3://bucket/a.png"), is_url("photos/a.png")
    (True, False)
    """
    return isinstance(source, str) and re.match(URL_SCHEME, source) is not None


def hide_secrets(text: str) -> str:
    """Return a text with names, passwords and queries left out of the addresses in it.

    Examples
    --------
    >>> hide_secrets("cannot read https://me:pass@host/a.tif?key=1: gone")
    'cannot read https://***@host/a.tif?*** gone'
    """
    if "://" not in text:
        return text
    text = re.sub(rf"({URL_SCHEME})[^/?#\s]*@", r"\1***@", text)
    return re.sub(rf"({URL_SCHEME}[^?#\s]*)[?#]\S*", r"\1?***", text)


def is_store_url(source: object) -> bool:
    """Return whether a source is the address of a Zarr store, or of what is inside of one.

    Its name tells; nothing is asked for.

    Examples
    --------
    >>> is_store_url("s3://bucket/a.ome.zarr/0"), is_store_url("s3://bucket/a.tif")
    (True, False)
    """
    if not is_url(source):
        return False
    folder, name = split_url(source)
    return any(part.lower().endswith(".zarr") for part in (*PurePosixPath(folder).parts, name))


def split_url(url: str) -> tuple[str, str]:
    """Return the folder, as an absolute path that begins with the host, and the name of a file.

    Examples
    --------
    >>> split_url("https://me@host/a%20b/scan.tif?key=1")
    ('/host/a b', 'scan.tif')
    >>> split_url("s3://bucket/..")
    ('/bucket', 'bucket')
    """
    place = re.split(r"[?#]", url.partition("://")[2])[0]
    host, _, path = place.partition("/")
    host = host.rpartition("@")[2]
    parts = [part for part in PurePosixPath(unquote(path)).parts if part not in ("/", "..")]
    folder = PurePosixPath("/", host, *parts[:-1])
    return str(folder), parts[-1] if parts else host.partition(":")[0] or "file"
