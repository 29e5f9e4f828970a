"""ICC profiles: what they say about themselves, and those of curves and a matrix in numbers.

Cameras, telephones and editors describe RGB by three curves and the colours of three primaries,
and grey by one curve. That is read here, without any library; profiles of tables, such as those of
inks and printers, are left to littlecms (`dask_quant.sources.littlecms`).

References
----------
ICC.1:2022, "Image technology colour management: Architecture, profile format and data structure",
https://www.color.org: header, tags, curveType, parametricCurveType, multiLocalizedUnicodeType.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.sources.header import show_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_HEADER_BYTES = 128
_MAX_TAGS = 1000
"""More tags than this are taken for damage (arbitrary; profiles have some ten)."""

_LEVELS = np.arange(256) / 255.0

_SPACES = {b"RGB ": "RGB", b"GRAY": "GRAY", b"CMYK": "CMYK"}

_N_PARAMETERS = (1, 3, 4, 5, 7)
"""Numbers that each kind of parametric curve has."""


class DamagedProfileError(ValueError):
    """A profile that cannot be read; never leaves this package."""


@dataclass(frozen=True)
class IccProfile:
    """A profile whose header and list of tags were read."""

    data: bytes
    """The profile."""
    space: str
    """``RGB``, ``GRAY``, ``CMYK``, or the four letters of another space."""
    connection: str
    """``XYZ`` or ``Lab``: what its colours are given in."""
    tags: dict[bytes, bytes]
    """Data of each tag by its four letters."""

    @property
    def has_tables(self) -> bool:
        """Whether it holds tables, which count for more than its curves and matrix."""
        return any(name in self.tags for name in (b"A2B0", b"A2B1", b"A2B2", b"D2B0", b"D2B1"))


def parse_profile(data: bytes) -> IccProfile:
    """Read the header and the tags of a profile.

    Raises
    ------
    DamagedProfileError
        When it is none, or its tags reach beyond its end.
    """
    if len(data) < _HEADER_BYTES + 4 or data[36:40] != b"acsp":
        message = "it is no ICC profile"
        raise DamagedProfileError(message)
    (n_tags,) = struct.unpack_from(">I", data, _HEADER_BYTES)
    if n_tags > _MAX_TAGS or _HEADER_BYTES + 4 + 12 * n_tags > len(data):
        message = f"it claims {n_tags} tags"
        raise DamagedProfileError(message)
    tags = {}
    for number in range(n_tags):
        name, start, size = struct.unpack_from(">4sII", data, _HEADER_BYTES + 4 + 12 * number)
        if start + size > len(data):
            message = "it is cut off"
            raise DamagedProfileError(message)
        tags[name] = data[start : start + size]
    space, connection = data[16:20], data[20:24]
    return IccProfile(
        data,
        _SPACES.get(space, space.decode("latin-1").strip()),
        connection.decode("latin-1").strip(),
        tags,
    )


def read_description(profile: IccProfile) -> str:
    """Return the name that a profile gives itself, in one line; empty where it has none."""
    tag = profile.tags.get(b"desc", b"")
    try:
        if tag[:4] == b"mluc":
            size, start = struct.unpack_from(">II", tag, 20)
            text = tag[start : start + size].decode("utf-16-be", "replace")
        else:
            (size,) = struct.unpack_from(">I", tag, 8)
            text = tag[12 : 12 + size].decode("latin-1")
    except struct.error:
        return ""
    return " ".join(text.partition("\0")[0].split())


def describe_profile(profile: bytes | None) -> str | None:
    """Return what an embedded profile calls itself; empty where it does not say, None for none."""
    if not profile:
        return None
    try:
        return show_path(read_description(parse_profile(profile)))
    except DamagedProfileError:
        return ""


def read_curve(profile: IccProfile, name: bytes) -> Floats:
    """Return the light that each of 256 levels stands for, float64 ``(256,)``, 0 to 1.

    Raises
    ------
    DamagedProfileError
        When there is no such curve, or it cannot be read.
    """
    tag = profile.tags.get(name, b"")
    try:
        if tag[:4] == b"curv":
            curve = _read_sampled_curve(tag)
        elif tag[:4] == b"para":
            curve = _read_parametric_curve(tag)
        else:
            message = f"its curve {name.decode('latin-1')} is missing"
            raise DamagedProfileError(message)
    except struct.error:
        message = f"its curve {name.decode('latin-1')} is cut off"
        raise DamagedProfileError(message) from None
    if not np.isfinite(curve).all():
        message = f"its curve {name.decode('latin-1')} is not finite"
        raise DamagedProfileError(message)
    return np.clip(curve, 0.0, 1.0)


def _read_sampled_curve(tag: bytes) -> Floats:
    """Return a curve that is given by its values, or by an exponent."""
    (n_values,) = struct.unpack_from(">I", tag, 8)
    if n_values == 0:
        return _LEVELS
    if n_values == 1:
        (exponent,) = struct.unpack_from(">H", tag, 12)
        return np.asarray(_LEVELS ** (exponent / 256.0))
    if 12 + 2 * n_values > len(tag):
        message = "a curve is cut off"
        raise DamagedProfileError(message)
    values = np.frombuffer(tag, dtype=">u2", count=n_values, offset=12) / 65535.0
    return np.asarray(np.interp(_LEVELS, np.linspace(0.0, 1.0, n_values), values))


def _read_parametric_curve(tag: bytes) -> Floats:
    """Return a curve that is given as a power function with a straight line below."""
    (kind,) = struct.unpack_from(">H", tag, 8)
    if kind >= len(_N_PARAMETERS):
        message = f"it has a curve of the unknown kind {kind}"
        raise DamagedProfileError(message)
    stored = struct.unpack_from(f">{_N_PARAMETERS[kind]}i", tag, 12)
    g, a, b, c, d, e, f = ([value / 65536.0 for value in stored] + [0.0] * 7)[:7]
    if kind == 0:
        a, b, c, d = 1.0, 0.0, 0.0, 0.0
    elif kind in (1, 2):  # a constant, c or 0, below -b / a
        d, e, f, c = (-b / a if a else 0.0), c, c, 0.0
    with np.errstate(all="ignore"):
        above = np.power(np.maximum(a * _LEVELS + b, 0.0), g) + e
    return np.asarray(np.where(d <= _LEVELS, above, c * _LEVELS + f))


def read_matrix(profile: IccProfile) -> Floats:
    """Return XYZ of light of the three primaries, in columns, float64 ``(3, 3)``, white D50.

    Raises
    ------
    DamagedProfileError
        When a primary is missing, or they do not span a space.
    """
    columns = []
    for name in (b"rXYZ", b"gXYZ", b"bXYZ"):
        tag = profile.tags.get(name, b"")
        if tag[:4] != b"XYZ " or len(tag) < 20:
            message = f"its primary {name.decode('latin-1')} is missing"
            raise DamagedProfileError(message)
        columns.append(np.array(struct.unpack_from(">3i", tag, 8)) / 65536.0)
    matrix = np.column_stack(columns)
    if abs(float(np.linalg.det(matrix))) < 1e-6:
        message = "its primaries do not span a space"
        raise DamagedProfileError(message)
    return matrix
