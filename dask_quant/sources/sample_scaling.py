"""Deeper samples as 8-bit levels: one rule for every format, and nothing clipped in silence.

A palette is of 8-bit sRGB, so a picture of deeper samples is brought to 8 bits, each to its nearest
level, before its colours are counted. What has no agreed white, such as counts of photons or
metres above the sea, is refused: `dask_quant.segment` takes samples as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.errors import PixelFormatError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

_LEVELS = 255
_MOST_16 = (1 << 16) - 1
_STEP_16 = _MOST_16 // _LEVELS
"""Levels of 16 bits between two of 8."""


def check_scalable(dtype: DTypeLike, *, name: str) -> None:
    """Raise `PixelFormatError` unless `to_eight_bits` takes samples of a type."""
    kind = np.dtype(dtype)
    if kind in (np.uint8, np.uint16, np.bool_) or kind.kind == "f":
        return
    message = (
        f"Got {name} with {kind} samples, which have no white to scale by; use segment, which "
        "takes them as they are, or scale them to uint8 first."
    )
    raise PixelFormatError(message)


def to_eight_bits(
    samples: NDArray[Any], *, name: str, bits: int | None = None
) -> NDArray[np.uint8]:
    """Return samples as 8-bit levels, each rounded to the nearest, halves up. **Eager**.

    Parameters
    ----------
    samples : ndarray
        Of any shape. uint8 stays as it is; uint16 is brought from 0..65535, or from
        0..2^``bits`` - 1; floats of any width from 0..1; booleans become 0 and 255.
    name : str
        What the message of an error calls them.
    bits : int, optional
        Bits that a uint16 sample has, 9 to 16. None: 16.

    Raises
    ------
    PixelFormatError
        When they are of another type, or some are outside the range or no numbers.

    Examples
    --------
    >>> to_eight_bits(np.array([0, 128, 129, 65535], dtype=np.uint16), name="it").tolist()
    [0, 0, 1, 255]
    >>> to_eight_bits(np.array([0.0, 0.5, 1.0]), name="it").tolist()
    [0, 128, 255]
    """
    check_scalable(samples.dtype, name=name)
    if samples.dtype == np.uint8:
        return samples
    if samples.dtype == np.bool_:
        return samples.astype(np.uint8) * np.uint8(_LEVELS)
    if samples.dtype == np.uint16:
        most = _MOST_16 if bits is None else (1 << bits) - 1
        if most < _MOST_16 and samples.max(initial=0) > most:
            message = (
                f"Got {name} of {bits}-bit samples with the value {samples.max()}, above {most}."
            )
            raise PixelFormatError(message)
        return scale_integers(samples, most)
    return _scale_floats(samples, name)


def scale_integers(samples: NDArray[np.unsignedinteger[Any]], most: int) -> NDArray[np.uint8]:
    """Return samples of 8 or 16 bits, 0 to ``most``, as levels, each the nearest, halves up."""
    if _LEVELS % most == 0:
        levels = samples.astype(np.uint8, copy=False)
        return levels if most == _LEVELS else levels * np.uint8(_LEVELS // most)
    if most == _MOST_16:
        quotients = samples // np.uint16(_STEP_16)
        quotients += samples % np.uint16(_STEP_16) > _STEP_16 // 2
        return quotients.astype(np.uint8)
    wide = samples.astype(np.uint32)
    return ((wide * (2 * _LEVELS) + most) // (2 * most)).astype(np.uint8)


def _scale_floats(samples: NDArray[np.floating[Any]], name: str) -> NDArray[np.uint8]:
    """Return numbers from 0 to 1 as levels."""
    if samples.size and not (samples.min() >= 0 and samples.max() <= 1):
        found = samples[np.isfinite(samples)]
        spread = f"{found.min():g} to {found.max():g}" if found.size else "no finite number"
        n_odd = samples.size - found.size
        odd = f" and {n_odd} that are no finite numbers" if n_odd else ""
        message = (
            f"Got {name} with float samples of {spread}{odd}; floats are taken as levels from 0 to "
            "1, so scale them, or use segment, which takes them as they are."
        )
        raise PixelFormatError(message)
    to_type = samples.dtype.type
    levels: NDArray[np.uint8] = (samples * to_type(_LEVELS) + to_type(0.5)).astype(np.uint8)
    return levels
