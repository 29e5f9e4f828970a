"""What an image says about itself before it is decoded, and how messages name it."""

from __future__ import annotations

from dataclasses import dataclass

from dask_quant.sources.addresses import hide_secrets


@dataclass(frozen=True)
class ImageHeader:
    """Format and size of one stored image."""

    path: str
    """The input as the user would name it."""
    format: str
    """Name of the format as Pillow has it (``PNG``, ``JPEG``, ...), or ``ZARR``."""
    mode: str
    """Pillow's mode, with ``;16`` or ``;S`` where samples are deeper or signed; Zarr: the type."""
    height: int
    """Rows of pixels, after the EXIF orientation is applied."""
    width: int
    """Columns of pixels, after the EXIF orientation is applied."""
    bands: int
    """Bands as stored: 1 for grey or a palette, 3 for RGB, 4 for RGBA, ..."""
    input_bytes: int
    """Bytes as stored."""
    density: tuple[int, int] | None = None
    """Pixels to the metre, across and down as shown; None where the file does not say."""
    profile: str | None = None
    """What the embedded colour profile calls itself; None where there is none."""
    has_alpha: bool = False
    """Whether pixels may be transparent; it takes decoding them to know whether any are."""
    codec_bytes: int = 0
    """Bytes of memory that decoding it as a whole takes at most, beside 7 a pixel."""

    @property
    def n_pixels(self) -> int:
        """Height times width."""
        return self.height * self.width


def show_path(path: str) -> str:
    r"""Return ``path`` fit for a one-line message: printable, and never a line break.

    Of an address, names, passwords and queries are left out.

    Examples
    --------
    >>> show_path("photos/a b.png"), show_path("two\nlines.png")
    ('photos/a b.png', 'two\\nlines.png')
    """
    path = hide_secrets(path)
    if path.isprintable():  # nearly always, and every image is named several times
        return path
    printable = (
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in path
    )
    return "".join(printable)


def show_cause(error: BaseException) -> str:
    """Return what ``error`` says, on one line and without a final full stop."""
    text = " ".join(str(error).split()).rstrip(".")
    return show_path(text) or type(error).__name__
