"""What became of an image of a collection: a row of its manifest, a line of JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from dask_quant.results import Quarantined, psnr_db

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WRITTEN = "written"
"""Status of an image whose output is whole, under its name, and on disk."""

QUARANTINED = "quarantined"
"""Status of an image that was set aside."""


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
    meets_target: bool | None = None
    """Whether its error, before it is dithered, is within the target for each image of a job that
    has one; None: there is none."""
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

    @property
    def psnr_db(self) -> float | None:
        """Peak signal-to-noise ratio in dB; None when it is exact, or nothing is known."""
        return psnr_db(self.mse) if self.mse else None

    def to_line(self) -> bytes:
        """Return the row as a line of JSON, its line break included."""
        values = {name: getattr(self, name) for name in _NAMES}
        for name in _OPTIONAL:
            if values[name] is None:
                del values[name]
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
        is_named = isinstance(row.path, str) and isinstance(row.id, str) and row.id
        return row if is_named and line.endswith(b"\n") else None


_NAMES = tuple(field.name for field in fields(ImageRow))

_OPTIONAL = ("label_counts", "meets_target")
"""Names that are left out where there is nothing to say."""


def parse_rows(file: Iterable[bytes]) -> Iterator[ImageRow]:
    r"""Yield the rows that lines hold; what a killed process left torn is passed over. **Lazy**.

    Examples
    --------
    >>> lines = [b'{"path": "a.png", "id": "5f", "mse": 3.0}\n', b'{"path": "b.p']
    >>> [(row.path, row.mse, row.error) for row in parse_rows(lines)]
    [('a.png', 3.0, None)]
    """
    for line in file:
        row = ImageRow.from_line(line)
        if row is not None:
            yield row
