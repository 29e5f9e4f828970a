"""The palette of a job and its figures, kept in its state: what comes of counting and fitting."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dask_quant.dithering import Tally
from dask_quant.errors import PaletteError
from dask_quant.flow import ImageOutcome
from dask_quant.palette import Palette

if TYPE_CHECKING:
    from dask_quant.sinks.state_folder import StateFolder

OUTCOME_NAME = "outcome.json"
"""The palette, and figures of the image without dithering."""

TALLY_NAME = "tally.json"
"""What dithered labels come to."""

_PALETTES = ("palette", "classes")
"""Fields of an outcome that are palettes."""


class JsonState(Protocol):
    """What keeps values by name; see `StateFolder`."""

    def write_json(self, name: str, value: Any) -> None:
        """Keep a JSON-ready value."""

    def read_json(self, name: str) -> Any:
        """Return the value of a name, None where there is none."""


def keep_outcome(state: JsonState, outcome: ImageOutcome, name: str = OUTCOME_NAME) -> None:
    """Keep a palette and its figures. **Eager**."""
    values = {each.name: getattr(outcome, each.name) for each in fields(outcome)}
    values |= {name: _show_palette(values[name]) for name in _PALETTES}
    values = {name: _as_number(value) for name, value in values.items()}
    state.write_json(name, values)


def find_outcome(state: JsonState, name: str = OUTCOME_NAME) -> ImageOutcome | None:
    """Return what `keep_outcome` kept, None where there is nothing, or it is torn. **Eager**."""
    values = state.read_json(name)
    try:
        palettes = {name: _parse_palette(values[name]) for name in _PALETTES}
        return ImageOutcome(**(values | palettes))
    except (KeyError, TypeError, ValueError, PaletteError):
        return None


def keep_tally(state: StateFolder | None, tally: Tally, name: str = TALLY_NAME) -> None:
    """Keep what dithered labels come to, where there is a state. **Eager**."""
    if state is not None:
        values = {each.name: getattr(tally, each.name) for each in fields(tally)}
        values["counts"] = tally.counts.tolist()
        state.write_json(name, {name: _as_number(each) for name, each in values.items()})


def find_tally(state: StateFolder, name: str = TALLY_NAME) -> Tally | None:
    """Return what `keep_tally` kept, None where there is nothing, or it is torn. **Eager**."""
    values = state.read_json(name)
    try:
        return Tally(**(values | {"counts": np.array(values["counts"], dtype=np.int64)}))
    except (KeyError, TypeError, ValueError):
        return None


def _as_number(value: Any) -> Any:
    """Return a number of NumPy as one of Python, anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def _show_palette(palette: Palette | None) -> Any:
    """Return a palette ready for JSON."""
    if palette is None:
        return None
    counts = None if palette.counts is None else palette.counts.tolist()
    return {"colors": palette.hex, "counts": counts}


def _parse_palette(values: Any) -> Palette | None:
    """Return the palette that `_show_palette` showed."""
    if values is None:
        return None
    return Palette(Palette.from_hex(values["colors"]).colors, values["counts"])
