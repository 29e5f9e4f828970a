"""What is refused of an outline: its name, and where there is nothing to draw it of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask_quant.errors import OptionError, OutputError
from dask_quant.options import as_path

if TYPE_CHECKING:
    from collections.abc import Sequence

OUTLINE_SUFFIXES = (".png", ".zarr")
"""Suffixes of the pictures of borders of an image."""


def check_outline_name(
    outline: Path, others: Sequence[Path | None], suffixes: Sequence[str] = OUTLINE_SUFFIXES
) -> None:
    """Raise unless an outline ends as it must, and is none of the other files of the job.

    Neither may one lie within the other: a store is a folder.
    """
    if outline.suffix.lower() not in suffixes:
        known = f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"
        message = f"Got {str(outline)!r} for --outline; its name must end in {known}."
        raise OptionError(message)
    place = Path(os.path.realpath(outline))
    for other in others:
        if other is None:
            continue
        theirs = Path(os.path.realpath(other))
        if place.is_relative_to(theirs) or theirs.is_relative_to(place):
            message = (
                f"Got {str(outline)!r} for --outline, which would take the place of "
                f"{str(other)!r}; name another file."
            )
            raise OptionError(message)


def as_outline(outline: Any, dither: str = "none") -> Path | None:
    """Return where a user wants the borders of labels drawn, or raise `OptionError`."""
    if outline is not None and dither != "none":
        message = (
            f"Got --outline with --dither {dither}, whose dots all have borders; leave one of them "
            "out."
        )
        raise OptionError(message)
    return None if outline is None else as_path(outline, "outline")


def check_outlined(outline: Path | None, out: Path) -> None:
    """Raise `OutputError` when labels in parts go to a file that cannot be read back in parts."""
    if outline is not None and out.suffix.lower() not in OUTLINE_SUFFIXES:
        message = (
            f"Got --outline with the output {str(out)!r} of a large image, which is not read back "
            f"in parts; write {' or '.join(OUTLINE_SUFFIXES)}."
        )
        raise OutputError(message)


def refuse_outline(out: Path, n_images: int = 1) -> None:
    """Raise `OutputError`: there is not the one file of labels that an outline is drawn of."""
    what = f"{n_images} images" if n_images > 1 else f"the folder {str(out)!r}"
    message = (
        f"Got --outline for {what}; it is drawn of one image: give one, and a file of its own "
        "as the output."
    )
    raise OutputError(message)
