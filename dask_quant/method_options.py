"""What a palette is fitted by, and what each method takes: names, and checks of what is given."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

from dask_quant.errors import OptionError
from dask_quant.options import parse_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KMEANS = "kmeans"
"""The method that minimises the error; all others are there to compare with."""

MINI_BATCH = "mini-batch"
"""The other one that moves centroids from a start."""

NEUQUANT = "neuquant"
"""A self-organising map."""

METHODS = (KMEANS, "median-cut", "octree", "wu", "popularity", "uniform", MINI_BATCH, NEUQUANT)
"""Names that ``method`` takes."""

DEFAULT_INIT = "k-means++"
"""First centroids drawn far from one another."""

INITS = (DEFAULT_INIT, "random")
"""Names that ``init`` takes; colours may be given instead."""

ITERATION_OPTIONS = ("n_init", "max_iter", "tol", "init")
"""Options of methods that move centroids."""

_TAKES: Mapping[str, tuple[str, ...]] = {
    KMEANS: ("effort", "space", "keep", *ITERATION_OPTIONS),
    MINI_BATCH: ITERATION_OPTIONS,
}
"""Options that a method takes beside those that all do."""

_DEFAULTS: Mapping[str, Any] = {
    "effort": "default",
    "space": "srgb",
    "keep": (),
    "n_init": None,
    "max_iter": None,
    "tol": None,
    "init": DEFAULT_INIT,
}
"""What these options are when nothing is said."""


class MethodOptions(Protocol):
    """What is looked at of the options of a fit."""

    @property
    def method(self) -> str:
        """Name of the method."""

    @property
    def init(self) -> Any:
        """Name of a start, or first centroids."""

    @property
    def n_colors(self) -> int:
        """Colours asked for."""

    @property
    def engine(self) -> str:
        """Name of the engine."""

    @property
    def fits_pixels(self) -> bool:
        """Whether the engine reads pixels."""

    @property
    def n_init(self) -> int | None:
        """Restarts."""

    @property
    def effort(self) -> str:
        """Name of an effort."""

    @property
    def space(self) -> str:
        """Name of a working space."""

    @property
    def keep(self) -> tuple[Any, ...]:
        """Colours that the palette holds in any case."""


def check_name(name: Any) -> None:
    """Raise `OptionError` unless ``name`` is that of a method."""
    if name not in METHODS:
        message = f"Got method {name!r}; known are {', '.join(METHODS)}."
        raise OptionError(message)


def parse_methods(text: str) -> tuple[str, ...]:
    """Return the methods that ``text`` names, separated by commas, or ``all`` of them.

    Raises
    ------
    OptionError
        When it names another one.

    Examples
    --------
    >>> parse_methods("kmeans, octree"), len(parse_methods("all"))
    (('kmeans', 'octree'), 8)
    """
    return parse_names(text, METHODS, check_name)


def keep_taken(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the options ``given`` that ``method`` takes."""
    left_out = set(_DEFAULTS) - set(_TAKES.get(method, ()))
    return {name: value for name, value in given.items() if name not in left_out}


def as_init(init: Any) -> str | tuple[tuple[float, ...], ...]:
    """Return a start as a name, or as first centroids, rows of three sRGB levels.

    Raises
    ------
    OptionError
        When it is neither a known name nor such rows.
    """
    if isinstance(init, str):
        if init not in INITS:
            message = f"Got init {init!r}; known are {', '.join(INITS)}, or give the first colours."
            raise OptionError(message)
        return init
    rows = _read_rows(init)
    if not rows or any(len(row) != 3 or not all(0 <= x <= 255 for x in row) for row in rows):
        message = (
            f"Got {type(init).__name__} for init; use {' or '.join(INITS)}, a palette, or rows of "
            "three sRGB levels from 0 to 255."
        )
        raise OptionError(message)
    return rows


def _read_rows(init: Iterable[Iterable[Any]]) -> tuple[tuple[float, ...], ...]:
    """Return rows of finite numbers as they are, and nothing for what is none."""
    try:
        rows = tuple(tuple(float(level) for level in row) for row in init)
    except (TypeError, ValueError):
        return ()
    return rows if all(math.isfinite(level) for row in rows for level in row) else ()


def check_method(options: MethodOptions) -> None:
    """Raise `OptionError` when options contradict the method or the start among them."""
    check_name(options.method)
    if options.fits_pixels:
        _check_engine(options)
    taken = _TAKES.get(options.method, ())
    for name, default in _DEFAULTS.items():
        value = getattr(options, name)
        if name not in taken and value != default:
            shown = repr(value) if isinstance(value, str | int | float) else "first colours"
            message = (
                f"Got {name} {shown} with the method {options.method}, which has no use for it; "
                f"leave it out or use the method {KMEANS}."
            )
            raise OptionError(message)
    if options.init != DEFAULT_INIT:
        _check_start(options)


def _check_engine(options: MethodOptions) -> None:
    """Raise `OptionError` when an engine that reads pixels is asked for more than its own way."""
    for name, default in (("method", KMEANS), ("init", DEFAULT_INIT)):
        value = getattr(options, name)
        if value != default:
            shown = repr(value) if isinstance(value, str) else "of first colours"
            message = (
                f"Got {name} {shown} with the {options.engine} engine, which has a way of its own; "
                f"leave {name} out or use the histogram engine."
            )
            raise OptionError(message)


def _check_start(options: MethodOptions) -> None:
    """Raise `OptionError` when a start that is no search is asked for what is part of one."""
    for name, why in (
        ("effort", "nothing is searched for"),
        ("space", "a fit goes on in srgb"),
        ("keep", "all centroids move"),
    ):
        value = getattr(options, name)
        if value != _DEFAULTS[name]:
            message = (
                f"Got {name} {value!r} with another init, from which {why}; "
                f"leave {name} out or use init {DEFAULT_INIT}."
            )
            raise OptionError(message)
    if isinstance(options.init, str):
        return
    if len(options.init) != options.n_colors:
        message = (
            f"Got {len(options.init)} first colours for a palette of {options.n_colors}; "
            "give as many as are asked for."
        )
        raise OptionError(message)
    if options.n_init not in (None, 1):
        message = f"Got n_init {options.n_init} with first colours, which are one start; use 1."
        raise OptionError(message)
