"""How the pixels of one page of a TIFF lie in the file, and what decodes them.

Strips without compression are cut into smaller pieces, since any row of them can be read by itself:
many programs write a picture as a single strip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np

from dask_quant.errors import PixelFormatError, SourceError
from dask_quant.options import format_bytes
from dask_quant.sources.header import show_path
from dask_quant.sources.tiff_codecs import (
    COMPRESSIONS,
    CONVERTS_YCBCR,
    JPEG,
    JPEG_2000_YCBCR,
    NONE,
    claim_size,
    is_fax,
)
from dask_quant.sources.tiff_samples import RGB, YCBCR, find_meaning

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from tifffile import TiffPage

    from dask_quant.sources.byte_ranges import ByteSource
    from dask_quant.sources.tiff_samples import SampleMeaning

    Decoder = Callable[[bytes, int, int], NDArray[Any]]

MAX_SEGMENT_BYTES = 2**31
"""Most bytes of a tile or strip once it is decoded."""

_PIECE_BYTES = 1 << 20
"""Bytes of the pieces that strips without compression are read in (arbitrary)."""

_MOST_SPILL = 2
"""How much larger than its tile or strip a picture in it may be, as careless writers make them."""

_BAND_PIXELS = 1 << 18
"""Pixels of which colours are made at a time, so that their copies stay small (arbitrary)."""

_SAMPLE_COPIES = 3
"""Copies of samples while they become levels: of planes put together, and of floats scaled."""

_CONVERTED_BYTES = 24
"""Bytes of a pixel while a profile is applied: levels, two of Pillow's images of four bytes a
pixel, the bytes of one of them, and the result."""

_COLOR_MAP = 320

_LSB_FIRST = 2
"""Value of the tag FillOrder: bits of a byte run from the lowest."""


@dataclass(frozen=True)
class TiffLayout:
    """How the pixels of one page, at one level, lie in the file.

    Sizes are as stored, before the orientation is applied.
    """

    shape: tuple[int, int]
    """Rows and columns."""
    segment: tuple[int, int]
    """Rows and columns of what is decoded as a whole: a tile or a strip."""
    n_planes: int
    """1, or the samples of a pixel where each has segments of its own."""
    offsets: NDArray[np.int64]
    """Where each segment begins, ``(plane, down, across)``; 0 where the file leaves it out."""
    lengths: NDArray[np.int64]
    """Bytes of each segment as stored, of the same shape."""
    has_header: bool
    """Whether JPEG segments lack headers, since the file has one for all of them."""
    compression: int
    """The tag Compression."""
    decode: Callable[[bytes, int, int], NDArray[Any]]
    """From bytes, number of the segment and its rows to samples ``(y, x, sample)``."""
    missing: Any
    """Sample of segments that the file leaves out."""
    meaning: SampleMeaning
    """What the samples are."""
    orientation: int
    """How the stored picture is turned, 1 to 8."""

    def decode_segment(self, data: bytes, at: tuple[int, int, int]) -> NDArray[Any]:
        """Return the samples ``(y, x, sample)`` of a segment; fewer than it has at an edge.

        Raises
        ------
        ValueError
            When it is damaged; codecs raise others too.
        """
        _, down, across = at
        n_samples = 1 if self.n_planes > 1 else self.meaning.n_samples
        rows = min(self.segment[0], self.shape[0] - down * self.segment[0])
        columns = min(self.segment[1], self.shape[1] - across * self.segment[1])
        if self.is_missing(at):
            return np.full((rows, columns, n_samples), self.missing, dtype=self.meaning.dtype)
        if len(data) < self.lengths[at]:
            raise ValueError("it is truncated")
        _check_claim(data, self)
        samples = self.decode(data, int(np.ravel_multi_index(at, self.offsets.shape)), rows)
        samples = samples.view(np.uint8) if samples.dtype == np.bool_ else samples
        fits = samples.ndim == 3 and samples.shape[0] >= rows and samples.shape[1] >= columns
        if not fits or samples.shape[2] != n_samples or samples.dtype != self.meaning.dtype:
            raise ValueError(
                f"a part of it holds {samples.dtype} of shape {samples.shape} where its header "
                f"promises {self.meaning.dtype} of {(rows, columns, n_samples)}"
            )
        return samples

    def is_missing(self, at: tuple[int, int, int]) -> bool:
        """Return whether the file leaves a segment out."""
        return bool(self.offsets[at] == 0 or self.lengths[at] == 0)

    @property
    def working_bytes(self) -> int:
        """Bytes of a segment once it is decoded, of all planes, and of what colours are made in."""
        rows, columns = self.segment
        sample_bytes = self.meaning.n_samples * self.meaning.dtype.itemsize
        converted = min(rows, self.band_rows) * columns
        return rows * columns * sample_bytes + converted * (
            _SAMPLE_COPIES * sample_bytes + _CONVERTED_BYTES
        )

    @property
    def band_rows(self) -> int:
        """Rows of a segment that are made colours at a time."""
        return max(1, _BAND_PIXELS // self.segment[1])


def _check_claim(data: bytes, layout: TiffLayout) -> None:
    """Raise `ValueError` when a segment claims to be larger than it can be."""
    claimed = None if layout.has_header else claim_size(data, layout.compression)
    if claimed is not None and math.prod(claimed) > _MOST_SPILL * math.prod(layout.segment):
        message = (
            f"a part of it claims {claimed[1]} x {claimed[0]} pixels where {layout.segment[1]} x "
            f"{layout.segment[0]} belong"
        )
        raise ValueError(message)


def describe_layout(
    page: TiffPage, orientation: int, icc: bytes | None, source: ByteSource
) -> TiffLayout:
    """Return how a page lies in its file, once all that it says was found sane."""
    name = show_path(source.name)
    check_size((page.imagelength, page.imagewidth), name)
    _check_codec(page, name)
    segment = (page.rowsperstrip, page.imagewidth)
    if page.is_tiled:
        segment = (page.tilelength, page.tilewidth)
    _check_segment(page, segment, name)
    n_planes = page.samplesperpixel if page.planarconfig == 2 else 1
    grid = (n_planes, -(-page.imagelength // segment[0]), -(-page.imagewidth // segment[1]))
    layout = TiffLayout(
        shape=(page.imagelength, page.imagewidth),
        segment=segment,
        n_planes=n_planes,
        offsets=_as_grid(page.dataoffsets, grid, name),
        lengths=_as_grid(page.databytecounts, grid, name),
        has_header=page.jpegheader is not None,
        compression=int(page.compression),
        decode=_make_decoder(page),
        missing=page.nodata,
        meaning=_find_meaning(page, icc, name),
        orientation=orientation,
    )
    if page.compression == NONE:
        layout = _set_plain_lengths(layout, is_tiled=page.is_tiled)
        if not page.is_tiled and page.predictor == 1 and _is_packed(page):
            layout = _cut_strips(layout, page)
    _check_end(layout, source.size(), name)
    return layout


def check_size(size: tuple[int, int], name: str) -> None:
    """Raise `SourceError` when a header claims no pixel."""
    if size[0] < 1 or size[1] < 1:
        message = f"Cannot read {show_path(name)}: its header claims {size[1]} x {size[0]} pixels."
        raise SourceError(message)


def _check_codec(page: TiffPage, name: str) -> None:
    """Raise `PixelFormatError` unless samples and compression are of a kind that is decoded."""
    bits, trouble = page.bitspersample, ""
    if page.dtype is None or isinstance(bits, tuple):
        trouble = f"{bits}-bit samples of format {int(page.sampleformat)}"
    elif page.imagedepth != 1 or page.tiledepth != 1:
        trouble = f"a depth of {page.imagedepth}"
    elif page.compression not in COMPRESSIONS:
        trouble = f"the compression {int(page.compression)}"
    elif is_fax(page.compression) and (bits, page.samplesperpixel) != (1, 1):
        trouble = f"fax compression of {bits}-bit samples"
    elif page.is_subsampled and (page.compression != JPEG or page.planarconfig == 2):
        trouble = "subsampled YCbCr without JPEG"
    elif page.photometric == YCBCR and page.compression == JPEG and page.samplesperpixel != 3:
        trouble = f"{page.samplesperpixel} samples of YCbCr in JPEG"
    if trouble:
        message = (
            f"Got {name} with {trouble}, which is not supported; convert it first, as with "
            "gdal_translate or tiffcp."
        )
        raise PixelFormatError(message)


def _check_segment(page: TiffPage, segment: tuple[int, int], name: str) -> None:
    """Raise `SourceError` when a tile or strip is empty or too large."""
    if min(segment) < 1:
        message = (
            f"Cannot read {name}: its header claims tiles or strips of {segment[1]} x {segment[0]} "
            "pixels."
        )
        raise SourceError(message)
    n_bytes = math.prod(segment) * page.samplesperpixel * page.dtype.itemsize
    is_plain_strip = page.compression == NONE and not page.is_tiled
    if n_bytes > MAX_SEGMENT_BYTES and not is_plain_strip:
        message = (
            f"Cannot read {name}: a tile or strip of {segment[1]} x {segment[0]} pixels takes "
            f"{format_bytes(n_bytes)}, and {format_bytes(MAX_SEGMENT_BYTES)} are the most; save it "
            "in tiles, as with gdal_translate -co TILED=YES."
        )
        raise SourceError(message)


def _as_grid(values: Any, grid: tuple[int, int, int], name: str) -> NDArray[np.int64]:
    """Return a number for each segment, ``(plane, down, across)``."""
    numbers = np.asarray(values, dtype=np.int64)
    if numbers.size != math.prod(grid):
        message = (
            f"Cannot read {name}: its header places {numbers.size} tiles or strips where its size "
            f"takes {math.prod(grid)}."
        )
        raise SourceError(message)
    return numbers.reshape(grid)


def _find_meaning(page: TiffPage, icc: bytes | None, name: str) -> SampleMeaning:
    """Return what the samples of a page are."""
    photometric = int(page.photometric)
    if photometric == YCBCR and page.compression in CONVERTS_YCBCR:
        photometric = RGB  # the decoder has converted it
    if page.compression == JPEG_2000_YCBCR:
        photometric = YCBCR
    table = page.tags.valueof(_COLOR_MAP)
    extra = page.extrasamples
    return find_meaning(
        name=name,
        photometric=photometric,
        dtype=np.dtype(np.uint8) if page.dtype == np.bool_ else page.dtype,
        bits=page.bitspersample,
        n_samples=page.samplesperpixel,
        extra=[int(kind) for kind in (extra if isinstance(extra, tuple) else (extra,))],
        color_table=None if table is None else np.asarray(table, dtype=np.uint16).reshape(3, -1),
        icc=icc,
    )


def _make_decoder(page: TiffPage) -> Callable[[bytes, int, int], NDArray[Any]]:
    """Return what decodes the segments of a page."""
    decode = page.decode  # made now, once, for threads would make it several times

    def decode_segment(data: bytes, number: int, _: int) -> NDArray[Any]:
        samples, _, _ = decode(data, number, jpegtables=page.jpegtables, jpegheader=page.jpegheader)
        segment: NDArray[Any] = samples[0]
        return segment

    return decode_segment


def _is_packed(page: TiffPage) -> bool:
    """Return whether samples are of the type that they are stored as, or bits side by side."""
    bits = page.bitspersample
    return bool(bits % 8 != 0 or bits == 8 * page.dtype.itemsize)


def _row_bytes(layout: TiffLayout) -> int:
    """Return the bytes of a row of a segment without compression."""
    n_samples = 1 if layout.n_planes > 1 else layout.meaning.n_samples
    return -(-layout.segment[1] * n_samples * layout.meaning.bits // 8)


def _set_plain_lengths(layout: TiffLayout, *, is_tiled: bool) -> TiffLayout:
    """Return a layout without compression with the lengths that its pixels take.

    What files say about them is of no use, and sometimes wrong.
    """
    rows, n_down = layout.segment[0], layout.offsets.shape[1]
    heights = np.full(n_down, rows, dtype=np.int64)
    if not is_tiled:
        heights[-1] = layout.shape[0] - (n_down - 1) * rows
    lengths = np.broadcast_to(heights[:, np.newaxis], layout.offsets.shape) * _row_bytes(layout)
    return replace(layout, lengths=lengths)


def _cut_strips(layout: TiffLayout, page: TiffPage) -> TiffLayout:
    """Return a layout of plain strips that lie side by side, in pieces of fewer or more rows."""
    starts, lengths = layout.offsets[:, 0, 0], layout.lengths[..., 0]
    ends = layout.offsets[..., 0] + lengths
    if not (starts > 0).all() or not (ends[:, :-1] == layout.offsets[:, 1:, 0]).all():
        return layout
    row_bytes = _row_bytes(layout)
    rows = min(layout.shape[0], max(1, _PIECE_BYTES // row_bytes))
    tops = np.arange(0, layout.shape[0], rows, dtype=np.int64)
    heights = np.minimum(rows, layout.shape[0] - tops)
    offsets = (starts[:, np.newaxis] + tops * row_bytes)[..., np.newaxis]
    lengths = np.broadcast_to((heights * row_bytes)[:, np.newaxis], offsets.shape)
    return replace(
        layout,
        segment=(rows, layout.segment[1]),
        offsets=offsets,
        lengths=lengths,
        decode=_make_plain_decoder(layout, page),
    )


def _make_plain_decoder(layout: TiffLayout, page: TiffPage) -> Decoder:
    """Return what decodes whole rows without compression."""
    columns, bits = layout.segment[1], layout.meaning.bits
    n_samples = 1 if layout.n_planes > 1 else layout.meaning.n_samples
    stored = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
    is_turned = page.fillorder == _LSB_FIRST

    def decode_rows(data: bytes, _: int, rows: int) -> NDArray[Any]:
        stored_bytes = imagecodecs.bitorder_decode(data) if is_turned else data
        if bits % 8:
            runs = columns * n_samples
            samples = imagecodecs.packints_decode(stored_bytes, page.dtype, bits, runlen=runs)
        else:
            samples = np.frombuffer(stored_bytes, dtype=stored).astype(
                stored.newbyteorder("="), copy=False
            )
        return samples.reshape(rows, columns, n_samples)

    return decode_rows


def _check_end(layout: TiffLayout, n_bytes: int, name: str) -> None:
    """Raise `SourceError` when segments lie outside the file."""
    ends = layout.offsets + layout.lengths
    if int(layout.offsets.min()) < 0 or int(layout.lengths.min()) < 0 or int(ends.max()) > n_bytes:
        message = (
            f"Cannot read {name}: its pixels end at byte {ends.max()} and the file at byte "
            f"{n_bytes}; it is truncated or damaged."
        )
        raise SourceError(message)
