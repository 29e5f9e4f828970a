"""What the samples of a TIFF mean: from numbers as they are stored to 8-bit sRGB.

- Grey is stretched to 0..255 from 0..2^bits - 1; MinIsWhite is turned over.
- Indices are looked up in the colour table, whose 16-bit entries lose their lower half, as in
  Pillow; a table of which no entry is above 255 is taken as one of 8 bits, as in libtiff.
- RGB of up to 16 bits, and floats, are brought to 8 by `sample_scaling`.
- CMYK goes through its profile, or through Pillow's conversion of ideal inks; YCbCr too, but for
  that in JPEG, which is converted by its decoder. CIELAB, in either of its codings, is that of D50.
- Levels are then brought to sRGB by the embedded profile, if any, once alpha is divided out.
- One sample more than these is alpha, unless the file says that it is something else. Colours that
  were multiplied by it are divided again.

References
----------
.. [1] Adobe, "TIFF Revision 6.0", 1992, sections 3 to 7 and 16 to 23.
.. [2] Adobe, "Adobe Photoshop TIFF Technical Notes", 2002: ICC L*a*b*.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from dask_quant.errors import PixelFormatError
from dask_quant.premultiplied import OPAQUE
from dask_quant.sources.sample_scaling import check_scalable, scale_integers, to_eight_bits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dask_quant.sources.color_profiles import Conversion, Convert

MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE = 0, 1, 2, 3
CMYK, YCBCR = 5, 6
CIELAB, ICC_LAB = 8, 9

_GREYS, _LABS = (MIN_IS_WHITE, MIN_IS_BLACK), (CIELAB, ICC_LAB)

PREMULTIPLIED, STRAIGHT = 1, 2
"""Extra samples that are alpha: colours are multiplied by it, or not."""

N_COLORS = {
    **{MIN_IS_WHITE: 1, MIN_IS_BLACK: 1, RGB: 3, PALETTE: 1},
    **{CMYK: 4, YCBCR: 3, CIELAB: 3, ICC_LAB: 3},
}
"""Kinds of pixels that are read, by the tag PhotometricInterpretation, and their samples."""

_MODES = {
    MIN_IS_WHITE: "L",
    MIN_IS_BLACK: "L",
    RGB: "RGB",
    PALETTE: "P",
    CMYK: "CMYK",
    YCBCR: "YCbCr",
    CIELAB: "LAB",
    ICC_LAB: "LAB",
}

_OTHER_KINDS = {
    4: "a transparency mask",
    10: "ITULab",
    32803: "the colour filter of a camera",
    32844: "LogL",
    32845: "LogLuv",
    34892: "linear raw samples of a camera",
}

_SIGN = 0x80
"""What turns levels around 128 into levels around 0, and back."""

_HALF = 1 << 7
"""Half of a level of 8 bits in CIELAB of 16, where 256 numbers are one."""


@dataclass(frozen=True)
class SampleMeaning:
    """How the samples of a page become colours."""

    name: str
    """What messages call the image."""
    photometric: int
    """Kind of its pixels, as a number of the tag PhotometricInterpretation."""
    dtype: np.dtype[Any]
    """Type of its samples once they are decoded."""
    bits: int
    """Bits that a sample has."""
    n_samples: int
    """Samples of a pixel."""
    alpha: int
    """0: none, else `PREMULTIPLIED` or `STRAIGHT`."""
    table: NDArray[np.uint8] | None
    """8-bit levels of every integer sample ``(2^bits,)``, or its colours ``(2^bits, 3)``."""
    mix: Convert | None = None
    """From levels of inks, YCbCr or CIELAB to RGB."""
    profile: Conversion | None = None
    """What the embedded profile came to, if any; a table and inks are converted by it already."""

    @property
    def bands(self) -> int:
        """Bands of what `convert` returns: 1, 3, or 4 with alpha."""
        if self.alpha:
            return 4
        return 1 if self.photometric in _GREYS and self._to_srgb is None else 3

    @property
    def _to_srgb(self) -> Convert | None:
        """What the profile does to grey and RGB that come out of `_to_colors`."""
        if self.profile is None or self.photometric in (PALETTE, CMYK, *_LABS):
            return None
        return self.profile.convert

    def convert(self, samples: NDArray[Any]) -> NDArray[np.uint8]:
        """Return samples ``(y, x, sample)`` as sRGB uint8 ``(y, x, band)``, alpha straight.

        Raises
        ------
        PixelFormatError
            When floats are outside 0 to 1.
        IndexError
            When an integer has more bits than the file said.
        """
        if not self.alpha:
            return self._apply_profile(self._to_colors(samples))
        pixels = np.empty((*samples.shape[:2], 4), dtype=np.uint8)
        pixels[..., :3] = self._to_colors(samples[..., :-1])
        pixels[..., 3] = _to_levels(samples[..., -1], self.bits, self.name)
        if self.alpha == PREMULTIPLIED:
            pixels = _divide_by_alpha(pixels)
        pixels[..., :3] = self._apply_profile(pixels[..., :3])
        return pixels

    def _apply_profile(self, levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return grey ``(y, x, 1 or 3)`` or RGB as sRGB; as it is where there is no profile."""
        convert = self._to_srgb
        if convert is None:
            return levels
        return convert(levels[..., 0] if self.photometric in _GREYS else levels)

    def _to_colors(self, samples: NDArray[Any]) -> NDArray[np.uint8]:
        """Return samples without alpha as ``(y, x, 1)`` or ``(y, x, 3)``."""
        if self.photometric == PALETTE:
            assert self.table is not None
            colors: NDArray[np.uint8] = self.table[samples[..., 0]]
            return colors
        if self.photometric in _LABS:
            levels = _to_lab_levels(samples, self.photometric)
        elif self.table is None:
            levels = to_eight_bits(samples, name=self.name)
        else:
            levels = self._look_up(samples)
        if self.photometric == MIN_IS_WHITE and self.table is None:
            return OPAQUE - levels
        return levels if self.mix is None else self.mix(levels)

    def _look_up(self, samples: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the levels of integers; 8 bits that mean themselves stay as they are."""
        assert self.table is not None
        if self.bits == 8 and self.photometric != MIN_IS_WHITE:
            return samples
        levels: NDArray[np.uint8] = self.table[samples]
        return levels


def find_meaning(
    *,
    name: str,
    photometric: int,
    dtype: np.dtype[Any],
    bits: int,
    n_samples: int,
    extra: Sequence[int],
    color_table: NDArray[np.uint16] | None,
    icc: bytes | None = None,
) -> SampleMeaning:
    """Return how samples become colours, or raise `PixelFormatError` where nobody knows.

    Parameters
    ----------
    name : str
        What messages call the image.
    photometric : int
        Tag PhotometricInterpretation; YCbCr that the decoder turns into RGB is `RGB` here.
    dtype : dtype
        Type of a decoded sample.
    bits, n_samples : int
        Bits of a sample and samples of a pixel, as stored.
    extra : sequence of int
        Tag ExtraSamples; empty where the file has none.
    color_table : ndarray or None
        Tag ColorMap ``(3, 2^bits)``, uint16, of a palette.
    icc : bytes or None
        The embedded profile. Whoever opens the file warns where it cannot be used.
    """
    n_colors = _check_kind(photometric, name)
    if photometric in _LABS and (dtype.kind, bits) not in (("u", 8), ("u", 16)):
        message = (
            f"Got {name} with CIELAB of {bits}-bit {dtype} samples; it is read of 8 and of 16 "
            "bits, so convert it to 8-bit RGB first."
        )
        raise PixelFormatError(message)
    n_extra = n_samples - n_colors
    if n_extra < 0:
        message = f"Cannot read {name}: its header claims {n_samples} samples of {n_colors}."
        raise PixelFormatError(message)
    alpha = find_alpha(n_extra, extra)
    if n_extra > 1 or (n_extra == 1 and not alpha):
        message = (
            f"Got {name} with {n_samples} bands, of which {_MODES[photometric]} would show "
            f"{n_colors}; use segment, which takes them all, or save those wanted as RGB first."
        )
        raise PixelFormatError(message)
    check_scalable(dtype, name=name)
    profile = _find_profile(photometric, bits, icc)
    table = _make_table(photometric, dtype, bits, color_table, name)
    if photometric == PALETTE and table is not None and profile and profile.convert:
        table = profile.convert(table[np.newaxis])[0]
    return SampleMeaning(
        name=name,
        photometric=photometric,
        dtype=dtype,
        bits=bits,
        n_samples=n_samples,
        alpha=alpha,
        table=table,
        mix=_find_mix(photometric, profile),
        profile=profile,
    )


def describe_mode(photometric: int, dtype: np.dtype[Any], bits: int, n_samples: int) -> str:
    """Return samples in Pillow's words: ``RGB``, ``I;16``, ``RGB;16``, ``F``, ``RGB;F``, ...

    Examples
    --------
    >>> describe_mode(MIN_IS_BLACK, np.dtype("u2"), 16, 1), describe_mode(RGB, np.dtype("u1"), 8, 4)
    ('I;16', 'RGBA')
    """
    if n_samples == 1 and photometric in (MIN_IS_WHITE, MIN_IS_BLACK):
        plain = {("u", 1): "1", ("b", 1): "1", ("u", 16): "I;16"}.get((dtype.kind, bits))
        if plain or dtype.kind == "f":
            return plain or "F"
    mode = _MODES.get(photometric, _OTHER_KINDS.get(photometric, f"photometric {photometric}"))
    n_extra = n_samples - N_COLORS.get(photometric, n_samples)
    if n_extra > 0:
        mode += "A" if n_extra == 1 else f"+{n_extra}"
    if dtype.kind in "fi":
        return f"{mode};F" if dtype.kind == "f" else f"{mode};S"
    return f"{mode};{bits}" if bits > 8 else mode


def _check_kind(photometric: int, name: str) -> int:
    """Return the samples of a kind of pixels, or raise `PixelFormatError`."""
    if photometric in N_COLORS:
        return N_COLORS[photometric]
    kind = _OTHER_KINDS.get(photometric, f"pixels of the unknown kind {photometric}")
    message = (
        f"Got {name} with {kind}; only grey, palette, RGB, CMYK, YCbCr and CIELAB are supported, "
        "so convert it to 8-bit RGB first."
    )
    raise PixelFormatError(message)


def find_alpha(n_extra: int, extra: Sequence[int]) -> int:
    """Return what a single sample more is; alpha that is straight where the file does not say."""
    if n_extra != 1:
        return 0
    kind = extra[0] if len(extra) else STRAIGHT
    return kind if kind in (PREMULTIPLIED, STRAIGHT) else 0


def _find_profile(photometric: int, bits: int, icc: bytes | None) -> Conversion | None:
    """Return what an embedded profile comes to; None where there is nothing to convert."""
    if photometric in _LABS:
        space, icc = "LAB", b""
    elif not icc or (photometric in _GREYS and bits == 1):
        return None
    else:
        space = {CMYK: "CMYK"}.get(photometric, "GRAY" if photometric in _GREYS else "RGB")
    from dask_quant.sources.color_profiles import look_into

    return look_into(icc, space)


def _find_mix(photometric: int, profile: Conversion | None) -> Convert | None:
    """Return what makes RGB of levels that are neither that nor grey."""
    if photometric in (CMYK, *_LABS) and profile is not None:
        return profile.convert
    if photometric in (CMYK, YCBCR):
        return partial(_convert_mode, _MODES[photometric])
    return None


def _make_table(
    photometric: int,
    dtype: np.dtype[Any],
    bits: int,
    color_table: NDArray[np.uint16] | None,
    name: str,
) -> NDArray[np.uint8] | None:
    """Return what every integer sample becomes, or None for floats."""
    if photometric == PALETTE:
        return _make_color_table(dtype, bits, color_table, name)
    if dtype.kind == "f" or photometric in _LABS:
        return None
    levels = _to_levels(np.arange(1 << bits, dtype=np.uint16), bits, name)
    return OPAQUE - levels if photometric == MIN_IS_WHITE else levels


def _make_color_table(
    dtype: np.dtype[Any], bits: int, color_table: NDArray[np.uint16] | None, name: str
) -> NDArray[np.uint8]:
    """Return a colour table as uint8 ``(2^bits, 3)``."""
    if color_table is None or color_table.shape != (3, 1 << bits) or dtype.kind not in "bu":
        message = (
            f"Cannot read {name}: its palette is missing, or of another size than indices of "
            f"{bits} bits need."
        )
        raise PixelFormatError(message)
    is_shallow = color_table.max() <= OPAQUE
    return np.ascontiguousarray((color_table if is_shallow else color_table >> 8).T, dtype=np.uint8)


def _to_levels(samples: NDArray[Any], bits: int, name: str) -> NDArray[np.uint8]:
    """Return samples of any depth as 8-bit levels."""
    if samples.dtype.kind == "f" or bits > 8:
        return to_eight_bits(samples, name=name, bits=bits if samples.dtype == np.uint16 else None)
    return scale_integers(samples, (1 << bits) - 1)


def _to_lab_levels(samples: NDArray[Any], photometric: int) -> NDArray[np.uint8]:
    """Return CIELAB of 8 or 16 bits ``(y, x, 3)`` as 8-bit levels, a* and b* with a sign.

    TIFF's own coding spreads L* over all numbers, and a* and b* have a sign; in that of ICC they
    lie around the middle, and 16 bits are 256 times 8, also of L*.
    """
    if samples.dtype == np.uint8 and photometric == CIELAB:
        return samples
    levels: NDArray[np.uint8] = samples
    if samples.dtype != np.uint8:
        wide = samples.astype(np.uint32)
        if photometric == CIELAB:
            wide[..., 1:] ^= _SIGN << 8
        levels = np.minimum((wide + _HALF) >> 8, OPAQUE).astype(np.uint8)
        if photometric == CIELAB:
            levels[..., 0] = to_eight_bits(samples[..., 0], name="L*")
    signed = levels.copy()
    signed[..., 1:] ^= _SIGN
    return signed


def _divide_by_alpha(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return premultiplied RGBA as straight RGBA, rounded down as Pillow does, in place."""
    alpha = pixels[..., 3:].astype(np.uint32)
    if (alpha == OPAQUE).all():
        return pixels
    straight = pixels[..., :3].astype(np.uint32) * OPAQUE // np.maximum(alpha, 1)
    pixels[..., :3] = np.minimum(straight, OPAQUE)
    return pixels


def _convert_mode(mode: str, levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 8-bit samples of one of Pillow's modes as RGB, by its rule."""
    size = (levels.shape[1], levels.shape[0])
    data = np.ascontiguousarray(levels)
    image = Image.frombuffer(mode, size, data, "raw", mode, 0, 1)
    return np.asarray(image.convert("RGB"))
