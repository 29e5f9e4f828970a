"""Inputs: from what a user names (files, folders, globs, stores, lists) to one path per image.

All of them at once, with their places below OUT (see `dask_quant.sources.places`): for what is no
longer than a command line or a screen. `find_images` yields one after another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dask_quant.sources.found import STDIN, Found, is_zarr_store
from dask_quant.sources.listing import find_images
from dask_quant.sources.output_names import plan_output_names
from dask_quant.sources.places import place_all

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path, PurePosixPath

__all__ = [
    "STDIN",
    "Discovery",
    "Input",
    "discover",
    "find_images",
    "is_zarr_store",
    "plan_output_names",
]


@dataclass(frozen=True)
class Input:
    """One image to read."""

    path: str
    """Where it is, as in `dask_quant.sources.found.Found`."""
    relative: PurePosixPath
    """Its place below OUT, with the input's own suffix."""
    frame: int = 0
    """Which frame of an animation."""


@dataclass(frozen=True)
class Discovery:
    """What the sources hold."""

    inputs: tuple[Input, ...]
    """Images, in the order of the sources; inside a folder by name."""
    n_ignored: int
    """What was found in folders and by globs and is no image: other files, hidden entries."""


def discover(sources: Sequence[str | Path], *, exclude: str | Path | None = None) -> Discovery:
    """Find the images that the sources name.

    **Eager.** Folders are listed, and files without an image suffix are looked into, but objects
    in a store are not.

    Parameters
    ----------
    sources : sequence of str or Path
        Each a file, a folder (recursive; hidden entries and links to folders are left out), a
        glob (``**`` is any depth), a Zarr store, the address of a file (``https://...``,
        ``s3://...``) or of a folder in an object store (with a slash at its end, or known to the
        store as one), a pattern of such addresses, ``-`` for standard input, or ``@list.txt``, a
        file with one path or address per line, none of them a pattern. A tar or Parquet file that
        is named or matched is all images in it, ``s.tar::a/1.jpg`` one of them. What exists under
        its literal name is that, whatever characters are in it; a `Path` is never anything else.
    exclude : Path or str, optional
        Where outputs go: a folder, file or store, or an address, that folders and globs contribute
        nothing of, and that counts as one ignored entry where they hold it. It need not exist.

    Returns
    -------
    Discovery
        Folders and globs contribute what has an image suffix, whatever is in it, or an image
        signature, and Zarr stores; in object stores names alone tell. A name given explicitly is
        always an input.

    Raises
    ------
    SourceNotFoundError
        When a source does not exist, or holds no image.
    SourceError
        When a source cannot be listed.
    """
    found: dict[str, Found] = {}
    ignored: set[str] = set()
    for item in find_images(sources, exclude=exclude, on_ignored=ignored.add):
        found.setdefault(item.identity, item)
    places = place_all(list(found.values()))
    inputs = tuple(
        Input(item.path, place) for item, place in zip(found.values(), places, strict=True)
    )
    return Discovery(inputs, n_ignored=len(ignored - found.keys()))
