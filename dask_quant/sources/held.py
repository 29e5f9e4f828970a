"""Images that lie in another file, such as a shard: what they are called, and where they are.

Such an image is told from a file by null characters in its path, which no file's has: the file, the
place in it, and the name there, as the user would write them with ``::`` in between. So it goes
wherever paths go, and whoever reads it needs to look for nothing.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SEPARATOR = "::"
"""What users write between a file and the name of an image in it; a file that is really called so
comes first."""

TAR, PARQUET, DAMAGE = "tar", "parquet", "damage"
"""What an image lies in; of a file that is damaged, the rest of it is one image that cannot be
read."""

_PLACE = re.compile("\0[^\0]*\0")
_PARTS = re.compile("([^\0]*)\0([a-z]+):([0-9]+):(-?[0-9]+):([^\0]*)\0(.*)", re.DOTALL)


class Held(NamedTuple):
    """An image in a file."""

    file: str
    """Path or address of the file."""
    kind: str
    """`TAR`, `PARQUET` or `DAMAGE`."""
    start: int
    """First byte in a tar file; in Parquet, the row, from 0."""
    size: int
    """Bytes in a tar file; in Parquet -1, since they are not known before they are read."""
    version: str
    """What changes with the file, as in `dask_quant.sources.found.Found`; empty: not known."""
    name: str
    """What it is called there; of damage, what is wrong."""

    def to_path(self) -> str:
        """Return it as a path, which `parse_held` takes apart again."""
        return f"{self.file}\0{self.kind}:{self.start}:{self.size}:{self.version}\0{self.name}"


def parse_held(path: object) -> Held | None:
    r"""Return the image that a path is of, None where it is that of a file.

    Examples
    --------
    >>> held = Held("a.tar", TAR, 512, 9, "7", "x/1.jpg")
    >>> parse_held(held.to_path()) == held, parse_held("a.tar")
    (True, None)
    """
    if not isinstance(path, str) or "\0" not in path:
        return None
    parts = _PARTS.fullmatch(path)
    if parts is None:
        return None
    file, kind, start, size, version, name = parts.groups()
    return Held(file, kind, int(start), int(size), version, name)


def show_held(text: str) -> str:
    r"""Return a text with the paths of such images in it as users write them.

    Examples
    --------
    >>> show_held("cannot read " + Held("a.tar", TAR, 512, 9, "7", "x/1.jpg").to_path())
    'cannot read a.tar::x/1.jpg'
    """
    return _PLACE.sub(SEPARATOR, text) if "\0" in text else text


def is_held(path: object) -> bool:
    """Return whether a path is of an image in another file."""
    return parse_held(path) is not None
