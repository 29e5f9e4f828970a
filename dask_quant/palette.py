"""Palette: the value that a fit returns.

A palette is an ordered set of sRGB colours with, when it came from a fit, the pixels that each
colour stands for. It is immutable, small, and knows how to show itself.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.errors import OptionError, PaletteError
from dask_quant.options import MAX_COLORS
from dask_quant.premultiplied import OPAQUE, as_opaque, clear_hidden
from dask_quant.rich_display import draw_html

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.colors import ListedColormap
    from numpy.typing import ArrayLike, NDArray

MAX_COLORS_8BIT = 256
"""Most colours that an 8-bit label tells apart."""


@dataclass(frozen=True, eq=False)
class Palette:
    """An ordered set of distinct sRGB colours.

    Parameters
    ----------
    colors : array_like
        sRGB, integers 0 to 255, ``(n_colors, 3)`` with 1 to 65536 distinct rows; or RGBA
        ``(n_colors, 4)``, of which a row of alpha 0 is taken as black, and the alpha of opaque rows
        is dropped where all are opaque. Copied to uint8.
    counts : array_like, optional
        Pixels per colour, integers of at least 0, ``(n_colors,)``. Copied to int64.

    Raises
    ------
    PaletteError
        When the shapes, the range or the number of colours do not fit, or a colour comes twice.

    Examples
    --------
    >>> palette = Palette.from_hex(["#ff8000", "#000000"])
    >>> palette.colors.tolist(), palette.hex
    ([[255, 128, 0], [0, 0, 0]], ['#ff8000', '#000000'])
    """

    colors: NDArray[np.uint8]
    """sRGB uint8 ``(n_colors, 3)``, or ``(n_colors, 4)`` with alpha where a colour is not opaque.

    Read-only; from a fit by descending count, ties by value, of which the alpha is first, opaque
    before transparent."""
    counts: NDArray[np.int64] | None = field(default=None)
    """Pixels per colour, int64 ``(n_colors,)``, read-only; None when unknown."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "colors", _freeze_colors(self.colors))
        if self.counts is not None:
            object.__setattr__(self, "counts", _freeze_counts(self.counts, len(self.colors)))

    @classmethod
    def from_hex(cls, texts: Sequence[str]) -> Palette:
        """Return the palette of ``#rrggbb`` or ``#rrggbbaa`` texts (the ``#`` may be missing).

        Raises
        ------
        PaletteError
            When a text is not six or eight hexadecimal digits.
        """
        return cls(np.array([_parse_hex(text) for text in texts], dtype=np.uint8).reshape(-1, 4))

    @property
    def has_alpha(self) -> bool:
        """Whether a colour is not opaque: colours are then of four bands."""
        return bool(self.colors.shape[1] == 4)

    @property
    def hex(self) -> list[str]:
        """The colours as ``#rrggbb``, those that are not opaque as ``#rrggbbaa``, in order."""
        return [show_color(bytes(color)) for color in self.colors]

    @property
    def label_dtype(self) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
        """Type of labels into this palette: uint8 up to 256 colours, else uint16."""
        return np.dtype(np.uint8) if len(self) <= MAX_COLORS_8BIT else np.dtype(np.uint16)

    @property
    def digest(self) -> str:
        """Hexadecimal digest of the colours in their order; counts do not enter."""
        kind = b"RGBA" if self.has_alpha else b""
        return hashlib.sha256(kind + self.colors.tobytes()).hexdigest()[:32]

    def __len__(self) -> int:
        return len(self.colors)

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return (tuple(color) for color in self.colors.tolist())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Palette):
            return NotImplemented
        return np.array_equal(self.colors, other.colors)

    def __hash__(self) -> int:
        return hash(self.colors.tobytes())

    def __reduce__(self) -> tuple[type[Palette], tuple[NDArray[np.uint8], ArrayLike | None]]:
        return Palette, (self.colors, self.counts)  # pickled arrays come back writable

    def __dask_tokenize__(self) -> tuple[str, str]:
        return ("dask_quant.Palette", self.digest)

    def __repr__(self) -> str:
        shown = ", ".join(self.hex[:6]) + (", ..." if len(self) > 6 else "")
        return f"<Palette of {len(self)} colours: {shown}>"

    def _repr_html_(self) -> str:
        """Draw the colours for a notebook, with their shares where counts are known."""
        return draw_html(self, "palette")

    def to_matplotlib(self, name: str = "dask_quant") -> ListedColormap:
        """Return the palette as a `matplotlib.colors.ListedColormap` (extra ``plot``).

        Show labels with ``vmin=-0.5, vmax=len(palette) - 0.5`` for one colour per label.

        Parameters
        ----------
        name : str, default "dask_quant"
            Name of the colormap.
        """
        from matplotlib.colors import ListedColormap

        return ListedColormap((self.colors / 255.0).tolist(), name=name)


def check_opaque(palette: Palette, what: str) -> None:
    """Raise `OptionError` for a palette with alpha given to ``what`` knows colours alone."""
    if palette.has_alpha:
        message = (
            f"Got a palette with colours that are not opaque with {what}, which knows opaque ones "
            "alone; leave it out, or give opaque colours."
        )
        raise OptionError(message)


def as_palette(palette: Palette | ArrayLike) -> Palette:
    """Return a palette as it is, and colours ``(n_colors, 3)`` as one, or raise `PaletteError`."""
    return palette if isinstance(palette, Palette) else Palette(_as_array(palette))


def _freeze_colors(colors: ArrayLike) -> NDArray[np.uint8]:
    """Return ``colors`` as a read-only uint8 ``(n, 3)`` or ``(n, 4)`` copy.

    Raises `PaletteError` where they are no palette.
    """
    given = _as_array(colors)
    if given.ndim != 2 or given.shape[1] not in (3, 4):
        message = (
            f"Got palette colours of shape {given.shape}; the shape must be (n_colors, 3), or "
            "(n_colors, 4) with alpha."
        )
        raise PaletteError(message)
    if not 1 <= len(given) <= MAX_COLORS:
        message = f"Got a palette of {len(given)} colours; it must have 1 to {MAX_COLORS}."
        raise PaletteError(message)
    if given.dtype.kind not in "ui" or given.min() < 0 or given.max() > 255:
        message = f"Got palette colours of type {given.dtype}; they must be integers 0 to 255."
        raise PaletteError(message)
    frozen = clear_hidden(np.array(given, dtype=np.uint8, order="C"))
    opaque = as_opaque(frozen)
    frozen = frozen if opaque is None else opaque
    n_distinct = len(np.unique(frozen, axis=0))
    if n_distinct != len(frozen):
        message = f"Got a palette with {len(frozen) - n_distinct} repeated colours; drop them."
        raise PaletteError(message)
    frozen.setflags(write=False)
    return frozen


def _as_array(colors: ArrayLike) -> NDArray[Any]:
    """Return ``colors`` as an array, or raise `PaletteError` where rows differ in length."""
    try:
        return np.asarray(colors)
    except ValueError:
        message = "Got palette colours in rows of different lengths; all need three levels."
        raise PaletteError(message) from None


def _freeze_counts(counts: ArrayLike, n_colors: int) -> NDArray[np.int64]:
    """Return ``counts`` as a read-only int64 ``(n_colors,)`` copy, or raise `PaletteError`."""
    try:
        frozen = np.array(counts, dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        message = f"Got counts as a {type(counts).__name__} of other things than integers."
        raise PaletteError(message) from None
    if frozen.shape != (n_colors,) or (frozen < 0).any():
        message = f"Got counts of shape {frozen.shape}; {n_colors} counts of 0 or more are needed."
        raise PaletteError(message)
    frozen.setflags(write=False)
    return frozen


def _parse_hex(text: str) -> tuple[int, int, int, int]:
    """Return the three levels of ``#rrggbb``, and the alpha of ``#rrggbbaa``."""
    digits = text.strip().removeprefix("#")
    try:
        red, green, blue, alpha = bytes.fromhex(digits if len(digits) == 8 else f"{digits}ff")
    except ValueError:
        message = f"Got the colour {text!r}; write it as #rrggbb or #rrggbbaa."
        raise PaletteError(message) from None
    return red, green, blue, alpha


def show_color(levels: bytes) -> str:
    """Return three levels, and an alpha if there is one that is not opaque, as ``#rrggbbaa``."""
    is_opaque = len(levels) == 4 and levels[3] == OPAQUE
    return f"#{levels[:3].hex() if is_opaque else levels.hex()}"
