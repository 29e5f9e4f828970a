"""Addresses, ``scheme://...``: what is one, and what messages and outputs call it.

Names, passwords and queries, which are often signatures, are for the server alone.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TypeGuard
from urllib.parse import unquote

from dask_quant.options import URL_SCHEME
from dask_quant.sources.held import show_held

WEB_SCHEMES = ("http", "https")
"""Schemes of single files: nothing lists what lies beside them."""

_MAGIC = re.compile(r"[*\[]|\?(?!.*=)")
"""What makes an address a pattern; ``?name=value`` is a query."""


def is_url(source: object) -> TypeGuard[str]:
    """Return whether a source is written as an address, ``scheme://...``.

    Examples
    --------
    >>> is_url("s3://bucket/a.png"), is_url("photos/a.png")
    (True, False)
    """
    return isinstance(source, str) and re.match(URL_SCHEME, source) is not None


def is_web(url: str) -> bool:
    """Return whether an address is of HTTP.

    Examples
    --------
    >>> is_web("HTTPS://host/a.png"), is_web("s3://bucket/a.png")
    (True, False)
    """
    return url.partition("://")[0].lower() in WEB_SCHEMES


def is_pattern(url: str) -> bool:
    """Return whether an address has wildcards.

    Examples
    --------
    >>> is_pattern("s3://bucket/a?.png"), is_pattern("s3://bucket/a.png?versionId=1")
    (True, False)
    """
    return _MAGIC.search(url) is not None


def hide_secrets(text: str) -> str:
    """Return a text with names, passwords and queries left out of the addresses in it.

    Images that lie in another file are named as users write them.

    Examples
    --------
    >>> hide_secrets("cannot read https://me:pass@host/a.tif?key=1: gone")
    'cannot read https://***@host/a.tif?*** gone'
    """
    if "://" in text:
        text = re.sub(rf"({URL_SCHEME})[^/?#\s\0]*@", r"\1***@", text)
        text = re.sub(rf"({URL_SCHEME}[^?#\s\0]*)[?#][^\s\0]*", r"\1?***", text)
    return show_held(text)


def is_store_url(source: object) -> bool:
    """Return whether a source is the address of a Zarr store, or of what is inside of one.

    Its name tells; nothing is asked for.

    Examples
    --------
    >>> is_store_url("s3://bucket/a.ome.zarr/0"), is_store_url("s3://bucket/a.tif")
    (True, False)
    """
    if not is_url(source) or "\0" in source:  # an image in another file
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
    host, parts = _split_parts(url)
    folder = PurePosixPath("/", host, *parts[:-1])
    return str(folder), parts[-1] if parts else host.partition(":")[0] or "file"


def split_folder_url(url: str) -> str:
    """Return a folder in a store as an absolute path that begins with the host, or bucket.

    Examples
    --------
    >>> split_folder_url("s3://me@bucket/a/b/"), split_folder_url("memory://")
    ('/bucket/a/b', '/')
    """
    host, parts = _split_parts(url)
    return str(PurePosixPath("/", host, *parts))


def _split_parts(url: str) -> tuple[str, list[str]]:
    """Return the host of an address, and the parts of the path there."""
    place = re.split(r"[?#]", url.partition("://")[2])[0]
    host, _, path = place.partition("/")
    parts = [part for part in PurePosixPath(unquote(path)).parts if part not in ("/", "..")]
    return host.rpartition("@")[2], parts


def join_url(url: str, below: str) -> str:
    """Return the address of what lies below a folder.

    Examples
    --------
    >>> join_url("s3://bucket/", "a/b.png"), join_url("memory://", "b.png")
    ('s3://bucket/a/b.png', 'memory:///b.png')
    """
    scheme, _, place = url.partition("://")
    return f"{scheme}://{place.rstrip('/')}/{below}"


def hide_login(text: str, url: str) -> str:
    """Return a text of a library without the name and the password in an address.

    Examples
    --------
    >>> hide_login("no bucket me:pass@b", "s3://me:pass@b/a.png")
    'no bucket ***@b'
    """
    login = url.partition("://")[2].partition("/")[0].rpartition("@")[0]
    for secret in (login, unquote(login), login.partition(":")[2]):
        if secret:
            text = text.replace(secret, "***")
    return text
