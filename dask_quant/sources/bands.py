"""Bands of pixels: grey and opaque RGBA become RGB, anything else is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.alpha_options import OPAQUE_FROM
from dask_quant.errors import PixelFormatError
from dask_quant.premultiplied import OPAQUE, as_opaque, clear_hidden

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from dask_quant.alpha_options import AlphaRule

N_BANDS = (1, 3, 4)
"""Lengths of the band axis that are understood: grey, RGB, RGBA."""


def check_pixels(shape: tuple[int, ...], dtype: DTypeLike, *, name: str) -> None:
    """Check that pixels of this shape and type are an image that `to_rgb` takes.

    Parameters
    ----------
    shape : tuple of int
        Shape of the whole array.
    dtype : dtype
        Type of its values.
    name : str
        What the message calls it.

    Raises
    ------
    PixelFormatError
        Unless it is uint8, not empty, and ``(y, x)`` or ``(y, x, band)`` with 1, 3 or 4 bands.
    """
    got = f"Got {name} of shape {shape} and type {np.dtype(dtype)}"
    if np.dtype(dtype) != np.uint8:
        message = f"{got}; only uint8 is supported so far, so scale it to 0..255 first."
        raise PixelFormatError(message)
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in N_BANDS):
        message = f"{got}; the shape must be (y, x) or (y, x, band) with 1, 3 or 4 bands."
        raise PixelFormatError(message)
    if 0 in shape:
        message = f"{got}; an image needs at least one pixel."
        raise PixelFormatError(message)


def refuse_transparency(n_transparent: int, n_pixels: int, *, name: str) -> None:
    """Raise `PixelFormatError` when ``n_transparent`` of ``n_pixels`` pixels are not opaque."""
    if n_transparent:
        message = (
            f"Got {name} with {n_transparent} of {n_pixels} pixels not opaque (alpha below "
            f"{OPAQUE}), which this does not know; use --alpha drop or --alpha matte:#rrggbb."
        )
        raise PixelFormatError(message)


def apply_alpha(
    colors: NDArray[np.uint8], alpha: NDArray[np.uint8], rule: AlphaRule
) -> NDArray[np.uint8]:
    """Return pixels with what ``rule`` makes of their transparency.

    Parameters
    ----------
    colors : ndarray
        sRGB uint8 ``(y, x, 3)``.
    alpha : ndarray
        uint8 ``(y, x)``.
    rule : AlphaRule
        Of any kind but ``refuse``.

    Returns
    -------
    ndarray
        RGBA uint8 ``(y, x, 4)``, black where fully transparent, where it is kept. Else sRGB
        ``(y, x, 3)``; on a matte, the levels as they are stored are mixed by alpha, and rounded to
        the nearest, of which there is always one.

    Examples
    --------
    >>> from dask_quant.alpha_options import AlphaRule
    >>> gray, half = np.full((1, 1, 3), 200, dtype=np.uint8), np.full((1, 1), 128, dtype=np.uint8)
    >>> apply_alpha(gray, half, AlphaRule("matte", (0, 0, 255))).tolist()
    [[[100, 100, 227]]]
    """
    if rule.kind == "drop":
        return np.ascontiguousarray(colors)
    shares = alpha[..., np.newaxis]
    if rule.kind == "matte":
        mixed = colors.astype(np.uint16) * shares
        mixed += np.array(rule.matte, dtype=np.uint16) * (OPAQUE - shares)
        mixed += OPAQUE // 2
        return (mixed // OPAQUE).astype(np.uint8)
    if rule.kind == "cut":
        shares = np.where(shares < OPAQUE_FROM, np.uint8(0), np.uint8(OPAQUE))
    return clear_hidden(np.concatenate([colors, shares], axis=-1))


def read_bands(
    block: NDArray[np.uint8], rule: AlphaRule, *, name: str = "a block"
) -> NDArray[np.uint8]:
    """Return a block of pixels as `to_rgb` does, with what ``rule`` makes of transparency.

    Where it is kept, blocks of four bands stay so, opaque or not.
    """
    if block.ndim == 3 and block.shape[2] == 4 and rule.kind != "refuse":
        return apply_alpha(block[..., :3], block[..., 3], rule)
    return to_rgb(block, name=name)


def read_whole(
    image: NDArray[np.uint8], rule: AlphaRule, *, name: str = "a block"
) -> NDArray[np.uint8]:
    """Return a whole image as `read_bands` does, of three bands where all pixels are opaque."""
    pixels = read_bands(image, rule, name=name)
    opaque = as_opaque(pixels)
    return pixels if opaque is None else opaque


def to_rgb(block: NDArray[np.uint8], *, name: str = "a block") -> NDArray[np.uint8]:
    """Return a block of pixels as RGB.

    Parameters
    ----------
    block : ndarray
        sRGB uint8 ``(y, x)`` or ``(y, x, band)``: grey, RGB, or RGBA that is opaque throughout.
    name : str, default "a block"
        What the message of an error calls it.

    Returns
    -------
    ndarray
        sRGB uint8 ``(y, x, 3)``, C-contiguous; ``block`` itself where that is possible.

    Raises
    ------
    PixelFormatError
        When a pixel of an RGBA block is not opaque.

    Examples
    --------
    >>> to_rgb(np.array([[1, 2]], dtype=np.uint8)).tolist()
    [[[1, 1, 1], [2, 2, 2]]]
    """
    bands = block[..., np.newaxis] if block.ndim == 2 else block
    if bands.shape[2] == 1:
        return np.repeat(bands, 3, axis=2)
    if bands.shape[2] == 4:
        alpha = bands[..., 3]
        refuse_transparency(int(np.count_nonzero(alpha != OPAQUE)), alpha.size, name=name)
    return np.ascontiguousarray(bands[..., :3])
