"""Options of a segmentation, validated once, at the door."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

from dask_quant.errors import OptionError
from dask_quant.options import MAX_SEED, require, set_integers, set_paths

if TYPE_CHECKING:
    from pathlib import Path

SCALES = ("none", "standard", "minmax", "robust")
"""Ways to bring bands to one scale."""

INITS = ("k-means++", "k-means||")
"""Ways to find first centres."""

MAX_CLUSTERS = 65_535
"""Labels are uint16 at most, and one of them stands for pixels that have none."""

MAX_BANDS = 65_535
"""Highest number of a band that a list names: a TIFF has no more."""

Band = int | str

_NUMBER = r"\s*[0-9]{1,9}\s*"


@dataclass(frozen=True)
class BandIndex:
    """A normalised difference of two bands, ``(a - b) / (a + b)``."""

    name: str
    """Name of the band that it becomes."""
    bands: tuple[Band, Band] | None = None
    """The two bands, by number among those that are used, or by name; None: those that an index of
    this name has."""


@dataclass(frozen=True, kw_only=True)
class BandOptions:
    """What of a raster is used, and what of it means nothing."""

    bands: tuple[Band, ...] | None = None
    """Bands by their number in the file, from 1, or by name, in this order; None: all."""
    indices: tuple[BandIndex, ...] = ()
    """Normalised differences that are used as further bands."""
    nodata: float | None = None
    """Sample that stands for "nothing here" in every band, whatever the file says of it."""
    mask: Path | None = None
    """Raster of the same size, of which pixels of 0 are left out."""

    def __post_init__(self) -> None:
        set_paths(self, "mask")
        if self.bands is not None:
            object.__setattr__(self, "bands", _as_bands(self.bands))
        object.__setattr__(self, "indices", _as_indices(self.indices))
        if self.nodata is not None:
            object.__setattr__(self, "nodata", _as_float(self.nodata, "nodata"))


@dataclass(frozen=True, kw_only=True)
class SegmentOptions:
    """How classes are fitted."""

    n_clusters: int = 8
    """Classes asked for, 1 to 65535."""
    scale: str = "none"
    """``none``, ``standard`` (mean 0, variance 1), ``minmax`` (0 to 1) or ``robust`` (median 0,
    interquartile range 1, both of a sample)."""
    band_weights: tuple[float, ...] | None = None
    """How much the squared difference of each band counts, above 0; None: 1 each."""
    pca: int | float | None = None
    """Distances are measured in so many principal components of the bands as scaled and weighted,
    or, below 1, in as many as hold this share of all variance; None: in the bands."""
    seed: int = 0
    """Seed of every random draw, 0 to 2**63 - 1; recorded in the output."""
    init: str = "k-means++"
    """``k-means++``: fit a sample first, then all pixels. ``k-means||``: draw from all pixels."""
    n_init: int | None = None
    """Restarts, the best of which is kept; None: up to 8 on the sample, 1 on all pixels."""
    max_iter: int = 300
    """Times at most that centres are moved, on all pixels."""
    tol: float = 1e-4
    """Stop once the squared shifts of all centres sum up to this times the mean variance."""

    def __post_init__(self) -> None:
        set_integers(self, "n_clusters", "seed", "max_iter", optional=False)
        set_integers(self, "n_init")
        require(
            1 <= self.n_clusters <= MAX_CLUSTERS,
            f"Got {self.n_clusters} classes; ask for 1 to {MAX_CLUSTERS}.",
        )
        for name, known in (("scale", SCALES), ("init", INITS)):
            value = getattr(self, name)
            require(
                isinstance(value, str) and value in known,
                f"Got {name} {value!r}; known are {', '.join(known)}.",
            )
        require(
            0 <= self.seed <= MAX_SEED,
            f"Got seed {self.seed}; use an integer from 0 to 2**63 - 1.",
        )
        require(
            self.n_init is None or self.n_init >= 1, f"Got n_init {self.n_init}; use at least 1."
        )
        require(self.max_iter >= 1, f"Got max_iter {self.max_iter}; use at least 1.")
        object.__setattr__(self, "tol", _as_float(self.tol, "tol"))
        require(
            0 <= self.tol < float("inf"), f"Got tol {self.tol}; use a finite number of 0 or more."
        )
        if self.pca is not None:
            object.__setattr__(self, "pca", _as_pca(self.pca))
        if self.band_weights is not None:
            object.__setattr__(self, "band_weights", _as_weights(self.band_weights))


def _as_bands(given: Any) -> tuple[Band, ...]:
    """Return bands as numbers and names, or raise `OptionError`."""
    if isinstance(given, (str, int)):
        given = (given,)
    try:
        bands = tuple(band if isinstance(band, str) else _as_band_number(band) for band in given)
    except TypeError:
        message = f"Got bands {given!r}; give numbers from 1 or names."
        raise OptionError(message) from None
    require(len(bands) > 0, "Got no band; leave bands out to use all.")
    require(len(set(bands)) == len(bands), f"Got bands {list(bands)}; name each of them once.")
    return bands


def _as_indices(given: Any) -> tuple[BandIndex, ...]:
    """Return indices, each as it is or as text, or raise `OptionError`."""
    if isinstance(given, (str, BandIndex)):
        given = (given,)
    try:
        indices = tuple(
            each if isinstance(each, BandIndex) else parse_index(each) for each in given
        )
    except TypeError:
        message = f"Got indices {given!r}; write them like ndvi or ndvi=4/3."
        raise OptionError(message) from None
    names = [index.name for index in indices]
    require(len(set(names)) == len(names), f"Got indices {names}; name each of them once.")
    return indices


def _as_band_number(given: Any) -> int:
    """Return the number of a band; raise `TypeError` for what is none, such as a mask of bands."""
    if isinstance(given, bool):
        raise TypeError
    return operator.index(given)


def _as_weights(given: Any) -> tuple[float, ...]:
    """Return the weights of bands, or raise `OptionError`."""
    try:
        weights = tuple(_as_float(weight, "a band weight") for weight in given)
    except TypeError:
        message = f"Got band weights {given!r}; give a number above 0 for each band."
        raise OptionError(message) from None
    require(
        all(0 < weight < float("inf") for weight in weights),
        f"Got band weights {list(weights)}; use numbers above 0, and leave bands out by bands.",
    )
    return weights


def _as_pca(given: Any) -> int | float:
    """Return a number of components or a share of variance, or raise `OptionError`."""
    value = _as_float(given, "pca")
    is_share = 0 < value < 1
    require(
        is_share or (1 <= value <= MAX_BANDS and value == int(value)),
        f"Got pca {given!r}; ask for a number of components, or for a share of variance below 1.",
    )
    return value if is_share else int(value)


def _as_float(given: Any, name: str) -> float:
    """Return a number, or raise `OptionError`."""
    message = f"Got {name} {given!r}; use a number."
    require(isinstance(given, Real) and not isinstance(given, bool), message)
    try:
        return float(given)
    except OverflowError:
        message = f"Got a number beyond 1.8e308 for {name}; a float holds no more."
        raise OptionError(message) from None


def parse_bands(text: str) -> tuple[Band, ...]:
    """Return the bands that a list names: numbers, ranges like ``1:4`` (both ends in), names.

    Raises
    ------
    OptionError
        When a part of the list is empty, or a range is.

    Examples
    --------
    >>> parse_bands("4,3,2"), parse_bands("1:3,7"), parse_bands("red,nir")
    ((4, 3, 2), (1, 2, 3, 7), ('red', 'nir'))
    """
    return tuple(band for part in text.split(",") for band in _parse_band(part, text))


def _parse_band(part: str, text: str) -> tuple[Band, ...]:
    """Return the bands that a part of the list ``text`` names."""
    require(part.strip() != "", f"Got {text!r} for bands; write 4,3,2 or 1:4 or names.")
    if re.fullmatch(_NUMBER, part):
        return (int(part),)
    if re.fullmatch(f"{_NUMBER}:{_NUMBER}", part) is None:
        return (part.strip(),)
    first, last = map(int, part.split(":"))
    require(
        first <= last <= MAX_BANDS,
        f"Got the range {part.strip()!r} of bands; write first:last, up to {MAX_BANDS}.",
    )
    return tuple(range(first, last + 1))


def parse_index(text: str) -> BandIndex:
    """Return the index that a text names: one that is known, or ``NAME=A/B`` for its two bands.

    Raises
    ------
    OptionError
        When the text is neither.

    Examples
    --------
    >>> parse_index("ndvi").bands, parse_index("ndvi=4/3").bands, parse_index("wet=green/nir").bands
    (None, (4, 3), ('green', 'nir'))
    """
    match = re.fullmatch(r"\s*([^=]*[^=\s])\s*(?:=([^/]*)/([^/]*))?", text)
    if match is None:
        message = f"Got the index {text!r}; write it like ndvi or ndvi=4/3."
        raise OptionError(message)
    if match[2] is None:
        return BandIndex(match[1])
    bands = (*_parse_band(match[2], text), *_parse_band(match[3], text))
    require(len(bands) == 2, f"Got the index {text!r} of {len(bands)} bands; it has two.")
    return BandIndex(match[1], (bands[0], bands[1]))


def parse_numbers(text: str, name: str) -> tuple[float, ...]:
    """Return the numbers of a list like ``1,1,0.5``.

    Raises
    ------
    OptionError
        When ``text`` is no such list; ``name`` says what it is for.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        message = f"Got {text!r} for {name}; write numbers like 1,1,0.5."
        raise OptionError(message) from None
