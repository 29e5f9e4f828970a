"""The contact sheet: one picture with an image in several numbers of colours, side by side."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dask_quant.errors import OutputError
from dask_quant.sinks.atomic import write_file_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from dask_quant.palette import Palette

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

MAX_PANEL_PIXELS = 560 * 420
"""Pixels of the largest panel: six of them fit a screen (arbitrary)."""

MAX_SHEET_PIXELS = 1 << 25
"""Pixels of all panels together, of as many as there may be (arbitrary)."""

# Looks, in pixels and sRGB; all arbitrary.
_MIN_PANEL_WIDTH = 220
_LONGEST_SIDE = 1.6
_SHEET_ASPECT = 1.6
_BACKGROUND = (250, 250, 248)
_FRAME = (222, 222, 218)
_DARK = (32, 33, 36)
_GREY = (104, 106, 112)
_LUMA = np.array([299, 587, 114])  # ITU-R BT.601, in thousandths
_ELLIPSIS = "..."


@dataclass(frozen=True)
class Panel:
    """One picture of a contact sheet."""

    image: NDArray[np.uint8]
    """sRGB uint8 ``(y, x, 3)``."""
    caption: tuple[str, ...]
    """Lines below the picture; the first is set off."""
    palette: Palette | None
    """Colours of the bar below the picture, as wide as their counts; None for no bar."""


@dataclass(frozen=True)
class _Layout:
    """Sizes of a sheet in pixels, all derived from the panels' size."""

    columns: int
    """Panels per row."""
    rows: int
    """Rows of panels."""
    panel: tuple[int, int]
    """Width and height that each picture fits into."""
    margin: int
    """Around the sheet and between panels."""
    bar: int
    """Height of the palette bar; 0 where no panel has a palette."""
    text: int
    """Height of the caption's letters."""
    n_lines: int
    """Most lines of a caption."""
    title: int
    """Height of the title's letters; 0 without a title."""

    @property
    def gap(self) -> int:
        """Between picture, bar and caption."""
        return max(4, self.text // 2)

    @property
    def line(self) -> int:
        """From one line of a caption to the next."""
        return round(self.text * 1.4)

    @property
    def cell_height(self) -> int:
        """Picture, bar and caption."""
        bar = self.bar + self.gap if self.bar else 0
        caption = self.gap + self.n_lines * self.line if self.n_lines else 0
        return self.panel[1] + bar + caption

    @property
    def top(self) -> int:
        """Where the first row of panels begins."""
        return self.margin + (round(self.title * 1.9) if self.title else 0)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole sheet."""
        width = self.margin + self.columns * (self.panel[0] + self.margin)
        return width, self.top + self.rows * (self.cell_height + self.margin)

    def corner(self, index: int) -> tuple[int, int]:
        """Return where the ``index``-th panel begins: x, y."""
        row, column = divmod(index, self.columns)
        x = self.margin + column * (self.panel[0] + self.margin)
        return x, self.top + row * (self.cell_height + self.margin)


def draw_sheet(
    panels: Sequence[Panel],
    *,
    title: str | None = None,
    columns: int | None = None,
    max_panel_pixels: int = MAX_PANEL_PIXELS,
) -> Image.Image:
    """Draw panels in a grid, each with its palette and caption below.

    **Eager.** Large pictures are made smaller by averaging, which is what the eye does from
    farther away, also to dithering; very small ones are enlarged by whole factors, pixels kept.

    Parameters
    ----------
    panels : sequence of Panel
        At least one; pictures of different shapes share the space that the largest needs.
    title : str, optional
        Line above all panels.
    columns : int, optional
        Panels per row, at least 1. None: what makes the sheet fit a screen best.
    max_panel_pixels : int, default 235200
        Largest number of pixels of one picture on the sheet, at least 1.

    Returns
    -------
    PIL.Image.Image
        The sheet, mode RGB.

    Raises
    ------
    OutputError
        When there is no panel, or ``columns`` or ``max_panel_pixels`` is below 1.

    Notes
    -----
    Peak memory: 4 bytes per pixel of the largest picture, and the sheet.
    """
    if not panels or min(max_panel_pixels, 1 if columns is None else columns) < 1:
        message = (
            f"Got {len(panels)} panels, columns={columns} and max_panel_pixels={max_panel_pixels}; "
            "a contact sheet needs at least 1 of each."
        )
        raise OutputError(message)
    pictures = [_fit_picture(panel.image, max_panel_pixels) for panel in panels]
    layout = _plan_layout(panels, pictures, columns, titled=bool(title))
    sheet = Image.new("RGB", layout.size, _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    if title:
        font = ImageFont.load_default(layout.title)
        width = layout.size[0] - 2 * layout.margin
        place = (layout.margin, layout.margin - layout.title // 8)
        draw.text(place, _shorten(title, font, width), fill=_DARK, font=font)
    for index, (panel, picture) in enumerate(zip(panels, pictures, strict=True)):
        _draw_panel(sheet, draw, panel, picture, layout, index)
    return sheet


def write_sheet(image: Image.Image, path: Path, *, overwrite: bool) -> int:
    """Write a contact sheet as a PNG that appears under its name only when it is whole.

    **Eager.** Errors are those of `write_file_atomically`.

    Returns
    -------
    int
        Bytes written.
    """
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return write_file_atomically(path, [buffer.getvalue()], overwrite=overwrite)


def _fit_picture(image: NDArray[np.uint8], max_pixels: int) -> Image.Image:
    """Return a picture of at most ``max_pixels``, and not much smaller than a caption needs."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    width, height = picture.size
    longest = _LONGEST_SIDE * math.sqrt(max_pixels)
    scale = min(math.sqrt(max_pixels / (width * height)), longest / max(width, height))
    if scale < 1:
        size = max(1, int(width * scale)), max(1, int(height * scale))
        return picture.resize(size, Image.Resampling.BOX)
    factor = min(int(scale), math.ceil(_MIN_PANEL_WIDTH / width))
    return picture.resize((width * factor, height * factor), Image.Resampling.NEAREST)


def _plan_layout(
    panels: Sequence[Panel], pictures: Sequence[Image.Image], columns: int | None, *, titled: bool
) -> _Layout:
    """Return the sizes of a sheet."""
    width = max(_MIN_PANEL_WIDTH, *(picture.width for picture in pictures))
    height = max(picture.height for picture in pictures)
    text = min(20, max(13, width // 24))

    def lay_out(columns: int) -> _Layout:
        return _Layout(
            columns=columns,
            rows=math.ceil(len(panels) / columns),
            panel=(width, height),
            margin=max(14, width // 18),
            bar=text if any(panel.palette is not None for panel in panels) else 0,
            text=text,
            n_lines=max(len(panel.caption) for panel in panels),
            title=round(text * 1.5) if titled else 0,
        )

    if columns is not None:
        return lay_out(min(columns, len(panels)))
    layouts = map(lay_out, range(1, len(panels) + 1))
    return min(layouts, key=lambda layout: _badness(layout, len(panels)))


def _badness(layout: _Layout, n_panels: int) -> float:
    """Return how far a sheet is from filling a screen: its shape, and its share of empty cells."""
    width, height = layout.size
    empty = 1 - n_panels / (layout.columns * layout.rows)
    return abs(math.log(width / height / _SHEET_ASPECT)) + 2 * empty


def _draw_panel(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    panel: Panel,
    picture: Image.Image,
    layout: _Layout,
    index: int,
) -> None:
    """Draw one picture with its bar and caption."""
    x, y = layout.corner(index)
    width, height = layout.panel
    left, top = x + (width - picture.width) // 2, y + (height - picture.height) // 2
    sheet.paste(picture, (left, top))
    frame = (left - 1, top - 1, left + picture.width, top + picture.height)
    draw.rectangle(frame, outline=_FRAME)
    y += height + layout.gap
    if layout.bar:
        if panel.palette is not None:
            bar = Image.fromarray(_draw_bar(panel.palette, width, layout.bar))
            sheet.paste(bar, (x, y))
            draw.rectangle((x - 1, y - 1, x + width, y + layout.bar), outline=_FRAME)
        y += layout.bar + layout.gap
    font = ImageFont.load_default(layout.text)
    for number, line in enumerate(panel.caption):
        fill = _GREY if number else _DARK
        draw.text((x, y + number * layout.line), _shorten(line, font, width), fill=fill, font=font)


def _draw_bar(palette: Palette, width: int, height: int) -> NDArray[np.uint8]:
    """Return the palette, dark to light, as an sRGB uint8 ``(height, width, 3)`` bar."""
    counts = np.ones(len(palette)) if palette.counts is None else palette.counts.astype(float)
    shares = counts / counts.sum() if counts.sum() else np.full(len(palette), 1 / len(palette))
    # Half of the bar at most goes to making rare colours visible.
    least = min(2, width / (2 * len(palette)))
    order = np.argsort(palette.colors @ _LUMA, kind="stable")
    ends = np.cumsum(least + shares[order] * (width - least * len(palette)))
    index = np.searchsorted(ends, np.arange(width) + 0.5).clip(max=len(palette) - 1)
    colors = palette.colors[order][index]
    return np.ascontiguousarray(np.broadcast_to(colors, (height, width, 3)))


def _shorten(text: str, font: Font, width: int) -> str:
    """Return one line of ``text`` that is at most ``width`` pixels wide."""
    line = " ".join(text.encode("utf-8", errors="replace").decode("utf-8").split())
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + _ELLIPSIS) > width:
        line = line[:-1]
    return line + _ELLIPSIS
