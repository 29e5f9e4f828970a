"""The head of a cloud-optimized label TIFF: all that comes before its tiles.

Every level of the pyramid has a directory of tags; all of them come first, the full resolution
before the smaller ones, and their tiles follow, the smallest level first. A reader that fetches the
first bytes over a network then knows where everything is.

References
----------
Adobe, "TIFF Revision 6.0", 1992. Aldus's BigTIFF proposal as in libtiff, "BigTIFF Design", 2007.
OGC 21-026, "OGC Cloud Optimized GeoTIFF Standard", 2023. GDAL, "COG -- Cloud Optimized GeoTIFF
generator", section on the header ghost area.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from dask_quant.sinks.tiff_layout import TiffLayout
    from dask_quant.sources.density import Density
    from dask_quant.sources.geotiff_tags import GeoTags

LEADER_BYTES = TRAILER_BYTES = 4
"""Bytes before a tile, its length, and after it, its last ones again, by which GDAL finds that the
file was not altered after it was laid out, and reads a tile without looking up its length."""

_GHOST = (
    "LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\n"
    "BLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n "
)
"""What GDAL looks for after the header, the blank included, to be replaced by a longer YES."""

ASCII, SHORT, LONG, RATIONAL, DOUBLE, LONG8 = 2, 3, 4, 5, 12, 16
"""Types of values: text, integers of 16 and 32 bits, two of 32, floats, integers of 64."""

_NODATA = 42113
"""Tag of GDAL: value of pixels without any, as text."""

_CODES = {SHORT: "<u2", LONG: "<u4", RATIONAL: "<u4", DOUBLE: "<f8", LONG8: "<u8"}
_REDUCED = 1
_DEFLATE = 8
_PALETTE = 3
_CONTIGUOUS = 1
_UNSIGNED = 1

_CENTIMETRE, _PER_METRE = 3, 100
"""The unit that densities are stated in."""

_FULL_SCALE = 257
"""What 8-bit levels are multiplied with for a colour table of 16 bits."""


@dataclass(frozen=True)
class _Tag:
    """A tag with its values, as they are in the file."""

    number: int
    """Which tag."""
    kind: int
    """Type of its values."""
    count: int
    """How many values."""
    data: bytes
    """The values, little-endian."""


@dataclass(frozen=True)
class _Flavor:
    """How classic TIFF and BigTIFF differ."""

    header: bytes
    """First bytes of the file, up to the place of the first directory."""
    place: struct.Struct
    """Format of a place in the file; a tag's values are put into its bytes if they fit."""
    count: struct.Struct
    """Format of the number of tags."""
    kind: int
    """Type of values that are places."""

    @property
    def tag_bytes(self) -> int:
        """Bytes of a tag: number, type, count, and values or their place."""
        return 4 + 2 * self.place.size


_CLASSIC = _Flavor(b"II*\0", struct.Struct("<I"), struct.Struct("<H"), LONG)
_BIG = _Flavor(b"II+\0\x08\0\0\0", struct.Struct("<Q"), struct.Struct("<Q"), LONG8)


def write_head(
    layout: TiffLayout,
    colors: NDArray[np.uint8],
    tile_bytes: Sequence[NDArray[np.integer]],
    geo_tags: GeoTags | None = None,
    density: Density | None = None,
    nodata: int | None = None,
) -> bytes:
    """Return all bytes of a file that come before its tiles.

    Parameters
    ----------
    layout : TiffLayout
        How the image is cut.
    colors : ndarray
        sRGB uint8 ``(n, 3)``, or RGBA, at most as many as labels have values.
    tile_bytes : sequence of ndarray
        Bytes of the tiles, deflated, of each level from the full resolution on: ``(rows, columns)``
        of tiles.
    geo_tags : GeoTags, optional
        Where the full resolution lies.
    density : tuple of int, optional
        Pixels to the metre, across and down, of the full resolution.
    nodata : int, optional
        Label of pixels that are not seen, as GDAL marks them.

    Notes
    -----
    Tiles follow from the smallest level to the largest, row by row, each after `LEADER_BYTES`,
    which hold its length, and before `TRAILER_BYTES`, a copy of its last ones.
    """
    flavor = _BIG if layout.is_big else _CLASSIC
    own = [] if geo_tags is None else _list_geo_tags(geo_tags)
    own += [] if density is None else _list_density_tags(density)
    shared = [] if nodata is None else [_make_tag(_NODATA, ASCII, str(nodata))]
    head_bytes = len(_join_head(flavor, layout, colors, tile_bytes, shared, own, start=0))
    return _join_head(flavor, layout, colors, tile_bytes, shared, own, start=head_bytes)


def _join_head(
    flavor: _Flavor,
    layout: TiffLayout,
    colors: NDArray[np.uint8],
    tile_bytes: Sequence[NDArray[np.integer]],
    shared: list[_Tag],
    own: list[_Tag],
    *,
    start: int,
) -> bytes:
    """Return the head of a file whose tiles begin at ``start``.

    All levels have the tags ``shared``, the first one those of ``own``, too.
    """
    ghost = f"GDAL_STRUCTURAL_METADATA_SIZE={len(_GHOST):06d} bytes\n{_GHOST}".encode()
    ghost += b"\0" * (len(ghost) % 2)
    first = len(flavor.header) + flavor.place.size + len(ghost)
    head = flavor.header + flavor.place.pack(first) + ghost
    places = _place_tiles(tile_bytes, start)
    for level, counts in enumerate(tile_bytes):
        tags = _list_tags(flavor, layout, level, colors, places[level], counts)
        tags += shared if level else shared + own
        is_last = level == len(tile_bytes) - 1
        tags.sort(key=lambda tag: tag.number)
        head += b"".join(_write_directory(flavor, tags, len(head), is_last=is_last))
    return head


def _place_tiles(
    tile_bytes: Sequence[NDArray[np.integer]], start: int
) -> list[NDArray[np.integer]]:
    """Return where the tiles of each level begin."""
    places = []
    for counts in reversed(tile_bytes):
        steps = counts.astype(np.int64).ravel() + LEADER_BYTES + TRAILER_BYTES
        ends = start + np.cumsum(steps)
        places.append(ends - steps + LEADER_BYTES)
        start = int(ends[-1])
    return places[::-1]


def _list_tags(
    flavor: _Flavor,
    layout: TiffLayout,
    level: int,
    colors: NDArray[np.uint8],
    places: NDArray[np.integer],
    counts: NDArray[np.integer],
) -> list[_Tag]:
    """Return the tags of a level."""
    height, width = layout.level_shape(level)
    table = np.zeros((3, layout.n_values), dtype=np.uint16)
    table[:, : len(colors)] = colors[:, :3].T * np.uint16(_FULL_SCALE)
    return [
        _make_tag(254, LONG, _REDUCED if level else 0),
        _make_tag(256, LONG, width),
        _make_tag(257, LONG, height),
        _make_tag(258, SHORT, 8 * layout.dtype.itemsize),
        _make_tag(259, SHORT, _DEFLATE),
        _make_tag(262, SHORT, _PALETTE),
        _make_tag(277, SHORT, 1),
        _make_tag(284, SHORT, _CONTIGUOUS),
        _make_tag(320, SHORT, table),
        _make_tag(322, LONG, layout.tile[1]),
        _make_tag(323, LONG, layout.tile[0]),
        _make_tag(324, flavor.kind, places),
        _make_tag(325, LONG, counts),
        _make_tag(339, SHORT, _UNSIGNED),
    ]


def _list_geo_tags(geo_tags: GeoTags) -> list[_Tag]:
    """Return the tags that say where the full resolution lies."""
    return [
        _make_tag(number, kind, values) for number, kind, _, values, _ in geo_tags.to_extra_tags()
    ]


def _list_density_tags(density: Density) -> list[_Tag]:
    """Return the tags that say how many pixels there are to the centimetre."""
    across, down = (
        _Tag(number, RATIONAL, 1, np.array([value, _PER_METRE], _CODES[RATIONAL]).tobytes())
        for number, value in zip((282, 283), density, strict=True)
    )
    return [across, down, _make_tag(296, SHORT, _CENTIMETRE)]


def _make_tag(
    number: int, kind: int, values: int | str | tuple[float, ...] | NDArray[np.integer]
) -> _Tag:
    """Return a tag of a text, of one value or of many."""
    if isinstance(values, str):
        text = values.encode() + b"\0"
        return _Tag(number, kind, len(text), text)
    array = np.asarray(values).astype(_CODES[kind])
    return _Tag(number, kind, array.size, array.tobytes())


def _write_directory(
    flavor: _Flavor, tags: Sequence[_Tag], start: int, *, is_last: bool
) -> Iterator[bytes]:
    """Yield the bytes of a directory that begins at ``start``, and of what its tags refer to."""
    yield flavor.count.pack(len(tags))
    after = start + flavor.count.size + len(tags) * flavor.tag_bytes + flavor.place.size
    referred = b""
    for tag in tags:
        yield struct.pack("<HH", tag.number, tag.kind) + flavor.place.pack(tag.count)
        if len(tag.data) <= flavor.place.size:
            yield tag.data.ljust(flavor.place.size, b"\0")
        else:
            yield flavor.place.pack(after + len(referred))
            referred += tag.data.ljust(len(tag.data) + len(tag.data) % 2, b"\0")
    referred += b"\0" * ((after + len(referred)) % 2)
    yield flavor.place.pack(0 if is_last else after + len(referred))
    yield referred
