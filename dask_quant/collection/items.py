"""One image of a collection: what a task is told of it, and what the manifest says of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from typing import NamedTuple

from dask_quant.results import Quarantined

WRITTEN = "written"
"""Status of an image whose output is whole, under its name, and on disk."""

QUARANTINED = "quarantined"
"""Status of an image that was set aside."""

_ID_BYTES = 10
"""Bytes of what an image is known by: among a million, two are the same once in 10^12 jobs."""


class Item(NamedTuple):
    """One image of a collection."""

    position: int
    """Place in the collection, from 0."""
    id: str
    """What it is known by from run to run."""
    source: str
    """Where it is read, as the user named it."""
    out: str
    """Path of its output below OUT, with slashes."""
    frame: int = 0
    """Which frame of an animation."""
    modified: str | None = None
    """When it was changed last, as its store tells: nanoseconds, or an ETag."""
    group: str | None = None
    """Which palette it gets, where there are several; None: that of all."""
    checksum: int | None = None
    """Of its pixels when they were counted; None: they were not."""


@dataclass(frozen=True, kw_only=True)
class ImageRow:
    """What became of an image: a row of the manifest."""

    path: str
    """The input as the user named it, without secrets, in characters that can be printed."""
    frame: int = 0
    """Which frame of an animation."""
    output: str | None = None
    """Path of what was written, below OUT; None: nothing was."""
    group: str | None = None
    """Which palette it got, where there are several."""
    status: str = WRITTEN
    """``written`` or ``quarantined``."""
    error: str | None = None
    """Why it was set aside, in one line."""
    width: int | None = None
    """Pixels across, as shown."""
    height: int | None = None
    """Pixels down."""
    digest: str | None = None
    """SHA-256 of the input file, as ``sha256:...``; None for what is no file of this machine."""
    n_unique_colors: int | None = None
    """Distinct colours before."""
    n_colors: int | None = None
    """Distinct colours after."""
    mse: float | None = None
    """Squared sRGB error, summed over the channels, mean over the pixels."""
    input_bytes: int | None = None
    """Bytes of the input as stored."""
    output_bytes: int | None = None
    """Bytes of the output."""
    seconds: float | None = None
    """Wall seconds that it took, both times that it was read."""
    squared_error: float | None = None
    """Squared sRGB error over its pixels; a whole number if opaque."""
    inertia: float | None = None
    """Squared distances over its pixels, in units of the working space."""
    mean_color_error: float | None = None
    """Squared error over its pixels had all been painted their mean colour."""
    modified: str | None = None
    """When the input was changed last, as in `Item`."""
    finished: float | None = None
    """When it was done, in seconds since 1970, UTC."""
    n_iter: int | None = None
    """Lloyd iterations of a palette of its own."""
    label_counts: tuple[int, ...] | None = None
    """Pixels of each entry of a palette that it shares, where dithering chose the entries."""
    id: str = ""
    """What it is known by from run to run."""

    @property
    def quarantined(self) -> Quarantined:
        """What a report says of an image that was set aside."""
        return Quarantined(self.path, self.error or "")

    @property
    def n_pixels(self) -> int:
        """Pixels of the image; 0 where that is not known."""
        return (self.width or 0) * (self.height or 0)

    def to_line(self) -> bytes:
        """Return the row as a line of JSON, its line break included."""
        values = {name: getattr(self, name) for name in _NAMES}
        if self.label_counts is None:
            del values["label_counts"]
        return json.dumps(values).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> ImageRow | None:
        """Return the row that a line holds, None where it holds none: it is torn, or not ours.

        Keys that are not known are left out, so that a later version's rows can be read.
        """
        try:
            values = json.loads(line)
            known = {name: values[name] for name in _NAMES if name in values}
            if known.get("label_counts") is not None:
                known["label_counts"] = tuple(known["label_counts"])
            row = cls(**known)
        except (ValueError, TypeError, KeyError):
            return None
        return row if row.id and line.endswith(b"\n") else None


_NAMES = tuple(field.name for field in fields(ImageRow))


def make_id(identity: str, frame: int) -> str:
    """Return what an image is known by from run to run, which gives nothing of it away.

    ``identity`` is its absolute path, or its address without secrets.

    Examples
    --------
    >>> make_id("/photos/a.png", 0) == make_id("/photos/a.png", 1)
    False
    """
    data = identity.encode("utf-8", "surrogateescape") + f"\0{frame}".encode()
    return hashlib.blake2b(data, digest_size=_ID_BYTES).hexdigest()


def show_text(text: str) -> str:
    r"""Return a path in characters that every reader of the manifest takes.

    Examples
    --------
    >>> show_text("caf\udce9.png"), show_text("a b.png")
    ('caf\\udce9.png', 'a b.png')
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
