"""Image files that Pillow, or a plug-in of it, decodes: PNG, JPEG, GIF, BMP, TIFF, WebP and others.

A file is decoded as a whole, whatever part of it is wanted. `dask_quant.sources.mode_rules` says
what each mode becomes, and what is refused; embedded colour profiles are applied.
"""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from dask_quant.alpha_options import REFUSE
from dask_quant.errors import DaskQuantError, PixelFormatError, SourceError
from dask_quant.premultiplied import OPAQUE
from dask_quant.sources.decode_memory import count_codec_bytes
from dask_quant.sources.deep_samples import find_way_of_ppm, read_deep, scale_loaded
from dask_quant.sources.density import find_density
from dask_quant.sources.header import ImageHeader, show_cause, show_path
from dask_quant.sources.icc_profile import describe_profile
from dask_quant.sources.large_header import read_large_header
from dask_quant.sources.mode_rules import check_mode, find_color_space, find_way
from dask_quant.sources.pillow_colors import (
    find_image_conversion,
    read_profile,
    refuse_high_range,
)
from dask_quant.sources.pillow_open import open_by_signature, open_seekable
from dask_quant.sources.pillow_pixels import to_array
from dask_quant.sources.pillow_state import MAX_PIXELS, borrow_pillow
from dask_quant.sources.png_chunks import check_image_data, read_bit_depth, read_late_metadata
from dask_quant.sources.sample_depth import read_bands, read_bits, read_mode
from dask_quant.sources.signatures import FORMATS, SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

    from dask_quant.alpha_options import AlphaRule
    from dask_quant.sources.color_profiles import Convert
    from dask_quant.sources.deep_samples import DeepImage

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "SUFFIXES",
    "check_mode",
    "check_supported",
    "count_frames",
    "read_header",
    "read_image",
    "read_orientation",
]

_ANIMATIONS = ("GIF", "PNG", "WEBP", "AVIF")
"""Formats whose further pictures are frames of one."""

_ORIENTATION = 0x0112
"""EXIF tag: how the stored picture is turned."""


@dataclass(frozen=True)
class _Opened:
    """An image file that was opened and not yet decoded."""

    image: ImageFile
    """Pillow's image."""
    file: IO[bytes]
    """The seekable file behind it."""
    header: ImageHeader
    """What the file says about itself."""
    orientation: int
    """EXIF orientation that is still to be applied, 1 to 8."""
    name: str
    """What messages call the file."""


def read_header(source: str | Path | IO[bytes]) -> ImageHeader:
    """Read what an image file says about itself, without decoding it.

    Parameters
    ----------
    source : str, Path or binary file
        A path, or a file object that is read from its start; it is left open.

    Returns
    -------
    ImageHeader
        Its mode may be one that `read_image` refuses; `check_supported` tells.

    Raises
    ------
    SourceNotFoundError
        When there is no such file.
    SourceError
        When it is not an image, its header is damaged, or it has more than `MAX_PIXELS` pixels
        and is neither PNG nor JPEG.
    PixelFormatError
        When its samples are of a kind that cannot even be opened.
    """
    large = read_large_header(source)
    with _open(source if large is None else large.shrunken) as opened:
        if large is None:
            return opened.header
        stored = replace(opened.header, height=large.height, width=large.width)
        return _turn(replace(stored, input_bytes=large.input_bytes), opened.orientation)


def read_orientation(source: str | Path) -> int:
    """Return the EXIF orientation that is still to be applied to an image as decoded, 1 to 8.

    Raises
    ------
    SourceNotFoundError, SourceError, PixelFormatError
        As `read_header` does.
    """
    large = read_large_header(source)
    with _open(source if large is None else large.shrunken) as opened:
        return opened.orientation


def find_stored_conversion(source: str | Path) -> Convert | None:
    """Return what converts the levels of an 8-bit grey or RGB file to sRGB; None: they are sRGB.

    It takes uint8 ``(y, x, 3)``, grey as three equal bands, and returns the like.

    Raises
    ------
    SourceNotFoundError, SourceError, PixelFormatError
        As `read_header` does; also for a picture of high dynamic range.

    Warns
    -----
    ColorProfileWarning
        When its colour profile cannot be used, and is left out.
    """
    large = read_large_header(source)
    name = show_path(str(source))
    with _open(source if large is None else large.shrunken) as opened:
        image, file = opened.image, opened.file
        refuse_high_range(image, file, name=name)
        convert = find_image_conversion(image, file, image.mode, name=name)
        is_grey = find_color_space(image.mode) == "GRAY"
    if convert is None or not is_grey:
        return convert
    return lambda levels: convert(levels[..., 0])


def count_frames(source: str | Path | IO[bytes]) -> int:
    """Return the frames of an animated GIF, PNG, WebP or AVIF; 1 for everything else.

    Pages of a TIFF and the further pictures of a telephone's JPEG are no frames. Errors are those
    of `read_header`. A GIF is read to its end, not decoded.
    """
    with _open(source) as opened:
        is_animation = opened.header.format in _ANIMATIONS
        return int(getattr(opened.image, "n_frames", 1)) if is_animation else 1


def read_image(
    source: str | Path | IO[bytes],
    *,
    max_pixels: int | None = None,
    frame: int = 0,
    alpha: AlphaRule = REFUSE,
) -> NDArray[np.uint8]:
    """Decode a whole image file.

    Parameters
    ----------
    source : str, Path or binary file
        A path, or a file object that is read from its start; it is left open.
    max_pixels : int, optional
        Refuse larger images before decoding. None, and anything above: `MAX_PIXELS`.
    frame : int, default 0
        Which frame of an animation, as a viewer shows it: put upon those before.
    alpha : AlphaRule
        What becomes of pixels that are not opaque; refused by default.

    Returns
    -------
    ndarray
        sRGB uint8 ``(y, x, 3)``, C-contiguous, EXIF orientation applied; of several frames or
        pages the first. RGBA ``(y, x, 4)`` where pixels are not opaque and that is kept.

    Raises
    ------
    SourceNotFoundError
        When there is no such file.
    SourceError
        When it cannot be read, is damaged or truncated, or is too large.
    PixelFormatError
        When its pixels are of a mode that is not read, or some are not opaque and that is refused.

    Warns
    -----
    ColorProfileWarning
        When its colour profile cannot be used, and is left out.

    Notes
    -----
    Peak memory is 7 bytes a pixel, 4 for Pillow's copy and 3 for the result, 8 with transparency,
    and the header's ``codec_bytes``.
    """
    with _open(source) as opened:
        check_supported(opened.header, max_pixels=max_pixels)
        if frame:
            _seek_frame(opened, frame)
        if opened.header.format == "PNG":
            check_image_data(opened.file, name=opened.name)
        image, key = _decode(opened)
        return to_array(
            image,
            opened.orientation,
            key=key,
            convert=find_image_conversion(opened.image, opened.file, image.mode, name=opened.name),
            name=opened.name,
            alpha=alpha,
        )


def _seek_frame(opened: _Opened, frame: int) -> None:
    """Let the next decode give another frame than the first one."""
    if find_way(opened.header) != "stored":
        message = (
            f"Got {opened.name} with frames of mode {opened.header.mode}, of which only the first "
            "one is read; save them one by one."
        )
        raise PixelFormatError(message)
    opened.image.seek(frame)


def _decode(opened: _Opened) -> tuple[ImageFile | DeepImage, NDArray[np.uint8] | None]:
    """Return the decoded image, and the value that stands for transparent, if there is one."""
    image, file, name = opened.image, opened.file, opened.name
    refuse_high_range(image, file, name=name)
    is_ppm = opened.header.format == "PPM"
    way = find_way_of_ppm(image) if is_ppm else find_way(opened.header)
    if way == "deep":
        bits = read_bits(image, file, name=name)
        return read_deep(image, file, bits, name=name), None
    bits = 16 if is_ppm or way == "stored" else read_bits(image, file, name=name)
    image.load()
    if way == "scaled":
        return scale_loaded(image, bits, name=name), None
    # Frames after the first are put together in RGB or RGBA, whatever the file stores.
    return image, None if image.tell() else _read_transparent_key(opened)


def check_supported(header: ImageHeader, *, max_pixels: int | None = None) -> None:
    """Check by its header that `read_image` can read an image; transparency shows only later.

    Parameters
    ----------
    header : ImageHeader
        Header of an image file.
    max_pixels : int, optional
        As for `read_image`.

    Raises
    ------
    SourceError
        When the image has too many pixels.
    PixelFormatError
        When its mode or its bands are not supported.
    """
    name = show_path(header.path)
    limit = MAX_PIXELS if max_pixels is None else min(max_pixels, MAX_PIXELS)
    if header.n_pixels > limit:
        raise SourceError(_too_large(name, header.n_pixels, limit))
    check_mode(header)


def _too_large(name: str, n_pixels: int, limit: int) -> str:
    """Return the message for an image above the limit."""
    return (
        f"Cannot read {name}: it has {n_pixels} pixels, and a file that is decoded as a whole may "
        f"have {limit}; convert it to a Zarr store or scale it down."
    )


@contextmanager
def _open(source: str | Path | IO[bytes]) -> Iterator[_Opened]:
    """Open an image file; whatever goes wrong inside the block becomes an error of ours."""
    file, path = open_seekable(source)
    name = show_path(path)
    try:
        with borrow_pillow(), open_by_signature(file, name) as image:
            header = _read_header(image, file, path)
            orientation = _read_orientation(image, file)
            yield _Opened(image, file, _turn(header, orientation), orientation, name)
    except DaskQuantError:
        raise
    except Image.DecompressionBombError as error:
        found = re.search(r"\d+", str(error))
        n_pixels = int(found[0]) if found else 0
        raise SourceError(_too_large(name, n_pixels, MAX_PIXELS)) from error
    except MemoryError as error:
        message = f"Cannot read {name}: decoding it needs more memory than there is."
        raise SourceError(message) from error
    except Exception as error:  # Pillow raises almost any type for one damaged file or another
        message = f"Cannot read {name}: {show_cause(error)}."
        raise SourceError(message) from error
    finally:
        if isinstance(source, (str, Path)):
            file.close()


def _read_header(image: ImageFile, file: IO[bytes], path: str) -> ImageHeader:
    """Return the header of an opened image, with its size as stored."""
    name = show_path(path)
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise SourceError(_too_large(name, width * height, MAX_PIXELS))
    if width * height < 1:
        message = f"Cannot read {name}: its header claims {width} x {height} pixels."
        raise SourceError(message)
    header = ImageHeader(
        path=path,
        format=image.format or "",
        mode=read_mode(image, file, name=name),
        height=height,
        width=width,
        bands=read_bands(image),
        input_bytes=file.seek(0, io.SEEK_END),
        density=find_density(image),
        profile=describe_profile(read_profile(image)),
        has_alpha=image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info,
    )
    return replace(header, codec_bytes=count_codec_bytes(header, image))


def _turn(header: ImageHeader, orientation: int) -> ImageHeader:
    """Return the header with its size as seen after the orientation is applied."""
    if orientation < 5:
        return header
    density = None if header.density is None else header.density[::-1]
    turned = {"height": header.width, "width": header.height, "density": density}
    return ImageHeader(**(vars(header) | turned))


def _read_orientation(image: ImageFile, file: IO[bytes]) -> int:
    """Return the EXIF orientation that is still to be applied; 1 where there is none that is sane.

    TIFF and HEIF are turned while they are loaded. Pillow decodes a PNG to find EXIF behind the
    pixels; the chunks are walked instead.
    """
    if image.format in ("TIFF", "HEIF"):
        return 1
    try:
        if image.format != "PNG":
            return _sane_orientation(image.getexif())
        found = _sane_orientation(Image.Image.getexif(image))
        late = read_late_metadata(file) if found == 1 else b""
        if late:
            with Image.open(io.BytesIO(late), formats=("PNG",)) as metadata:
                return _sane_orientation(Image.Image.getexif(metadata))
    except Exception:  # damaged metadata must not cost the picture
        return 1
    return found


def _sane_orientation(exif: Image.Exif) -> int:
    """Return the orientation tag if it is one of 1 to 8, else 1."""
    value: Any = exif.get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _read_transparent_key(opened: _Opened) -> NDArray[np.uint8] | None:
    """Return the one grey ``(1,)`` or RGB ``(3,)`` value that stands for transparent, or None."""
    key: Any = opened.image.info.get("transparency")
    if key is None or opened.image.mode not in ("1", "L", "RGB"):
        return None
    values = np.atleast_1d(np.asarray(key))
    if values.dtype.kind not in "iu":
        return None
    if opened.header.format == "PNG" and opened.image.mode == "L":
        # Pillow spreads 2- and 4-bit grey over 0..255, but not the key that goes with it.
        values = values * OPAQUE // (2 ** read_bit_depth(opened.file) - 1)
    return None if values.min() < 0 or values.max() > OPAQUE else values.astype(np.uint8)
