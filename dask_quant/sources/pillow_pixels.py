"""From Pillow's decoded image to an upright array of RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from dask_quant.alpha_options import OPAQUE_FROM, REFUSE
from dask_quant.premultiplied import OPAQUE
from dask_quant.sources.bands import apply_alpha, refuse_transparency, to_rgb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dask_quant.alpha_options import AlphaRule
    from dask_quant.sources.color_profiles import Convert
    from dask_quant.sources.deep_samples import DeepImage

_STRIP_PIXELS = 1 << 20
"""Pixels that are converted at a time, so that a picture is not held a third time (arbitrary)."""

_CHECKED_ALPHA = ("LA", "PA", "RGBA")

_READ_AS = {"1": "L", "YCbCr": "RGB"}
"""Modes that Pillow converts, by no more than a formula."""


def _stored_view(picture: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return the view of an upright picture in which the pixels lie as the file stores them.

    Shapes are ``(y, x, 3)``; writing stored rows into the view turns them at no cost in memory.
    """
    if orientation in (5, 7):
        picture = picture.swapaxes(0, 1)
    elif orientation in (6, 8):
        return np.rot90(picture, k=1 if orientation == 6 else -1)
    rows = slice(None, None, -1 if orientation in (3, 4, 7) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 7) else 1)
    return picture[rows, columns]


def to_array(
    image: Image.Image | DeepImage,
    orientation: int,
    *,
    key: NDArray[np.uint8] | None,
    convert: Convert | None = None,
    name: str,
    alpha: AlphaRule = REFUSE,
) -> NDArray[np.uint8]:
    """Return a loaded image as RGB, upright; or as RGBA, if it is not opaque and that is kept.

    Parameters
    ----------
    image : PIL.Image.Image
        Of mode 1, L, P, LA, PA, RGB, RGBA, YCbCr, CMYK or LAB; or an image of deeper samples.
    orientation : int
        EXIF orientation to apply, 1 to 8.
    key : ndarray or None
        The grey ``(1,)`` or RGB ``(3,)`` uint8 value that stands for transparent, if any.
    convert : callable, optional
        From the stored levels to sRGB, from `find_conversion`; of modes CMYK and LAB not optional.
    name : str
        What the message of an error calls the image.
    alpha : AlphaRule
        What becomes of pixels that are not opaque; refused by default.

    Returns
    -------
    ndarray
        sRGB uint8 ``(y, x, 3)``, or RGBA ``(y, x, 4)``, C-contiguous.

    Raises
    ------
    PixelFormatError
        When a pixel is not opaque, and that is refused.

    Notes
    -----
    Beside the image and the result, only a strip of pixels is in memory.
    """
    width, height = image.size
    shape = (height, width) if orientation < 5 else (width, height)
    is_kept = alpha.keeps and _has_transparency(image, key, alpha)
    picture = np.empty((*shape, 4 if is_kept else 3), dtype=np.uint8)
    stored = _stored_view(picture, orientation)
    n_transparent = 0
    for rows, pixels, shares in _iterate(image, key, convert):
        if is_kept or (alpha.flattens and shares is not None):
            opaque = np.full(pixels.shape[:2], OPAQUE, dtype=np.uint8)
            pixels = apply_alpha(pixels, opaque if shares is None else shares, alpha)
        elif shares is not None:
            n_transparent += int(np.count_nonzero(shares != OPAQUE))
        stored[rows] = pixels
    refuse_transparency(n_transparent, width * height, name=name)
    return picture


def _has_transparency(
    image: Image.Image | DeepImage, key: NDArray[np.uint8] | None, rule: AlphaRule
) -> bool:
    """Return whether any pixel of a loaded image is not opaque by ``rule``, which keeps alpha."""
    palette = _read_palette(image, None) if isinstance(image, Image.Image) else None
    if palette is None:
        may_have_alpha = image.mode in _CHECKED_ALPHA or key is not None
    else:
        may_have_alpha = bool((palette[:, 3] != OPAQUE).any())
    if not may_have_alpha:
        return False  # most pictures: nothing is converted twice
    opaque_from = OPAQUE_FROM if rule.kind == "cut" else OPAQUE
    return any(
        shares is not None and (shares < opaque_from).any()
        for _, _, shares in _iterate(image, key, None)
    )


def _iterate(
    image: Image.Image | DeepImage, key: NDArray[np.uint8] | None, convert: Convert | None
) -> Iterator[tuple[slice, NDArray[np.uint8], NDArray[np.uint8] | None]]:
    """Yield strips of a loaded image: which rows, colours ``(y, x, 3)``, alpha if it has any."""
    width, height = image.size
    palette = _read_palette(image, convert) if isinstance(image, Image.Image) else None
    step = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height))
        strip = image.crop((0, top, width, rows.stop))
        if palette is None:
            yield rows, *_convert(strip, key, convert)
        else:
            yield rows, *_look_up(strip, palette)


def _read_palette(image: Image.Image, convert: Convert | None) -> NDArray[np.uint8] | None:
    """Return the palette of a loaded image as RGBA uint8 ``(256, 4)``, black where it is short.

    None where it is not of mode P.
    """
    if image.mode != "P":
        return None
    palette = np.zeros((256, 4), dtype=np.uint8)
    palette[:, 3] = OPAQUE
    mode = "RGBA" if image.palette is not None and image.palette.mode == "RGBA" else "RGB"
    colors = np.array(image.getpalette(mode) or [], dtype=np.uint8).reshape(-1, len(mode))
    palette[: len(colors), : len(mode)] = colors
    if convert is not None:
        palette[:, :3] = convert(palette[np.newaxis, :, :3])[0]
    transparency = image.info.get("transparency")
    if isinstance(transparency, bytes):
        alpha = np.frombuffer(transparency[:256], dtype=np.uint8)
        palette[: len(alpha), 3] = alpha
    elif isinstance(transparency, int) and 0 <= transparency < 256:
        palette[transparency, 3] = 0
    return palette


def _look_up(
    strip: Image.Image, palette: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the colours ``(y, x, 3)`` and alpha ``(y, x)`` of a strip of palette indices."""
    indices = np.asarray(strip)
    return palette[indices, :3], palette[indices, 3]


def _convert(
    strip: Image.Image, key: NDArray[np.uint8] | None, convert: Convert | None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Return the colours ``(y, x, 3)`` of a strip and, where it has any, its alpha ``(y, x)``."""
    if strip.mode in _CHECKED_ALPHA:
        stored = np.asarray(strip.convert("RGBA"))
        return _to_srgb(stored[..., :3], strip.mode == "LA", convert), stored[..., 3]
    stored = np.asarray(strip.convert(_READ_AS.get(strip.mode, strip.mode)))
    alpha = None
    if key is not None:
        is_key = (to_rgb(stored) == key).all(axis=2)
        alpha = np.where(is_key, np.uint8(0), np.uint8(OPAQUE))
    return _to_srgb(stored, stored.ndim == 2, convert), alpha


def _to_srgb(
    levels: NDArray[np.uint8], is_grey: bool, convert: Convert | None
) -> NDArray[np.uint8]:
    """Return stored levels ``(y, x)`` or ``(y, x, band)``, grey ones perhaps thrice, as sRGB."""
    if convert is None:
        return to_rgb(levels)
    return convert(levels[..., 0] if is_grey and levels.ndim == 3 else levels)
