"""Options of a segmentation, validated once, at the door."""

from __future__ import annotations

from dataclasses import dataclass
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

Band = int | str


@dataclass(frozen=True, kw_only=True)
class BandOptions:
    """What of a raster is used, and what of it means nothing."""

    bands: tuple[Band, ...] | None = None
    """Bands by their number in the file, from 1, or by name, in this order; None: all."""
    nodata: float | None = None
    """Sample that stands for "nothing here" in every band, whatever the file says of it."""
    mask: Path | None = None
    """Raster of the same size, of which pixels of 0 are left out."""

    def __post_init__(self) -> None:
        set_paths(self, "mask")
        if self.bands is not None:
            object.__setattr__(self, "bands", _as_bands(self.bands))
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
        require(self.scale in SCALES, f"Got scale {self.scale!r}; known are {', '.join(SCALES)}.")
        require(self.init in INITS, f"Got init {self.init!r}; known are {', '.join(INITS)}.")
        require(
            0 <= self.seed <= MAX_SEED,
            f"Got seed {self.seed}; use an integer from 0 to 2**63 - 1.",
        )
        require(
            self.n_init is None or self.n_init >= 1, f"Got n_init {self.n_init}; use at least 1."
        )
        require(self.max_iter >= 1, f"Got max_iter {self.max_iter}; use at least 1.")
        object.__setattr__(self, "tol", _as_float(self.tol, "tol"))
        require(self.tol >= 0, f"Got tol {self.tol}; use 0 or more.")
        if self.band_weights is not None:
            object.__setattr__(self, "band_weights", _as_weights(self.band_weights))


def _as_bands(given: Any) -> tuple[Band, ...]:
    """Return bands as numbers and names, or raise `OptionError`."""
    if isinstance(given, (str, int)):
        given = (given,)
    try:
        bands = tuple(band if isinstance(band, str) else int(band) for band in given)
    except (TypeError, ValueError):
        message = f"Got bands {given!r}; give numbers from 1 or names."
        raise OptionError(message) from None
    require(len(bands) > 0, "Got no band; leave bands out to use all.")
    require(len(set(bands)) == len(bands), f"Got bands {list(bands)}; name each of them once.")
    return bands


def _as_weights(given: Any) -> tuple[float, ...]:
    """Return the weights of bands, or raise `OptionError`."""
    try:
        weights = tuple(float(weight) for weight in given)
    except (TypeError, ValueError):
        message = f"Got band weights {given!r}; give a number above 0 for each band."
        raise OptionError(message) from None
    require(
        all(0 < weight < float("inf") for weight in weights),
        f"Got band weights {list(weights)}; use numbers above 0, and leave bands out by bands.",
    )
    return weights


def _as_float(given: Any, name: str) -> float:
    """Return a number, or raise `OptionError`."""
    try:
        return float(given)
    except (TypeError, ValueError):
        message = f"Got {name} {given!r}; use a number."
        raise OptionError(message) from None


def parse_bands(text: str) -> tuple[Band, ...]:
    """Return the bands that ``text`` names: ``4,3,2`` or ``1:4`` (both ends in) or names.

    Examples
    --------
    >>> parse_bands("4,3,2"), parse_bands("1:4"), parse_bands("red,nir")
    ((4, 3, 2), (1, 2, 3, 4), ('red', 'nir'))
    """
    first, colon, last = text.partition(":")
    if colon and first.strip().isdigit() and last.strip().isdigit():
        return tuple(range(int(first), int(last) + 1))
    parts = [part.strip() for part in text.split(",")]
    return tuple(int(part) if part.isdigit() else part for part in parts)


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
