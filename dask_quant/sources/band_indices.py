"""Normalised differences of two bands, such as NDVI, as bands of their own.

A value is ``(a - b) / (a + b)``, float32 where the samples have at most 16 bits and float64
elsewhere; where both are 0 it is NaN, and the pixel means nothing.

References
----------
.. [1] J. W. Rouse et al., "Monitoring vegetation systems in the Great Plains with ERTS", NASA
   SP-351, 1974 (NDVI).
.. [2] S. K. McFeeters, "The use of the normalized difference water index (NDWI)", International
   Journal of Remote Sensing 17(7), 1996, doi:10.1080/01431169608948714.
.. [3] H. Xu, "Modification of normalised difference water index (NDWI)", International Journal of
   Remote Sensing 27(14), 2006, doi:10.1080/01431160600589179 (MNDWI).
.. [4] B.-C. Gao, "NDWI, a normalized difference water index for remote sensing of vegetation liquid
   water", Remote Sensing of Environment 58(3), 1996, doi:10.1016/S0034-4257(96)00067-3 (NDMI).
.. [5] Y. Zha, J. Gao, S. Ni, "Use of normalized difference built-up index", International Journal
   of Remote Sensing 24(3), 2003, doi:10.1080/01431160304987 (NDBI).
.. [6] C. H. Key, N. C. Benson, "Landscape assessment", USDA RMRS-GTR-164, 2006 (NBR).
.. [7] D. K. Hall, G. A. Riggs, V. V. Salomonson, "Development of methods for mapping global snow
   cover", Remote Sensing of Environment 54(2), 1995, doi:10.1016/0034-4257(95)00137-P (NDSI).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dask_quant.segment_options import BandIndex

KNOWN_INDICES = {
    "ndvi": ("nir", "red"),
    "ndwi": ("green", "nir"),
    "mndwi": ("green", "swir1"),
    "ndmi": ("nir", "swir1"),
    "ndbi": ("swir1", "nir"),
    "nbr": ("nir", "swir2"),
    "ndsi": ("green", "swir1"),
}
"""Indices by name, and the names of the bands that they are made of."""


@dataclass(frozen=True)
class PlacedIndex:
    """An index, and where its two bands are among those that are read."""

    name: str
    """Name of the band that it becomes."""
    first: int
    """Place of ``a``, from 0."""
    second: int
    """Place of ``b``."""


def place_indices(
    indices: Sequence[BandIndex], band_names: Sequence[str], raster: str
) -> tuple[PlacedIndex, ...]:
    """Return indices by the places of their bands, or raise `OptionError`.

    Bands are found by their number among those that are used, from 1, or by their name; case,
    blanks and signs between letters do not count.
    """
    return tuple(_place(index, band_names, raster) for index in indices)


def _place(index: BandIndex, band_names: Sequence[str], raster: str) -> PlacedIndex:
    """Return one index by the places of its bands."""
    bands = index.bands or KNOWN_INDICES.get(index.name.lower())
    if bands is None:
        message = (
            f"Got the index {index.name!r}; known are {', '.join(KNOWN_INDICES)}, others are "
            "written NAME=A/B, which is (A - B) / (A + B)."
        )
        raise OptionError(message)
    first, second = (_find(band, band_names, index.name, raster) for band in bands)
    return PlacedIndex(index.name, first, second)


def _find(band: int | str, band_names: Sequence[str], index: str, raster: str) -> int:
    """Return the place of a band."""
    if isinstance(band, int):
        if 1 <= band <= len(band_names):
            return band - 1
    else:
        plain = [_plain(name) for name in band_names]
        if _plain(band) in plain:
            return plain.index(_plain(band))
    message = (
        f"Got the index {index!r} of a band {band!r}, but {raster} has {', '.join(band_names)}; "
        f"say which bands are meant, by number: {index}=4/3."
    )
    raise OptionError(message)


def _plain(name: str) -> str:
    """Return a name in small letters and digits alone."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def index_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of bands and indices together: it holds every sample of ``dtype``."""
    return np.result_type(dtype, np.float32)


def append_indices(
    given: tuple[NDArray[Any], NDArray[np.bool_]], indices: Sequence[PlacedIndex]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return a block with a band for each index behind. **Eager**.

    A block is samples ``(y, x, band)`` and where they mean something, bool ``(y, x)``.

    Examples
    --------
    >>> block = np.array([[[30, 10], [0, 0]]], dtype=np.uint8), np.ones((1, 2), dtype=bool)
    >>> more, valid = append_indices(block, [PlacedIndex("ndvi", 0, 1)])
    >>> more[0, 0].tolist(), valid.tolist()
    ([30.0, 10.0, 0.5], [[True, False]])
    """
    pixels, valid = given
    n_bands = pixels.shape[2]
    more = np.empty((*pixels.shape[:2], n_bands + len(indices)), dtype=index_dtype(pixels.dtype))
    more[..., :n_bands] = pixels
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for number, index in enumerate(indices, start=n_bands):
            a, b = more[..., index.first], more[..., index.second]
            more[..., number] = (a - b) / (a + b)
    known: NDArray[np.bool_] = valid & np.isfinite(more[..., n_bands:]).all(axis=2)
    return more, known
