"""How palettes are fitted and pixels labelled: names, options, checks of what goes together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dask_quant.given_colors import Color, as_colors, check_use
from dask_quant.method_options import DEFAULT_INIT, KMEANS, as_init, check_method
from dask_quant.options import MAX_SEED, check_n_colors, parse_names, require, set_integers
from dask_quant.refit_options import check_refit

ENGINES = ("auto", "histogram", "scalable", "dask-ml")
"""Names that ``engine`` takes; ``auto`` is ``histogram`` for 8-bit colour."""

PIXEL_ENGINES = ("scalable", "dask-ml")
"""Those that fit the pixels of one image, pass by pass, and not their counts."""

EFFORTS = ("fast", "default", "best")
"""Names that ``effort`` takes: how long to search for a lower error."""

SPACES = ("srgb", "linear", "oklab", "lab")
"""Names of the spaces that distances are measured in."""

DITHERS = ("none", "bayer", "blue-noise", "floyd-steinberg")
"""Names that ``dither`` takes; all but the last look at the place of each pixel alone."""


def check_space(space: str) -> None:
    """Raise `OptionError` unless ``space`` names a working space."""
    require(
        isinstance(space, str) and space in SPACES,
        f"Got space {space!r}; known are {', '.join(SPACES)}.",
    )


def check_dither(dither: str, recolor: tuple[Color, ...] = ()) -> str:
    """Return ``dither`` as it is, or raise `OptionError` unless it goes with the rest."""
    require(dither in DITHERS, f"Got dither {dither!r}; known are {', '.join(DITHERS)}.")
    given = ",".join(f"#{bytes(color).hex()}" for color in recolor)
    require(
        dither == "none" or not recolor,
        f"Got dither {dither!r} with recolor, which paints classes that are found without it; to "
        f"dither between its colours, apply them as a palette: --palette '{given}'.",
    )
    return dither


def parse_dithers(text: str) -> tuple[str, ...]:
    """Return the ditherings that ``text`` names, separated by commas, or ``all`` of them.

    Raises
    ------
    OptionError
        When it names another one.

    Examples
    --------
    >>> parse_dithers("none, bayer"), len(parse_dithers("all"))
    (('none', 'bayer'), 4)
    """
    return parse_names(text, DITHERS, check_dither)


def _is_at_least_zero(value: Any) -> bool:
    """Return whether ``value`` is a number of 0 or more; NaN and what is no number are not."""
    try:
        return bool(value >= 0)
    except (TypeError, ValueError):
        return False


@dataclass(frozen=True)
class Target:
    """How good a palette has to be."""

    kind: str
    """``psnr`` (dB, at least), ``mse`` (squared sRGB levels, at most) or ``delta_e`` (mean
    CIEDE2000, at most)."""
    value: float
    """The limit."""

    def __post_init__(self) -> None:
        require(
            _is_at_least_zero(self.value) and self.value < float("inf"),
            f"Got target_{self.kind} {self.value!r}; use a finite number of 0 or more.",
        )

    def __str__(self) -> str:
        return f"target_{self.kind} {self.value:g}"


def make_target(psnr: float | None, mse: float | None, delta_e: float | None) -> Target | None:
    """Return what users ask for as a target, of which there is one at most."""
    given = [
        Target(kind, value)
        for kind, value in (("psnr", psnr), ("mse", mse), ("delta_e", delta_e))
        if value is not None
    ]
    require(len(given) <= 1, f"Got {' and '.join(map(str, given))}; give one target.")
    return given[0] if given else None


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How a palette is fitted."""

    n_colors: int = 16
    """Colours asked for, 1 to 65536."""
    method: str = KMEANS
    """``kmeans``, or one of the others of `dask_quant.method_options.METHODS`."""
    engine: str = "auto"
    """``auto``, ``histogram`` (exact k-means on counted colours), ``scalable`` or ``dask-ml``."""
    effort: str = "default"
    """How long to search for a lower error: ``fast``, ``default`` or ``best``."""
    seed: int = 0
    """Seed of every random draw, 0 to 2**63 - 1; recorded in the output."""
    n_init: int | None = None
    """Restarts, the best of which is kept; at least 1. None: what the engine does by default."""
    max_iter: int | None = None
    """Most Lloyd iterations of the last descent, at least 1. None: what the engine does."""
    tol: float | None = None
    """Stop once the largest centroid shift is at most this, in units of ``space``: sRGB levels, 0
    to 255; linear RGB and Oklab, 0 to 1; CIELAB, L* 0 to 100. None: the engine's."""
    space: str = "srgb"
    """Where distances are measured, to fit and to relabel: ``srgb``, ``linear`` (RGB), ``oklab`` or
    ``lab`` (CIELAB, D65)."""
    init: Any = DEFAULT_INIT
    """``k-means++`` and a search; ``random``, or rows of sRGB levels, and no search. Kept as a
    name or a tuple of tuples."""
    weight_power: float = 1.0
    """Pixels of a colour count to this power, 0 to 1, while the palette is fitted: 1 is k-means of
    all pixels; 0, of the distinct colours; between them few pixels count for more than a few."""
    keep: tuple[Color, ...] = ()
    """Colours that the palette holds in any case; the others are fitted around them."""
    recolor: tuple[Color, ...] = ()
    """Colours to paint the entries in, the darkest entry in the first; none: in their own."""
    refit: tuple[Color, ...] = ()
    """Colours of an old palette to start from, whose indices they keep; none: a fit of its own."""
    target: Target | None = None
    """What the fewest colours are to meet, of which ``n_colors`` are then the most."""

    def __post_init__(self) -> None:
        set_integers(self, "n_colors", "seed", optional=False)
        set_integers(self, "n_init", "max_iter")
        check_n_colors(self.n_colors)
        for name in ("keep", "recolor", "refit"):
            object.__setattr__(self, name, as_colors(getattr(self, name), name))
        n_keep, n_recolor = len(self.keep), len(self.recolor)
        check_use(n_keep, n_recolor, self.n_colors, self.engine, self.fits_pixels)
        require(
            self.engine in ENGINES,
            f"Got engine {self.engine!r}; known are {', '.join(ENGINES)}.",
        )
        require(
            self.effort in EFFORTS,
            f"Got effort {self.effort!r}; known are {', '.join(EFFORTS)}.",
        )
        check_space(self.space)
        require(
            self.space == "srgb" or not self.fits_pixels,
            f"Got space {self.space!r} with the {self.engine} engine, which fits in srgb; leave "
            "space out or use the histogram engine.",
        )
        require(
            0 <= self.seed <= MAX_SEED,
            f"Got seed {self.seed}; use an integer from 0 to 2**63 - 1.",
        )
        require(
            self.n_init is None or self.n_init >= 1,
            f"Got n_init {self.n_init}; use at least 1.",
        )
        require(
            self.max_iter is None or self.max_iter >= 1,
            f"Got max_iter {self.max_iter}; use at least 1.",
        )
        require(
            self.tol is None or _is_at_least_zero(self.tol),
            f"Got tol {self.tol!r}; use a shift of 0 or more, in units of the space.",
        )
        require(
            _is_at_least_zero(self.weight_power) and self.weight_power <= 1,
            f"Got weight_power {self.weight_power!r}; use a number from 0, for which each distinct "
            "colour counts once, to 1, for which each pixel does.",
        )
        require(
            self.weight_power == 1 or not self.fits_pixels,
            f"Got weight_power {self.weight_power!r} with the {self.engine} engine, which counts "
            "no colours; leave it out or use the histogram engine.",
        )
        require(
            self.engine != "dask-ml" or self.n_init in (None, 1),
            f"Got n_init {self.n_init} with the dask-ml engine, whose KMeans starts once; "
            "leave n_init out or use the histogram engine.",
        )
        require(
            not self.fits_pixels or self.effort == "default",
            f"Got effort {self.effort!r} with the {self.engine} engine, which has no such search; "
            "leave effort out or use the histogram engine.",
        )
        object.__setattr__(self, "init", as_init(self.init))
        check_method(self)
        check_refit(self)
        if self.target is not None:
            self._check_target(self.target)

    def _check_target(self, target: Target) -> None:
        """Raise `OptionError` where the number of colours cannot be chosen."""
        for name, is_given in (
            (f"the {self.engine} engine", self.fits_pixels),
            ("recolor", bool(self.recolor)),
            ("first colours", not isinstance(self.init, str)),
        ):
            require(
                not is_given,
                f"Got {target} with {name}, whose number is fixed; leave one of them out.",
            )

    @property
    def fits_pixels(self) -> bool:
        """Whether the engine reads the pixels of one image, and not their counts alone."""
        return self.engine in PIXEL_ENGINES
