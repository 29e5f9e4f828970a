"""What goes with an old palette that a fit starts from, and what does not."""

from __future__ import annotations

from typing import Any

from dask_quant.errors import OptionError
from dask_quant.given_colors import as_colors

_BESIDE_REFIT = (
    ("method", ("kmeans",), "which is plain k-means from the old colours"),
    ("engine", ("auto", "histogram"), "which is for counted colours"),
    ("effort", ("default",), "by which nothing is searched for"),
    ("n_init", (None, 1), "which is one start"),
    ("weight_power", (1,), "which is of all pixels"),
    ("init", ("k-means++",), "which starts from the old colours"),
    ("keep", ((),), "all of whose entries move"),
    ("recolor", ((),), "whose entries keep their order"),
    ("target", (None,), "whose entries all stay"),
)
"""Options of a fit, what they may be beside an old palette, and why no more."""


def check_refit(options: Any) -> None:
    """Raise `OptionError` where a fit from an old palette is asked for what has no part in it."""
    if not options.refit:
        return
    for name, default, why in _BESIDE_REFIT:
        value = getattr(options, name)
        if value not in default:
            shown = value if isinstance(value, str | int | float) else "colours"
            if name == "target":
                name, shown = str(value).split()
            message = f"Got {name} {shown} with refit, {why}; leave one of them out."
            raise OptionError(message)
    if options.n_colors < len(options.refit):
        message = (
            f"Got {options.n_colors} colours and a palette of {len(options.refit)} to refit, all "
            f"of whose entries stay; ask for at least {len(options.refit)}, or leave that out."
        )
        raise OptionError(message)


def count_refit(given: Any) -> int | None:
    """Return how many entries a palette to refit has, or None where there is none."""
    return len(as_colors(given, "refit")) or None
