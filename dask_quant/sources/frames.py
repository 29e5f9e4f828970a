"""Pictures of one file that are shown one after another: frames of GIF, PNG, WebP and AVIF."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from dask_quant.errors import DaskQuantError
from dask_quant.sources.discover import STDIN, Discovery, Input, is_zarr_store
from dask_quant.sources.image_file import count_frames

if TYPE_CHECKING:
    from collections.abc import Iterator


def expand_frames(found: Discovery) -> Discovery:
    """Return what was found with an input for every frame of every file. **Eager**.

    The place of frame 7 of ``a/b.gif`` below OUT is ``a/b-007.gif``, with as many digits as the
    last frame needs, three at least. A file of one frame keeps its place, and so does one that
    cannot be read.
    """
    inputs = tuple(frame for entry in found.inputs for frame in _expand(entry))
    return replace(found, inputs=inputs)


def _expand(entry: Input) -> Iterator[Input]:
    """Yield an input for every frame of one."""
    for frame, place in name_frames(entry.path, str(entry.relative)):
        yield replace(entry, relative=PurePosixPath(place), frame=frame)


def name_frames(path: str, place: str) -> Iterator[tuple[int, str]]:
    """Yield every frame of a file, and its place, from that of the file. **Eager**."""
    n_frames = _count(path)
    if n_frames == 1:
        yield 0, place
        return
    digits = max(3, len(str(n_frames - 1)))
    plain = PurePosixPath(place)
    for frame in range(n_frames):
        yield frame, str(plain.with_name(f"{plain.stem}-{frame:0{digits}d}{plain.suffix}"))


def _count(path: str) -> int:
    """Return the frames of a file; 1 where that cannot be told."""
    if path == STDIN or is_zarr_store(path):
        return 1
    try:
        return count_frames(path)
    except DaskQuantError:
        return 1
