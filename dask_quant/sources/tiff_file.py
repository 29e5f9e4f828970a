"""The directories of a TIFF or BigTIFF: its pages, what lies where, and how it is decoded.

tifffile parses one directory and makes the function that decodes its segments (tiles or strips);
the chain of directories is walked here, so that one that runs in a circle ends.

A page is a directory of that chain, counted from 0. Its levels are the page itself, and then what
the file holds of it in fewer pixels: its SubIFDs, or directories behind it that say that they are
reduced, or what tifffile knows of the maker of the file (slides of Aperio, Hamamatsu and others).
"""

from __future__ import annotations

import logging
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from tifffile import TiffFile, TiffPage

from dask_quant.errors import OptionError, SourceError
from dask_quant.sources.density import read_resolution, round_density
from dask_quant.sources.header import ImageHeader, show_path
from dask_quant.sources.icc_profile import describe_profile
from dask_quant.sources.tiff_codecs import COMPRESSIONS
from dask_quant.sources.tiff_layout import check_size, describe_layout
from dask_quant.sources.tiff_samples import N_COLORS, describe_mode, find_alpha

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_quant.options import Page
    from dask_quant.sources.byte_ranges import ByteSource
    from dask_quant.sources.density import Density
    from dask_quant.sources.tiff_layout import TiffLayout

# tifffile tells of every oddity that it gets over; without a handler Python prints them.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

MAX_PAGES = 1 << 20
"""Directories at most that a file is searched for."""

_REDUCED, _MASK = 1, 4
"""Bits of the tag NewSubfileType."""

_ORIENTATION, _PROFILE = 274, 34675

_SLIDE_MAKERS = ("svs", "ndpi", "scn", "qpi", "bif", "indica")
"""Whose slides hold their levels where nothing says so, by tifffile's names."""

_MAX_SLIDE_PAGES = 1000
"""Directories above which a file is taken for no slide (arbitrary)."""


@dataclass(frozen=True)
class TiffContents:
    """Pages and levels of a file."""

    n_pages: int
    """Directories in its chain."""
    levels: tuple[tuple[int, int], ...]
    """Rows and columns of each level of the page that was asked for, the largest first."""


def read_layout(source: ByteSource, page: Page) -> TiffLayout:
    """Read how a page lies in a file.

    Parameters
    ----------
    source : ByteSource
        The file.
    page : Page
        Number of the directory, None for the first that is neither reduced nor a mask; and level.

    Raises
    ------
    OptionError
        When there is no such page or level.
    SourceError
        When the file is damaged.
    PixelFormatError
        When its samples are of a kind that is not supported.
    """
    with open_page(source, page) as (main, chosen):
        icc = _find_profile(main, chosen)
        return describe_layout(chosen, find_orientation(main, chosen), icc, source)


def read_tiff_header(source: ByteSource, page: Page) -> ImageHeader:
    """Read what a page says about itself, whether or not it is supported."""
    with open_page(source, page) as (main, chosen):
        turned = find_orientation(main, chosen) > 4
        size = (chosen.imagelength, chosen.imagewidth)
        check_size(size, source.name)
        return ImageHeader(
            path=source.name,
            format="TIFF",
            mode=_describe_mode(chosen),
            height=size[turned],
            width=size[not turned],
            bands=chosen.samplesperpixel,
            input_bytes=source.size(),
            has_alpha=_may_have_alpha(chosen),
            density=_find_density(main, chosen, turned=turned),
            profile=describe_profile(_find_profile(main, chosen)),
        )


def _may_have_alpha(page: TiffPage) -> bool:
    """Return whether a page has a band of alpha."""
    n_extra = page.samplesperpixel - N_COLORS.get(page.photometric, page.samplesperpixel)
    return find_alpha(n_extra, page.extrasamples) != 0


def has_known_codec(source: ByteSource) -> bool:
    """Return whether the first picture is of a compression that is decoded here."""
    with source.open() as file, _open_tiff(file) as tiff:
        return _find_page(tiff, None, source.name).compression in COMPRESSIONS


def read_contents(source: ByteSource, page: Page) -> TiffContents:
    """Read which pages and levels there are."""
    with source.open() as file, _open_tiff(file) as tiff:
        n_pages = sum(1 for _ in _walk_directories(tiff))
        main = _find_page(tiff, page.number, source.name)
        levels = _list_levels(tiff, main)
        return TiffContents(n_pages, tuple((each.imagelength, each.imagewidth) for each in levels))


@contextmanager
def open_page(source: ByteSource, page: Page) -> Iterator[tuple[TiffPage, TiffPage]]:
    """Open a page for as long as its tags are read: at its full size, and at its level."""
    with source.open() as file, _open_tiff(file) as tiff:
        main = _find_page(tiff, page.number, source.name)
        yield main, _find_level(tiff, main, page.level, source.name)


def find_orientation(main: TiffPage, chosen: TiffPage) -> int:
    """Return how a page is turned, 1 to 8; levels that do not say so are turned as their page."""
    value = chosen.tags.valueof(_ORIENTATION) or main.tags.valueof(_ORIENTATION)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _find_profile(main: TiffPage, chosen: TiffPage) -> bytes | None:
    """Return the embedded profile; that of its page for a level that has none of its own."""
    value = chosen.tags.valueof(_PROFILE) or main.tags.valueof(_PROFILE)
    return value if isinstance(value, bytes) else None


def _find_density(main: TiffPage, chosen: TiffPage, *, turned: bool) -> Density | None:
    """Return the pixels to the metre of a page; fewer for a level of it."""
    found = read_resolution(main.tags.valueof)
    if found is None:
        return None
    across = found[0] * chosen.imagewidth / main.imagewidth
    down = found[1] * chosen.imagelength / main.imagelength
    return round_density(*((down, across) if turned else (across, down)))


def _open_tiff(file: IO[bytes]) -> TiffFile:
    """Return a file as tifffile sees it; the formats of microscopes are read as plain TIFF.

    What they add (thousands of pages that are made up from one) costs time, and may be damaged.
    """
    return TiffFile(file, is_lsm=False, is_scanimage=False, is_mmstack=False, is_philips=False)


def _walk_directories(tiff: TiffFile) -> Iterator[int]:
    """Yield where each directory of the chain begins, each once."""
    form, file = tiff.tiff, tiff.filehandle
    file.seek(8 if tiff.is_bigtiff else 4)
    seen: set[int] = set()
    while len(seen) < MAX_PAGES:
        data = file.read(form.offsetsize)
        if len(data) < form.offsetsize:
            return
        place = struct.unpack(form.offsetformat, data)[0]
        if not 0 < place < file.size or place in seen:
            return
        seen.add(place)
        yield place
        file.seek(place)  # whoever took it may have read elsewhere
        data = file.read(form.tagnosize)
        if len(data) < form.tagnosize:
            return
        n_tags = struct.unpack(form.tagnoformat, data)[0]
        file.seek(place + form.tagnosize + n_tags * form.tagsize)


def _parse_directory(tiff: TiffFile, place: int, number: int) -> TiffPage:
    """Return the directory at a place of the file."""
    if place == tiff.pages.first.offset:
        return tiff.pages.first  # parsed when the file was opened
    tiff.filehandle.seek(place)
    return TiffPage(tiff, number)


def _find_page(tiff: TiffFile, page: int | None, name: str) -> TiffPage:
    """Return a page by its number, or the first that is a picture of its own."""
    number, first = -1, None
    for number, place in enumerate(_walk_directories(tiff)):
        if page is not None and number < page:
            continue
        found = _parse_directory(tiff, place, number)
        if page is not None or not int(found.subfiletype) & (_REDUCED | _MASK):
            return found
        first = first or found
    if first is not None:
        return first
    if number < 0:
        message = f"Cannot read {show_path(name)}: it has no page."
        raise SourceError(message)
    message = f"Got page {page} of {show_path(name)}, which has {number + 1}; they count from 0."
    raise OptionError(message)


def _find_level(tiff: TiffFile, main: TiffPage, level: int, name: str) -> TiffPage:
    """Return a level of a page."""
    if level == 0:
        return main
    levels = _list_levels(tiff, main)
    if level < len(levels):
        return levels[level]
    sizes = ", ".join(f"{each.imagewidth} x {each.imagelength}" for each in levels)
    message = f"Got level {level} of {show_path(name)}, which has {len(levels)}, from 0: {sizes}."
    raise OptionError(message)


def _list_levels(tiff: TiffFile, main: TiffPage) -> list[TiffPage]:
    """Return a page and what is there of it in fewer pixels, the largest first."""
    found = _list_sub_directories(tiff, main) or _list_reduced(tiff, main) or _ask_maker(tiff, main)
    size = main.imagelength * main.imagewidth
    smaller = [each for each in found if 0 < each.imagelength * each.imagewidth < size]
    smaller.sort(key=lambda each: -each.imagelength * each.imagewidth)
    return [main, *smaller]


def _list_sub_directories(tiff: TiffFile, main: TiffPage) -> list[TiffPage]:
    """Return the directories that a page points to."""
    places = [int(place) for place in main.subifds or ()]
    return [_parse_directory(tiff, place, number) for number, place in enumerate(places)]


def _list_reduced(tiff: TiffFile, main: TiffPage) -> list[TiffPage]:
    """Return the directories right behind a page that say that they are reduced pictures."""
    found: list[TiffPage] = []
    is_behind = False
    for number, place in enumerate(_walk_directories(tiff)):
        if is_behind:
            page = _parse_directory(tiff, place, number)
            if not int(page.subfiletype) & (_REDUCED | _MASK):
                break
            if not int(page.subfiletype) & _MASK:
                found.append(page)
        is_behind |= place == main.offset
    return found


def _ask_maker(tiff: TiffFile, main: TiffPage) -> list[TiffPage]:
    """Return the levels that tifffile finds by the habits of the maker of a slide."""
    places = list(_walk_directories(tiff))
    is_slide = any(getattr(tiff, f"is_{maker}", False) for maker in _SLIDE_MAKERS)
    if not is_slide or not places or main.offset != places[0] or len(places) > _MAX_SLIDE_PAGES:
        return []
    return [level.keyframe for level in tiff.series[0].levels[1:]]


def _describe_mode(page: TiffPage) -> str:
    """Return how the pixels of a page are stored, in Pillow's words."""
    if page.dtype is None or isinstance(page.bitspersample, tuple):
        return f"{page.samplesperpixel} samples of {page.bitspersample} bits"
    bits, n_samples = page.bitspersample, page.samplesperpixel
    return describe_mode(int(page.photometric), page.dtype, bits, n_samples)
