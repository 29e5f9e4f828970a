"""Texts and numbers in HTML: whatever a file is called, it cannot break the page."""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dask_quant.report_page.contents import Picture

_PIXELATED_SIDE = 160
"""Longest side of pictures that are enlarged, pixel by pixel, to be seen at all (arbitrary)."""


def show_text(text: str) -> str:
    r"""Return a text for HTML: markup escaped, and what cannot be printed named.

    Bytes of a file name that are no text come as surrogates, which no file could hold; marks that
    turn the direction of writing could make a name look like another.

    Examples
    --------
    >>> show_text('<b>"a"&\n.png'), show_text("caf\udce9")
    ('&lt;b&gt;&quot;a&quot;&amp;\\n.png', 'caf\\udce9')
    """
    printable = (
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
    return html.escape("".join(printable))


def show_name(text: str) -> str:
    """Return the name of a file for HTML, kept apart from the direction of what is around it."""
    return f'<bdi class="path">{show_text(text)}</bdi>'


def count_images(number: int) -> str:
    """Return how many images there are, in words."""
    return "1 image" if number == 1 else f"{number:,} images"


def show_int(value: int | None) -> str:
    """Return a number with separators, or a dash."""
    return "-" if value is None else f"{value:,}"


def show_float(value: float | None, digits: int = 2, unit: str = "") -> str:
    """Return a number in a few digits, or a dash."""
    return "-" if value is None else f"{value:,.{digits}f}{unit}"


def show_seconds(seconds: float | None) -> str:
    """Return seconds in a unit that suits them.

    Examples
    --------
    >>> [show_seconds(seconds) for seconds in (0.0042, 0.42, 42, 4200, None)]
    ['4.2 ms', '420 ms', '42.0 s', '70 min', '-']
    """
    if seconds is None:
        return "-"
    if seconds < 0.1:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 600 else f"{seconds / 60:,.0f} min"


def make_section(identifier: str, title: str, body: str, note: str = "") -> str:
    """Return a part of the page under a heading; ``note`` and ``body`` are HTML."""
    remark = f'<p class="note">{note}</p>' if note else ""
    return (
        f'<section aria-labelledby="{identifier}">\n<h2 id="{identifier}">{show_text(title)}</h2>\n'
        f"{remark}{body}\n</section>"
    )


def make_table(
    caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], *, n_texts: int = 1
) -> str:
    """Return a table whose first ``n_texts`` columns are texts, the others numbers.

    Cells are HTML; the first of a row is its heading.
    """
    kinds = ["text" if column < n_texts else "number" for column in range(len(header))]
    heads = "".join(
        f'<th scope="col" class="{kind}">{show_text(name)}</th>'
        for name, kind in zip(header, kinds, strict=True)
    )
    lines = "\n".join(_make_line(row, kinds) for row in rows)
    return (
        f'<div class="scroll"><table><caption>{show_text(caption)}</caption>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{lines}\n</tbody></table></div>"
    )


def _make_line(cells: Sequence[str], kinds: Sequence[str]) -> str:
    """Return a line of a table."""
    first, *others = (f' class="{kind}">{cell}' for cell, kind in zip(cells, kinds, strict=True))
    return f'<tr><th scope="row"{first}</th>' + "".join(f"<td{o}</td>" for o in others) + "</tr>"


def render_set_aside(named: Iterable[tuple[str, str]]) -> str:
    """Return a table of inputs, named in HTML, and of the reasons why they were not written."""
    rows = ((name, show_text(reason)) for name, reason in named)
    table = make_table("Inputs that were not written", ("input", "reason"), rows, n_texts=2)
    return f'<div class="quarantined">{table}</div>'


def make_picture(picture: Picture | str, label: str) -> str:
    """Return a picture, described as ``label``, or a box that says why there is none."""
    if isinstance(picture, str):
        return f'<span class="missing">{show_text(picture)}</span>'
    factor = max(1, _PIXELATED_SIDE // max(picture.width, picture.height))
    data = base64.b64encode(picture.data).decode("ascii")
    kind = ' class="pixelated"' if factor > 1 else ""
    return (
        f'<img{kind} src="data:{picture.media_type};base64,{data}" alt="{show_text(label)}" '
        f'width="{picture.width * factor}" height="{picture.height * factor}">'
    )
