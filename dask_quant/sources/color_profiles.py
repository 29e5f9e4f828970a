"""From the colours of an embedded ICC profile to sRGB.

RGB profiles of curves and a matrix (Display P3, Adobe RGB, ProPhoto, Rec. 2020, ...) and grey ones
of a curve are computed here, exactly; profiles of tables are left to littlecms. Both ways are
relative colorimetric with black point compensation: what sRGB can show is shown as it is, what it
cannot is clipped band by band. The perceptual way would differ for profiles of tables alone, and
would bend colours that need no bending.

A profile that comes out as sRGB to within `SAME_LEVELS` costs nothing and changes nothing: such
are sRGB's own, of whatever maker, name and precision. Levels without a profile are sRGB, inks
without one are ideal. A profile that is damaged, or of other colours than the pixels, is left out
with a warning: the picture is worth more than its profile.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dask_quant.color_spaces import linear_from_srgb, srgb_from_linear
from dask_quant.errors import ColorProfileWarning
from dask_quant.kernels.convert_levels import SHARE_BITS, convert_levels_block
from dask_quant.sources.header import show_cause, show_path
from dask_quant.sources.icc_profile import (
    DamagedProfileError,
    parse_profile,
    read_curve,
    read_matrix,
)

if TYPE_CHECKING:
    from dask_quant.sources.icc_profile import IccProfile

Levels = NDArray[np.uint8]
Convert = Callable[[Levels], Levels]
"""From stored levels to sRGB ones."""

SAME_LEVELS = 2
"""Levels by which a profile may differ from sRGB and be taken for it: rounded curves differ by as
much; the next of the common ones, a plain gamma of 2.2, by 6."""

_D50_OF_LINEAR = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)
"""XYZ of linear sRGB, adapted to D50 by Bradford's matrix, as profiles give colours."""

_D50_OF_WIDE = {
    "Display P3": np.array(
        [
            [0.5151187, 0.2919778, 0.1571035],
            [0.2411892, 0.6922441, 0.0665668],
            [-0.0010505, 0.0418791, 0.7840713],
        ]
    ),
    "Rec. 2020": np.array(
        [
            [0.6734241, 0.1656411, 0.1251286],
            [0.2790177, 0.6753402, 0.0456377],
            [-0.0019300, 0.0299784, 0.7973330],
        ]
    ),
}
"""The same of linear light of wider primaries."""

_N_STEPS = 1 << 16
"""Steps of linear light in the table of sRGB levels: at most a twentieth of a level apart."""

_MOST_STEPS = 1 << 19
"""Light that one level may add, in these steps: three times as much fits 32 bits. ProPhoto's blue
adds one and a third times 2^16."""

_PROBES_A_SIDE = 18
"""Levels of each band in the colours that tell whether a profile is sRGB: every fifteenth."""

_MAX_KEPT = 16
"""Profiles whose conversions are kept (arbitrary; a folder of photographs has a few)."""


@dataclass(frozen=True)
class Conversion:
    """What a profile came to."""

    convert: Convert | None
    """From its levels to sRGB; None: they are sRGB as they are."""
    problem: str = ""
    """Why it was left out, where it was."""
    fallback: str = "levels are taken as sRGB"
    """What levels are taken as in that case."""

    def warn(self, name: str) -> None:
        """Warn that the profile of the image ``name`` is left out, where it is."""
        if self.problem:
            warnings.warn(
                f"The colour profile of {show_path(name)} is left out, for {self.problem}; its "
                f"{self.fallback}.",
                ColorProfileWarning,
                stacklevel=3,
            )


def find_conversion(profile: bytes | None, space: str, *, name: str) -> Convert | None:
    """Return what converts the levels of an image to sRGB.

    Parameters
    ----------
    profile : bytes or None
        The embedded ICC profile, if any.
    space : {"RGB", "GRAY", "CMYK", "LAB"}
        What the stored levels are; colours of a palette are RGB. Inks are 0 for none; CIELAB is
        of D50, L* from 0 to 255, a* and b* as bytes with a sign.
    name : str
        What a warning calls the image.

    Returns
    -------
    callable or None
        From uint8 ``(y, x, 3)`` for RGB and LAB, ``(y, x, 4)`` for CMYK, ``(y, x)`` for grey, to
        sRGB uint8 ``(y, x, 3)``. None where there is nothing to convert, for RGB and grey alone.

    Warns
    -----
    ColorProfileWarning
        When the profile cannot be used, and is left out.

    Notes
    -----
    O(n), no memory beside the result; what profiles come to is kept.
    """
    found = look_into(profile or b"", space)
    found.warn(name)
    return found.convert


def find_wide_conversion(primaries: str) -> Convert:
    """Return what converts levels of wide primaries, with the transfer of sRGB, to sRGB.

    ``primaries`` is one of ``Display P3`` and ``Rec. 2020``; levels are uint8 ``(y, x, 3)``.
    """
    return partial(_convert_colors, _share_wide_light(primaries))


@lru_cache
def _share_wide_light(primaries: str) -> NDArray[np.int32]:
    """Return what each level of wide primaries adds to the light of sRGB."""
    curve = linear_from_srgb(np.arange(256, dtype=np.uint8))
    matrix = np.linalg.inv(_D50_OF_LINEAR) @ _D50_OF_WIDE[primaries]
    return _share_light(np.stack([curve] * 3), matrix)


@lru_cache(maxsize=_MAX_KEPT)
def look_into(data: bytes, space: str) -> Conversion:
    """Return what a profile, which may be empty, comes to for levels of ``space``.

    As `find_conversion`, but whoever opens the image is to warn.
    """
    plain = _convert_inks if space == "CMYK" else None
    if space == "LAB":
        return Conversion(_ask_littlecms(b"", space))
    if not data:
        return Conversion(plain)
    try:
        profile = parse_profile(data)
        convert = _make_conversion(profile, space)
    except DamagedProfileError as error:
        return _leave_out(space, show_cause(error))
    except Exception as error:  # littlecms raises one of Pillow's for all that it refuses
        return _leave_out(space, f"littlecms cannot use it ({show_cause(error)})")
    if space != "CMYK" and _changes_nothing(convert, space):
        return Conversion(None)
    return Conversion(convert)


def _leave_out(space: str, problem: str) -> Conversion:
    """Return what is done without a profile that cannot be used."""
    if space == "CMYK":
        return Conversion(_convert_inks, problem, "inks are taken as ideal")
    return Conversion(None, problem)


def _make_conversion(profile: IccProfile, space: str) -> Convert:
    """Return what converts levels of ``space`` by a profile; raise when they do not go together."""
    if profile.space == "RGB" and space == "GRAY":  # editors give one profile to all they write
        return _tabulate(_make_conversion(profile, "RGB"))
    if profile.space != space:
        message = f"it is one of {profile.space} and the pixels are {space}"
        raise DamagedProfileError(message)
    is_plain = profile.connection == "XYZ" and not profile.has_tables
    if space == "RGB" and is_plain:
        curves = np.stack([read_curve(profile, name) for name in (b"rTRC", b"gTRC", b"bTRC")])
        matrix = np.linalg.inv(_D50_OF_LINEAR) @ read_matrix(profile)
        return partial(_convert_colors, _share_light(curves, matrix))
    if space == "GRAY" and is_plain:
        levels = _encode(read_curve(profile, b"kTRC"))
        return partial(_look_up, np.repeat(levels[:, np.newaxis], 3, axis=1))
    return _ask_littlecms(profile.data, space)


def _ask_littlecms(data: bytes, space: str) -> Convert:
    """Return what converts levels of a profile by littlecms, which is loaded here."""
    from dask_quant.sources.littlecms import make_conversion

    return make_conversion(data, space)


def _encode(light: NDArray[np.float64]) -> Levels:
    """Return the sRGB levels of linear light from 0 to 1, of any shape."""
    return np.rint(srgb_from_linear(light)).astype(np.uint8)


@lru_cache(maxsize=1)
def _encoded_steps() -> Levels:
    """Return the sRGB level of light from 0 to 1 in even steps."""
    return _encode(np.linspace(0.0, 1.0, _N_STEPS))


def _share_light(curves: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return what each level adds to the light of each band of sRGB, for `convert_levels_block`.

    ``curves`` are ``(3, 256)``, ``matrix`` is from their light to that of linear sRGB.
    """
    shares = matrix.T[:, np.newaxis, :] * curves[:, :, np.newaxis] * (_N_STEPS - 1)
    if np.abs(shares).max() > _MOST_STEPS:
        message = "its primaries do not span a space"
        raise DamagedProfileError(message)
    whole = np.rint(shares * (1 << SHARE_BITS)).astype(np.int32)
    whole[0] += 1 << (SHARE_BITS - 1)
    return whole


def _convert_colors(shares: NDArray[np.int32], levels: Levels) -> Levels:
    """Return RGB levels ``(y, x, 3)`` as sRGB, by what they add to its light."""
    rows = np.ascontiguousarray(levels).reshape(-1, 3)
    converted = np.empty_like(rows)
    convert_levels_block(rows, shares, _encoded_steps(), converted)
    return converted.reshape(levels.shape)


def _look_up(table: Levels, levels: Levels) -> Levels:
    """Return grey levels ``(y, x)`` as sRGB by a table ``(256, 3)``."""
    return table[levels]


def _tabulate(convert: Convert) -> Convert:
    """Return what converts grey levels as ``convert`` does colours of three equal bands."""
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[np.newaxis, :, np.newaxis], 3, axis=2)
    return partial(_look_up, convert(ramp)[0])


def _convert_inks(levels: Levels) -> Levels:
    """Return inks ``(y, x, 4)`` as sRGB, as if they were ideal: light passes all of them.

    ``red = 255 (1 - cyan) (1 - black)``, and so on, rounded to the nearest: Pillow's own way.
    """
    size = (levels.shape[1], levels.shape[0])
    inks = np.ascontiguousarray(levels)
    return np.asarray(Image.frombuffer("CMYK", size, inks, "raw", "CMYK", 0, 1).convert("RGB"))


def _changes_nothing(convert: Convert, space: str) -> bool:
    """Return whether a conversion leaves all levels as they are, to within `SAME_LEVELS`."""
    if space == "GRAY":
        levels = np.arange(256, dtype=np.uint8)[np.newaxis]
        expected = levels[..., np.newaxis]
    else:
        steps = np.linspace(0, 255, _PROBES_A_SIDE).astype(np.uint8)
        levels = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
        expected = levels
    difference = convert(levels).astype(np.int16) - expected
    return int(np.abs(difference).max()) <= SAME_LEVELS
